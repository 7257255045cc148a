//! `lowbit ops`: what can be read.

use anyhow::Result;
use lowbit_graph::Op;

use super::print;

/// List the ONNX operators that can be read
#[derive(clap::Args)]
#[command(before_help = "Example: lowbit ops")]
pub(super) struct Args {}

pub(super) fn run(_args: &Args) -> Result<()> {
    let mut text = String::new();
    for (domain, name) in Op::ALL {
        if !domain.is_empty() {
            text.push_str(domain);
            text.push('.');
        }
        text.push_str(name);
        text.push('\n');
    }
    print::out(&text)
}
