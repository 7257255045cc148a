//! `lowbit demo`: the whole product on a network and data inside the program.

use std::path::PathBuf;

use anyhow::{Context, Result};
use lowbit::{Progress, facade, render};

use super::{files, print, progress::Bars};

/// Quantize a small network that is built in, and compare the results
#[derive(clap::Args)]
#[command(before_help = "Example: lowbit demo --out lowbit-demo")]
pub(super) struct Args {
    /// Folder for report.html, the ONNX files and the samples
    #[arg(long, value_name = "DIR", default_value = "lowbit-demo")]
    out: PathBuf,
}

pub(super) fn run(args: &Args) -> Result<()> {
    std::fs::create_dir_all(&args.out)
        .with_context(|| format!("cannot make folder {}", args.out.display()))?;
    let bars = Bars::new();
    let demo = facade::demo(&bars)?;
    bars.finish();

    let mut whole: Vec<files::File> =
        demo.files.into_iter().map(|(name, bytes)| (args.out.join(name), bytes)).collect();
    whole.push((args.out.join("report.html"), render::html::report(&demo.report).into_bytes()));
    files::write(&whole)?;
    print::told(&render::text::report(&demo.report, print::style()))?;
    print::written(&whole)
}
