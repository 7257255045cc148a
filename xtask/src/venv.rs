//! Virtual environments of Python: made, filled, and made anew when what they are to have has changed.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

use crate::step::{Project, succeed};

const REQUIREMENTS: &str = "scripts/requirements.txt";

/// The interpreter of `.venv`, which has what checks need.
pub(crate) fn environment(project: &Project) -> Result<PathBuf> {
    made(project, &project.path(".venv"), REQUIREMENTS, |python, _| {
        install(project, python, &["--requirement", REQUIREMENTS])
    })
}

/// The interpreter of an environment that `fill` puts into what a file of requirements says, made anew whenever that is not what
/// it was made from.
pub(crate) fn made(
    project: &Project,
    folder: &Path,
    requirements: &str,
    fill: impl FnOnce(&Path, &str) -> Result<()>,
) -> Result<PathBuf> {
    let python = interpreter(folder);
    let wanted = std::fs::read_to_string(project.path(requirements)).context(requirements.to_owned())?;
    let made_from = folder.join("made-from.txt");
    if std::fs::read_to_string(&made_from).is_ok_and(|found| found == wanted) && python.is_file() {
        return Ok(python);
    }
    let base = ["python3", "python"].into_iter().find(|name| is_recent(project, name));
    let base = base
        .context("no Python of version 3.11 or newer on the PATH (`cargo xtask test --fast` needs none)")?;
    println!("making {} from {requirements}", folder.display());
    new(project, Path::new(base), folder, "--clear")?;
    fill(&python, &wanted)?;
    std::fs::write(made_from, wanted)?;
    ensure!(python.is_file(), "no {} after making the environment", python.display());
    Ok(python)
}

/// A new environment by the interpreter `base`, with an option of `venv`; its interpreter.
pub(crate) fn new(project: &Project, base: &Path, folder: &Path, option: &str) -> Result<PathBuf> {
    succeed(project.command(base).args(["-m", "venv", option]).arg(folder))?;
    Ok(interpreter(folder))
}

/// Installs into the environment of an interpreter; nothing is compiled.
pub(crate) fn install(project: &Project, python: &Path, what: &[impl AsRef<OsStr>]) -> Result<()> {
    let mut pip = project.command(python);
    pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--only-binary", ":all:"]);
    succeed(pip.args(what))
}

fn interpreter(folder: &Path) -> PathBuf {
    folder.join(if cfg!(windows) { "Scripts/python.exe" } else { "bin/python" })
}

/// Whether a program is a Python that the pinned versions exist for.
fn is_recent(project: &Project, name: &str) -> bool {
    let test = "import sys; sys.exit(sys.version_info < (3, 11))";
    project.command(name).args(["-c", test]).status().is_ok_and(|status| status.success())
}
