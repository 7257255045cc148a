//! `cargo xtask peers`: the same networks quantized by lowbit and by other tools, in one table (`scripts/peers.py`).
//!
//! The tools live in a virtual environment of their own, `target/peers`; one that cannot be installed here is left out, and the
//! table says so.

use std::path::PathBuf;

use anyhow::Result;

use crate::step::{Project, succeed};
use crate::venv::{install, made};

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
    made(project, &project.target().join("peers"), REQUIREMENTS, |python, wanted| {
        for package in wanted.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
            if let Err(error) = install(project, python, &[package]) {
                println!("{package} is left out: {error:#}");
            }
        }
        Ok(())
    })
}
