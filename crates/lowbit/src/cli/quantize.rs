//! `lowbit quantize`: the main job.

use std::path::{Path, PathBuf};

use anyhow::Result;
use clap::ValueEnum;
use lowbit::Progress;
use lowbit::facade::{self, Effort, QuantizeJob};

use super::report_file::ReportFile;
use super::{files, outcome, progress::Bars, shared, size};

/// Quantize a network and say what it cost
#[derive(clap::Args)]
#[command(
    before_help = "Example: lowbit quantize model.onnx --data photos/ --recipe w4a4-aciq -o small.onnx --report report.html"
)]
pub(super) struct Args {
    /// Network to quantize (ONNX, float)
    model: PathBuf,

    /// Where the quantized network goes
    #[arg(short, long, value_name = "OUT.onnx", required_unless_present = "dry_run")]
    output: Option<PathBuf>,

    /// Built-in recipe (w8a8, w4a8, w4a4-aciq, …) or a TOML file
    #[arg(long, value_name = "NAME|FILE", default_value = facade::DEFAULT_RECIPE)]
    recipe: String,

    /// Built-in target or a TOML file: which edges carry integers, and how wide
    #[arg(long, value_name = "NAME|FILE", default_value = facade::DEFAULT_TARGET)]
    target: String,

    /// Form of the written file: packed is small and fast, container loads everywhere, textbook is for NPUs and
    /// TensorRT, qonnx for FPGA tools [default: the target's, packed for onnxruntime]
    #[arg(long, value_enum)]
    flavour: Option<Flavour>,

    /// Also write a report; it then says how much each layer hurts alone, which takes longer
    #[arg(long, value_name = "FILE.{html,json,md}")]
    report: Option<ReportFile>,

    /// Labelled samples to score on [default: the calibration samples]
    #[arg(long, value_name = "DATA")]
    validation: Option<PathBuf>,

    /// How long steps that learn (lapq, brecq, …) go on
    #[arg(long, value_name = "EFFORT", default_value = Effort::default().name(), value_parser = shared::one_of(Effort::ALL, Effort::name))]
    effort: Effort,

    /// Memory for what such steps keep of the samples, as in 512MiB or 2G; more goes to temporary files beside the
    /// output [default: half of what is free]
    #[arg(long, value_name = "SIZE", value_parser = size::parse)]
    cache_bytes: Option<u64>,

    /// Start over, even if a killed run left OUT.onnx.state to go on from
    #[arg(long)]
    fresh: bool,

    /// Read, check and plan, but quantize and write nothing
    #[arg(long)]
    dry_run: bool,

    #[command(flatten)]
    samples: shared::Samples,
}

// Not `///`: clap would print that, and turn `--help` into several pages.
#[derive(Clone, Copy, ValueEnum)]
enum Flavour {
    // Low-bit weights on disk, unpacked when loaded.
    Packed,
    // Weights stored as int8, which every runtime takes since opset 13.
    Container,
    // INT4/INT2 straight into the operators.
    Textbook,
    // `IntQuant` and `BipolarQuant` nodes.
    Qonnx,
}

pub(super) fn run(args: &Args) -> Result<()> {
    let report_path = args.report.as_ref().map(ReportFile::path);
    let named = [&args.recipe, &args.target].map(Path::new);
    let read = [args.model.as_path()].into_iter().chain(args.validation.as_deref()).chain(named);
    // Before an hour of work, not after it.
    files::check_all(
        args.output.as_deref().into_iter().chain(report_path),
        read.chain(args.samples.files()),
    )?;

    let flavour = args.flavour.and_then(|f| f.to_possible_value()).map(|v| v.get_name().to_owned());
    let job = QuantizeJob {
        model: args.model.clone().into(),
        data: args.samples.data.clone().into(),
        validation: args.validation.clone().map(Into::into),
        recipe: args.recipe.clone(),
        target: args.target.clone(),
        flavour,
        seed: args.samples.seed,
        limit: args.samples.limit,
        threads: args.samples.threads,
        preprocess: args.samples.preprocess.clone(),
        effort: args.effort,
        cache_bytes: args.cache_bytes,
        state: args.output.as_deref().filter(|_| !args.dry_run).map(files::state_of),
        fresh: args.fresh,
        detail: args.report.is_some(),
        dry_run: args.dry_run,
    };
    let bars = Bars::new();
    let outcome = facade::quantize(&job, &bars)?;
    bars.finish();

    outcome::keep(outcome, args.output.as_deref().filter(|_| !args.dry_run), args.report.as_ref())
}
