//! What lowbit writes, checked by tools that are not ours: the ONNX checker, ONNX Runtime, and a browser.
//!
//! The tools live in a virtual environment that is made here from pinned versions, as do those of the Python package;
//! `scripts/check_exports.py` says what is checked.

use std::path::{Path, PathBuf};

use anyhow::Result;

use crate::step::{Outcome, Project, succeed};
use crate::venv::environment;

pub(crate) fn check(project: &Project) -> Result<Outcome> {
    if project.fast {
        return Ok(Outcome::Skipped("--fast: written files were not checked by ONNX Runtime".into()));
    }
    let (program, python) = (build(project)?, environment(project)?);
    succeed(project.command(&python).arg("scripts/check_book.py").arg("--lowbit").arg(&program))?;
    let mut command = project.command(python);
    command.arg("scripts/check_exports.py").arg("--lowbit").arg(program);
    // Real networks and photographs lie beside the checkout, where there are any.
    let shared = project.path("../shared");
    if shared.is_dir() {
        command.arg("--shared").arg(shared);
    }
    succeed(&mut command)?;
    if project.path("../shared").is_dir() {
        return Ok(Outcome::Passed);
    }
    Ok(Outcome::Remark("no ../shared: only the embedded network was checked".into()))
}

/// The program, in the profile of the tests: their objects are there already, and a release build takes longer than it saves.
/// The crate of the Python package is named too, so that both are built with the same features, and nothing twice.
pub(crate) fn build(project: &Project) -> Result<PathBuf> {
    let packages = ["--package", "lowbit", "--package", "lowbit-python"];
    succeed(project.cargo(&["build", "--bins", "--locked"]).args(packages))?;
    Ok(project.target().join("debug").join(program("lowbit")))
}

/// The file name of a program here.
fn program(name: &str) -> PathBuf {
    Path::new(name).with_extension(std::env::consts::EXE_EXTENSION)
}
