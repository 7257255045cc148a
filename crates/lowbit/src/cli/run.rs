//! `lowbit run`: what a network answers, for other tools to compare with.

use std::path::PathBuf;

use anyhow::Result;
use lowbit::facade::{self, Engine, RunJob};
use lowbit::{Progress, render};

use super::{files, print, progress::Bars, shared};

/// Run a network on samples and write its outputs
#[derive(clap::Args)]
#[command(before_help = "Example: lowbit run small.onnx --data photos/ -o outputs.npz")]
pub(super) struct Args {
    /// Network (ONNX)
    model: PathBuf,

    /// Where the arrays go: one per output, `index` of the samples, `y` where there are labels
    #[arg(short, long, value_name = "OUT.npz")]
    output: PathBuf,

    /// What runs the network
    #[arg(long, value_name = "ENGINE", default_value = Engine::default().name(), value_parser = shared::one_of(Engine::ALL, Engine::name))]
    engine: Engine,

    #[command(flatten)]
    samples: shared::Samples,

    /// Leave out the first N samples of the seeded shuffle: those that a calibration with --limit N took
    #[arg(long, value_name = "N", default_value_t = 0)]
    skip: usize,

    /// Also write the samples as the network saw them, as array `x`: to run another tool on the same numbers
    #[arg(long)]
    with_samples: bool,
}

pub(super) fn run(args: &Args) -> Result<()> {
    files::check_all(
        [args.output.as_path()],
        [args.model.as_path()].into_iter().chain(args.samples.files()),
    )?;
    let job = RunJob {
        model: args.model.clone().into(),
        engine: args.engine,
        data: args.samples.data.clone().into(),
        limit: args.samples.limit,
        skip: args.skip,
        threads: args.samples.threads,
        preprocess: args.samples.preprocess.clone(),
        seed: args.samples.seed.unwrap_or(0),
        with_samples: args.with_samples,
    };
    let bars = Bars::new();
    let arrays = facade::run(&job, &bars)?;
    bars.finish();

    let whole = [(args.output.clone(), render::npz::arrays(&arrays)?)];
    files::write(&whole)?;
    print::written(&whole)
}
