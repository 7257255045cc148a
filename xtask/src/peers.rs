//! `cargo xtask peers`: the same networks quantized by lowbit and by other tools, in one table (`scripts/peers.py`).
//!
//! The tools live in a virtual environment of their own, `target/peers`; one that cannot be installed here is left out, and the
//! table says so.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

use crate::exports::{python_for_environments, python_of};
use crate::step::{Project, succeed};

const REQUIREMENTS: &str = "scripts/requirements-peers.txt";
const NETWORKS: [&str; 2] = ["resnet20-cifar10", "mobilenetv2-cifar10"];

pub(crate) fn run(project: &Project, threads: usize) -> Result<()> {
    succeed(&mut project.cargo(&["build", "--release", "--locked", "--package", "lowbit"]))?;
    let python = environment(project)?;
    let compare = |arguments: &[PathBuf]| -> Result<()> {
        let mut command = project.command(&python);
        command.arg("scripts/peers.py").args(["--threads", &threads.to_string()]);
        command.arg("--lowbit").arg(project.target().join("release/lowbit"));
        succeed(command.args(arguments))
    };
    println!("\n## digits\n");
    compare(&[])?;
    let shared = project.path("../shared");
    if !shared.is_dir() {
        println!("\nSKIPPED: no ../shared: only the embedded network was compared");
        return Ok(());
    }
    for network in NETWORKS {
        println!("\n## {network}\n");
        compare(&[
            "--network".into(),
            shared.join(format!("models/{network}.onnx")),
            "--train".into(),
            shared.join("data/cifar10-jpeg-train.tar.gz"),
            "--test".into(),
            shared.join("data/cifar10-jpeg-test.tar.gz"),
        ])?;
    }
    Ok(())
}

/// The interpreter that has the other tools, as far as each can be installed.
fn environment(project: &Project) -> Result<PathBuf> {
    let folder = project.target().join("peers");
    let python = python_of(&folder);
    let wanted = std::fs::read_to_string(project.path(REQUIREMENTS)).context(REQUIREMENTS)?;
    let made_from = folder.join("made-from.txt");
    if std::fs::read_to_string(&made_from).is_ok_and(|found| found == wanted) && python.is_file() {
        return Ok(python);
    }
    let base = python_for_environments(project).context("no Python of version 3.11 or newer on the PATH")?;
    succeed(project.command(base).args(["-m", "venv", "--clear"]).arg(&folder))?;
    for package in wanted.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        if let Err(error) = install(project, &python, package) {
            println!("{package} is left out: {error:#}");
        }
    }
    ensure!(python.is_file(), "no {} after making the environment", python.display());
    std::fs::write(made_from, wanted)?;
    Ok(python)
}

fn install(project: &Project, python: &Path, package: &str) -> Result<()> {
    let install =
        ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--only-binary", ":all:", package];
    succeed(project.command(python).args(install))
}
