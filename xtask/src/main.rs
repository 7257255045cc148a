//! Project tasks, run as `cargo xtask TASK`.
//!
//! `test` is everything that must hold before a change goes in; `.ci/run` calls nothing else. Each step is a function
//! of one of the files below. All steps run even if one fails: one look shows everything that is wrong. `proofs` are those
//! that take rarer tools, for whoever changes kernels; `results` repeats tables of docs/results.md,
//! and `peers` compares with other tools.

mod exports;
mod licences;
mod peers;
mod proofs;
mod python;
mod results;
mod rust;
mod spelling;
mod step;
mod venv;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::step::{Project, Step};

#[derive(Parser)]
#[command(name = "cargo xtask", disable_help_subcommand = true)]
struct Cli {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Format, lints, Rust tests, documentation, licences, what is written checked by other tools, and the Python package
    Test {
        /// Leave out what needs Python
        #[arg(long)]
        fast: bool,

        /// Also the tests of the Python package that need PyTorch (3 GB, installed into `target/torch`)
        #[arg(long)]
        torch: bool,

        /// Only the steps of these names, such as `lints`
        #[arg(long, value_name = "STEP")]
        only: Vec<String>,
    },
    /// Kernels under Miri, a sanitizer, an emulator of another processor, and a fuzzer; says what it lacks
    Proofs {
        /// Only the steps of these names, such as `miri`
        #[arg(long, value_name = "STEP")]
        only: Vec<String>,
    },
    /// Repeat the tables of accuracy in docs/results.md, as docs/tables.toml lists them
    Results {
        /// Only the tables of these names, such as `digits`
        #[arg(long, value_name = "TABLE")]
        only: Vec<String>,

        /// Worker threads of each run
        #[arg(long, value_name = "N", default_value_t = 1)]
        threads: usize,
    },
    /// Quantize the same networks with other tools too (installed into `target/peers`) and print one table
    Peers {
        /// Worker threads of each run
        #[arg(long, value_name = "N", default_value_t = 1)]
        threads: usize,
    },
}

/// In the order of a reader's patience: what fails often and soon comes first.
const STEPS: &[Step] = &[
    Step { name: "format", run: rust::format },
    Step { name: "licences", run: licences::check },
    Step { name: "lints", run: rust::lints },
    Step { name: "tests", run: rust::tests },
    Step { name: "doctests", run: rust::doctests },
    Step { name: "documentation", run: rust::documentation },
    Step { name: "spelling", run: spelling::check },
    Step { name: "exports", run: exports::check },
    Step { name: "python", run: python::check },
];

fn main() -> ExitCode {
    match Cli::parse().task {
        Task::Test { fast, torch, only } => check(STEPS, &Project::here(fast, torch), &only),
        Task::Proofs { only } => check(proofs::STEPS, &Project::here(false, false), &only),
        Task::Results { only, threads } => ended(results::run(&Project::here(false, false), &only, threads)),
        Task::Peers { threads } => ended(peers::run(&Project::here(false, false), threads)),
    }
}

/// Says what went wrong, if anything did.
fn ended(result: anyhow::Result<()>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Runs the steps of these names, or all.
fn check(steps: &[Step], project: &Project, only: &[String]) -> ExitCode {
    if let Some(unknown) = only.iter().find(|name| steps.iter().all(|step| step.name != *name)) {
        let names: Vec<&str> = steps.iter().map(|step| step.name).collect();
        eprintln!("error: there is no step `{unknown}`; steps: {}", names.join(", "));
        return ExitCode::from(2);
    }
    let steps = steps.iter().filter(|step| only.is_empty() || only.iter().any(|name| name == step.name));
    if step::run_all(steps, project) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
