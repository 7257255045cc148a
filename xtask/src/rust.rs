//! What Rust's own tools check: format, lints, tests, documentation.

use std::env::{join_paths, split_paths, var_os};
use std::ffi::OsString;
use std::process::Stdio;

use anyhow::Result;

use crate::step::{Outcome, Project, succeed};

/// The test runner, pinned so that a new version cannot change what a run means.
const NEXTEST: &str = "0.9.143";

pub(crate) fn format(project: &Project) -> Result<Outcome> {
    succeed(&mut project.cargo(&["fmt", "--all", "--check"]))?;
    Ok(Outcome::Passed)
}

pub(crate) fn lints(project: &Project) -> Result<Outcome> {
    let arguments = ["clippy", "--workspace", "--all-targets", "--locked", "--", "-D", "warnings"];
    succeed(&mut project.cargo(&arguments))?;
    Ok(Outcome::Passed)
}

/// By nextest; by `cargo test` where that is not there and cannot be installed.
pub(crate) fn tests(project: &Project) -> Result<Outcome> {
    let Some(path) = nextest(project) else {
        succeed(&mut project.cargo(&["test", "--workspace", "--all-targets", "--locked", "--no-fail-fast"]))?;
        return Ok(Outcome::Remark("by cargo test: cargo-nextest could not be installed".into()));
    };
    succeed(project.cargo(&["nextest", "run", "--workspace", "--locked"]).env("PATH", path))?;
    Ok(Outcome::Passed)
}

/// Examples in documentation, which nextest does not run.
pub(crate) fn doctests(project: &Project) -> Result<Outcome> {
    succeed(&mut project.cargo(&["test", "--workspace", "--doc", "--locked"]))?;
    Ok(Outcome::Passed)
}

pub(crate) fn documentation(project: &Project) -> Result<Outcome> {
    let mut command = project.cargo(&["doc", "--workspace", "--no-deps", "--locked"]);
    succeed(command.env("RUSTDOCFLAGS", "-D warnings"))?;
    Ok(Outcome::Passed)
}

/// A `PATH` on which cargo finds nextest, installing it into the target folder if need be.
fn nextest(project: &Project) -> Option<OsString> {
    let tools = project.target().join("tools");
    let paths = var_os("PATH").unwrap_or_default();
    let path = join_paths(split_paths(&paths).chain([tools.join("bin")])).ok()?;
    let mut version = project.cargo(&["nextest", "--version"]);
    let is_there = |status: std::io::Result<_>| status.is_ok_and(|s: std::process::ExitStatus| s.success());
    if !is_there(version.env("PATH", &path).stdout(Stdio::null()).stderr(Stdio::null()).status()) {
        println!(
            "cargo-nextest is not installed; installing it into {} (some minutes, once)",
            tools.display()
        );
        // Unoptimised: it waits for tests most of the time.
        let arguments = ["install", "cargo-nextest", "--version", NEXTEST, "--locked", "--debug"];
        let mut install = project.cargo(&arguments);
        install.args(["--no-default-features", "--features", "default-no-update"]).arg("--root").arg(&tools);
        if let Err(error) = succeed(&mut install) {
            println!("{error:#}");
            return None;
        }
    }
    Some(path)
}
