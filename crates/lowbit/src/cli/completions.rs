//! `lowbit completions`: what a shell needs to complete commands and options.

use anyhow::Result;
use clap::CommandFactory;
use clap_complete::Shell;

use super::{Cli, print};

/// Print completions for a shell
#[derive(clap::Args)]
#[command(
    before_help = "Example: lowbit completions bash > ~/.local/share/bash-completion/completions/lowbit"
)]
pub(super) struct Args {
    /// Which shell
    shell: Shell,
}

pub(super) fn run(args: &Args) -> Result<()> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "lowbit", &mut script);
    print::out(&String::from_utf8_lossy(&script))
}
