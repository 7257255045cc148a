//! Steps: run one after the other, timed, and summed up in a table.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

/// Something that must hold.
pub(crate) struct Step {
    pub(crate) name: &'static str,
    pub(crate) run: fn(&Project) -> Result<Outcome>,
}

/// How a step ended, if not with an error.
pub(crate) enum Outcome {
    Passed,
    /// All was well, but part of it was done another way or not at all.
    Remark(String),
    Skipped(String),
}

/// The checkout that the steps work on.
pub(crate) struct Project {
    root: PathBuf,
    /// Whether to leave out what needs Python.
    pub(crate) fast: bool,
    /// Whether to do what needs PyTorch.
    pub(crate) torch: bool,
}

impl Project {
    /// The checkout that this program was built from.
    pub(crate) fn here(fast: bool, torch: bool) -> Project {
        let own = Path::new(env!("CARGO_MANIFEST_DIR"));
        Project { root: own.parent().unwrap_or(own).to_owned(), fast, torch }
    }

    /// A path inside it.
    pub(crate) fn path(&self, relative: &str) -> PathBuf {
        self.root.join(relative)
    }

    /// Where cargo puts what it builds.
    pub(crate) fn target(&self) -> PathBuf {
        std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| self.path("target"), |dir| self.root.join(dir))
    }

    /// A command in the root of the checkout, without standard input: nothing may stop to ask.
    pub(crate) fn command(&self, program: impl AsRef<Path>) -> Command {
        let mut command = Command::new(program.as_ref());
        command.current_dir(&self.root).stdin(Stdio::null());
        command
    }

    /// `cargo` with these arguments, as [`Project::command`].
    pub(crate) fn cargo(&self, arguments: &[&str]) -> Command {
        let mut command = self.command(std::env::var("CARGO").unwrap_or_else(|_| "cargo".into()));
        command.args(arguments);
        command
    }
}

/// Runs a command, its output going where ours goes.
pub(crate) fn succeed(command: &mut Command) -> Result<()> {
    let name = command.get_program().to_string_lossy().into_owned();
    let status = command.status().with_context(|| format!("cannot run {name}"))?;
    if !status.success() {
        let arguments: Vec<_> = command.get_args().map(|a| a.to_string_lossy()).collect();
        bail!("{name} {} ended with {status}", arguments.join(" "));
    }
    Ok(())
}

/// Runs all steps and prints what came of them; whether none failed.
pub(crate) fn run_all<'a>(steps: impl Iterator<Item = &'a Step>, project: &Project) -> bool {
    let mut table = Vec::new();
    let mut all_well = true;
    for step in steps {
        println!("\n=== {}", step.name);
        let start = Instant::now();
        let result = (step.run)(project);
        let time = start.elapsed();
        let word = match result {
            Ok(Outcome::Passed) => "ok".to_owned(),
            Ok(Outcome::Remark(remark)) => format!("ok ({remark})"),
            Ok(Outcome::Skipped(reason)) => format!("SKIPPED: {reason}"),
            Err(error) => {
                all_well = false;
                format!("FAILED: {error:#}")
            }
        };
        println!("--- {}: {word} ({})", step.name, seconds(time));
        table.push((step.name, time, word));
    }
    println!("\n=== summary");
    for (name, time, word) in &table {
        println!("{name:<14} {:>8}  {word}", seconds(*time));
    }
    let total = table.iter().map(|(_, time, _)| *time).sum();
    println!("{:<14} {:>8}  {}", "total", seconds(total), if all_well { "ok" } else { "FAILED" });
    all_well
}

fn seconds(time: Duration) -> String {
    format!("{:.1} s", time.as_secs_f64())
}
