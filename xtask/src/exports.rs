//! What lowbit writes, checked by tools that are not ours: the ONNX checker, ONNX Runtime, and a browser.
//!
//! The tools live in a virtual environment that is made here from pinned versions, as do those of the Python package;
//! `scripts/check_exports.py` says what is checked.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

use crate::step::{Outcome, Project, succeed};

const REQUIREMENTS: &str = "scripts/requirements.txt";

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

/// The interpreter of `.venv`, made anew whenever the pinned versions are not those it was made from.
pub(crate) fn environment(project: &Project) -> Result<PathBuf> {
    let folder = project.path(".venv");
    let python = python_of(&folder);
    let wanted = std::fs::read_to_string(project.path(REQUIREMENTS)).context(REQUIREMENTS)?;
    let made_from = folder.join("made-from.txt");
    if std::fs::read_to_string(&made_from).is_ok_and(|found| found == wanted) && python.is_file() {
        return Ok(python);
    }
    let base = python_for_environments(project)
        .context("no Python of version 3.11 or newer on the PATH (`cargo xtask test --fast` needs none)")?;
    println!("making {} from {REQUIREMENTS}", folder.display());
    succeed(project.command(base).args(["-m", "venv", "--clear"]).arg(&folder))?;
    let install =
        ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--only-binary", ":all:"];
    succeed(project.command(&python).args(install).args(["--requirement", REQUIREMENTS]))?;
    std::fs::write(made_from, wanted)?;
    ensure!(python.is_file(), "no {} after making the environment", python.display());
    Ok(python)
}

/// The interpreter of a virtual environment.
pub(crate) fn python_of(folder: &Path) -> PathBuf {
    if cfg!(windows) { folder.join("Scripts/python.exe") } else { folder.join("bin/python") }
}

/// A Python that environments can be made with.
pub(crate) fn python_for_environments(project: &Project) -> Option<&'static str> {
    ["python3", "python"].into_iter().find(|name| is_recent(project, name))
}

/// Whether a program is a Python that the pinned versions exist for.
fn is_recent(project: &Project, name: &str) -> bool {
    let test = "import sys; sys.exit(sys.version_info < (3, 11))";
    project.command(name).args(["-c", test]).status().is_ok_and(|status| status.success())
}

/// The file name of a program here.
fn program(name: &str) -> PathBuf {
    Path::new(name).with_extension(std::env::consts::EXE_EXTENSION)
}
