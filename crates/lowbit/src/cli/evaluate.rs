//! `lowbit evaluate`: networks side by side.

use std::path::PathBuf;

use anyhow::Result;
use lowbit::facade::{self, Engine, EvaluateJob};
use lowbit::{Progress, Report, render};

use super::report_file::ReportFile;
use super::{files, print, progress::Bars, shared};

/// Compare networks: accuracy, agreement with the first, SQNR, size
#[derive(clap::Args)]
#[command(before_help = "Example: lowbit evaluate model.onnx small.onnx --data photos/ --limit 1000")]
pub(super) struct Args {
    /// Networks (ONNX); the first is what the others are compared with
    #[arg(required = true, value_name = "MODEL")]
    models: Vec<PathBuf>,

    #[command(flatten)]
    samples: shared::Samples,

    /// Leave out the first N samples of the seeded shuffle: those that a calibration with --limit N took
    #[arg(long, value_name = "N", default_value_t = 0)]
    skip: usize,

    /// What runs the networks; with several, separated by commas, each network is scored on each
    #[arg(long, value_name = "ENGINE", value_delimiter = ',', default_value = Engine::default().name(), value_parser = shared::one_of(Engine::ALL, Engine::name))]
    engine: Vec<Engine>,

    /// Print JSON: an array with one object per network
    #[arg(long)]
    json: bool,

    /// Also write the comparison to a file
    #[arg(long, value_name = "FILE.{html,json,md}")]
    report: Option<ReportFile>,
}

pub(super) fn run(args: &Args) -> Result<()> {
    let read = args.models.iter().map(PathBuf::as_path).chain(args.samples.files());
    files::check_all(args.report.as_ref().map(ReportFile::path), read)?;
    let job = EvaluateJob {
        models: args.models.iter().map(Into::into).collect(),
        engines: args.engine.clone(),
        data: args.samples.data.clone().into(),
        limit: args.samples.limit,
        threads: args.samples.threads,
        preprocess: args.samples.preprocess.clone(),
        skip: args.skip,
        seed: args.samples.seed.unwrap_or(0),
    };
    let bars = Bars::new();
    let scores = facade::evaluate(&job, &bars)?;
    bars.finish();

    let mut whole: Vec<files::File> = Vec::new();
    let text =
        if args.json { render::json::scores(&scores) } else { render::text::scores(&scores, print::style()) };
    if let Some(file) = &args.report {
        let mut report = Report::default();
        report.model.name = job.models[0].stem().unwrap_or_default();
        report.job.data = job.data.to_string();
        report.job.version = env!("CARGO_PKG_VERSION").to_owned();
        report.scores = scores;
        whole.push((file.path().to_owned(), file.render(&report).into_bytes()));
    }
    files::write(&whole)?;
    print::out(&text)?;
    if args.json { Ok(()) } else { print::written(&whole) }
}
