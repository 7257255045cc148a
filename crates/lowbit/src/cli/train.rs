//! `lowbit train`: quantization-aware training, or float training.

use std::path::{Path, PathBuf};

use anyhow::Result;
use lowbit::Progress;
use lowbit::facade::{self, TrainJob};

use super::report_file::ReportFile;
use super::{files, outcome, progress::Bars, shared, size};

/// Train a network in few bits (or in float) on labelled samples
#[derive(clap::Args)]
#[command(
    before_help = "Example: lowbit train model.onnx --data train/ --validation test/ --recipe w2a2-lcq -o small.onnx"
)]
pub(super) struct Args {
    /// Network to train (ONNX, float; with or without batch normalization)
    model: PathBuf,

    /// Where the trained network goes
    #[arg(short, long, value_name = "OUT.onnx", required_unless_present = "dry_run")]
    output: Option<PathBuf>,

    /// Built-in recipe (float, w2a2-lcq, w3a3-lsq, sq-bwn, …) or a TOML file
    #[arg(long, value_name = "NAME|FILE")]
    recipe: String,

    /// Labelled samples to score on after each epoch; training never sees them
    #[arg(long, value_name = "DATA")]
    validation: Option<PathBuf>,

    /// Passes over the samples, of each stage [default: the recipe's]
    #[arg(long, value_name = "N")]
    epochs: Option<u64>,

    /// Steps instead of epochs, of each stage
    #[arg(long, value_name = "N", conflicts_with = "epochs")]
    steps: Option<u64>,

    /// Samples of a step [default: the recipe's]
    #[arg(long, value_name = "N", value_parser = shared::positive)]
    batch: Option<usize>,

    /// Base of the learning rate [default: the recipe's]
    #[arg(long, value_name = "RATE")]
    learning_rate: Option<f64>,

    /// Built-in target or a TOML file: which edges carry integers
    #[arg(long, value_name = "NAME|FILE", default_value = facade::DEFAULT_TRAINING_TARGET)]
    target: String,

    /// Form of the written file: packed, container, textbook or qonnx [default: the target's]
    #[arg(long, value_name = "FLAVOUR")]
    flavour: Option<String>,

    /// Write the epoch with the best validation, not the last one (the validation samples then chose it)
    #[arg(long, requires = "validation")]
    best: bool,

    /// One line of JSON per epoch
    #[arg(long, value_name = "FILE.jsonl")]
    metrics: Option<PathBuf>,

    /// Also write a report
    #[arg(long, value_name = "FILE.{html,json,md}")]
    report: Option<ReportFile>,

    /// Memory for the samples, as in 512MiB or 2G; more goes to a temporary file beside the output [default: half of
    /// what is free]
    #[arg(long, value_name = "SIZE", value_parser = size::parse)]
    cache_bytes: Option<u64>,

    /// Go on from OUT.onnx.state; what happens anyway if a killed run left one
    #[arg(long, conflicts_with = "fresh")]
    resume: bool,

    /// Start over, even if a killed run left OUT.onnx.state to go on from
    #[arg(long)]
    fresh: bool,

    /// Read, check and say what a run would take, but train and write nothing
    #[arg(long)]
    dry_run: bool,

    #[command(flatten)]
    samples: shared::Samples,
}

pub(super) fn run(args: &Args) -> Result<()> {
    let report_path = args.report.as_ref().map(ReportFile::path);
    let written = [args.output.as_deref(), report_path, args.metrics.as_deref()].into_iter().flatten();
    let named = [&args.recipe, &args.target].map(Path::new);
    let read = [args.model.as_path()].into_iter().chain(args.validation.as_deref()).chain(named);
    // Before hours of work, not after them.
    files::check_all(written, read.chain(args.samples.files()))?;
    let job = TrainJob {
        model: args.model.clone().into(),
        data: args.samples.data.clone().into(),
        validation: args.validation.clone().map(Into::into),
        recipe: args.recipe.clone(),
        target: args.target.clone(),
        flavour: args.flavour.clone(),
        epochs: args.epochs,
        steps: args.steps,
        batch: args.batch,
        learning_rate: args.learning_rate,
        best: args.best,
        metrics: args.metrics.clone(),
        seed: args.samples.seed,
        limit: args.samples.limit,
        threads: args.samples.threads,
        preprocess: args.samples.preprocess.clone(),
        cache_bytes: args.cache_bytes,
        state: args.output.as_deref().filter(|_| !args.dry_run).map(files::state_of),
        fresh: args.fresh,
        dry_run: args.dry_run,
    };
    let bars = Bars::new();
    let outcome = facade::train(&job, &bars)?;
    bars.finish();

    outcome::keep(outcome, args.output.as_deref().filter(|_| !args.dry_run), args.report.as_ref())
}
