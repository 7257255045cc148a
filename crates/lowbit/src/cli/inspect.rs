//! `lowbit inspect`: what is in a network, and where fewer bits are possible.

use std::path::PathBuf;

use anyhow::Result;
use lowbit::{facade, render};

use super::print;

/// Show layers, shapes, parameters and MACs, and what can be quantized or why not
#[derive(clap::Args)]
#[command(before_help = "Example: lowbit inspect model.onnx")]
pub(super) struct Args {
    /// Network (ONNX)
    model: PathBuf,

    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &Args) -> Result<()> {
    let inspection = facade::inspect(&args.model)?;
    print::out(&if args.json {
        render::json::inspection(&inspection)
    } else {
        render::text::inspection(&inspection, print::style())
    })
}
