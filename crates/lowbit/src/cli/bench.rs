//! `lowbit bench`: how fast a network runs here.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Result;
use lowbit::facade::{self, Bench, BenchJob, Engine};
use lowbit::{Progress, render};

use super::{print, progress::Bars, shared, usage};

/// Measure latency, images per second and memory of a network, and the time of each of its nodes
#[derive(clap::Args)]
#[command(before_help = "Example: lowbit bench small.onnx --batch 8 --threads 1")]
pub(super) struct Args {
    /// Network (ONNX)
    #[arg(required_unless_present = "kernels")]
    model: Option<PathBuf>,

    /// Samples per run
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = shared::positive)]
    batch: usize,

    /// Worker threads [default: one per core]
    #[arg(long, value_name = "N", value_parser = shared::positive)]
    threads: Option<usize>,

    /// How long to measure
    #[arg(long, value_name = "SECONDS", default_value_t = 2.0)]
    seconds: f64,

    /// What runs the network [default: integer for quantized files, else simulated]
    #[arg(long, value_name = "ENGINE", value_parser = shared::one_of(Engine::ALL, Engine::name))]
    engine: Option<Engine>,

    /// Show the time of each node (integer engine; one thread)
    #[arg(long)]
    nodes: bool,

    /// List the instruction sets of this machine that kernels are built for; LOWBIT_ISA forces one
    #[arg(long, conflicts_with = "model")]
    kernels: bool,

    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &Args) -> Result<()> {
    if args.kernels {
        return print::out(&render::text::kernels(&facade::kernels()?, print::style()));
    }
    let duration = Duration::try_from_secs_f64(args.seconds)
        .map_err(|_| usage(format!("--seconds {}: expected a positive number", args.seconds)))?;
    let job = BenchJob {
        model: args.model.clone().unwrap_or_default().into(),
        batch: args.batch,
        threads: args.threads,
        engine: args.engine,
        duration,
        nodes: args.nodes,
    };
    let bars = Bars::new();
    let bench: Bench = facade::bench(&job, &bars)?;
    bars.finish();
    print::out(&if args.json {
        render::json::bench(&bench)
    } else {
        render::text::bench(&bench, print::style())
    })
}
