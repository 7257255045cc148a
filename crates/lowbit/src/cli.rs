//! The command line: reads arguments, calls the facade, prints and writes. Holds no algorithm.
//!
//! Each command is a file with its arguments and a `run`. Exit code 0: done; 1: an input was refused or could not
//! be read or written; 2: the command line makes no sense.

mod bench;
mod completions;
mod demo;
mod doctor;
mod embed;
mod evaluate;
mod files;
mod inspect;
mod man;
mod methods;
mod ops;
mod outcome;
mod print;
mod progress;
mod quantize;
mod report_file;
mod run;
mod search;
mod shared;
mod size;
mod targets;
mod train;
mod zoo;

use std::process::ExitCode;

use anyhow::{Error, Result};
use clap::{Parser, Subcommand};

/// Quantizes trained networks (ONNX) to 8 bits and fewer.
#[derive(Parser)]
#[command(
    name = "lowbit",
    version,
    disable_help_subcommand = true,
    before_help = "Example: lowbit quantize model.onnx --data photos/ --recipe w4a4-aciq -o small.onnx",
    after_help = "Every command takes -q, --quiet (say nothing but errors and what was asked to be printed) and -v, --verbose (say each \
        stage and note, on a line of its own)."
)]
struct Cli {
    // Hidden, as they would be in the help of each command; the help of the whole says them.
    #[arg(short, long, global = true, hide = true, conflicts_with = "verbose")]
    quiet: bool,
    #[arg(short, long, global = true, hide = true)]
    verbose: bool,

    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Demo(demo::Args),
    Inspect(inspect::Args),
    Quantize(quantize::Args),
    Search(search::Args),
    Train(train::Args),
    Embed(Box<embed::Args>),
    Evaluate(evaluate::Args),
    Run(run::Args),
    Bench(bench::Args),
    Methods(methods::Args),
    Targets(targets::Args),
    Ops(ops::Args),
    Zoo(zoo::Args),
    Doctor(doctor::Args),
    Completions(completions::Args),
    Man(man::Args),
}

pub(crate) fn main() -> ExitCode {
    // Clap prints help, version and usage errors itself, the latter with exit code 2.
    let cli = Cli::parse();
    print::set_loudness(cli.quiet, cli.verbose);
    match dispatch(cli.command) {
        Ok(()) => ExitCode::SUCCESS,
        // Whoever read our output has seen enough (`lowbit ops | head`).
        Err(error) if print::is_closed_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            print::error(&error);
            ExitCode::from(if error.is::<Usage>() { 2 } else { 1 })
        }
    }
}

fn dispatch(command: Command) -> Result<()> {
    match command {
        Command::Demo(args) => demo::run(&args),
        Command::Inspect(args) => inspect::run(&args),
        Command::Quantize(args) => quantize::run(&args),
        Command::Search(args) => search::run(&args),
        Command::Train(args) => train::run(&args),
        Command::Embed(args) => embed::run(&args),
        Command::Evaluate(args) => evaluate::run(&args),
        Command::Run(args) => run::run(&args),
        Command::Bench(args) => bench::run(&args),
        Command::Methods(args) => methods::run(&args),
        Command::Targets(args) => targets::run(&args),
        Command::Ops(args) => ops::run(&args),
        Command::Zoo(args) => zoo::run(&args),
        Command::Doctor(args) => doctor::run(&args),
        Command::Completions(args) => completions::run(&args),
        Command::Man(args) => man::run(&args),
    }
}

/// A command line that makes no sense in a way that clap cannot see.
#[derive(Debug)]
struct Usage(String);

impl std::fmt::Display for Usage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Usage {}

/// A [`Usage`] error.
fn usage(message: String) -> Error {
    Error::new(Usage(message))
}
