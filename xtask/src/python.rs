//! The Python package: its wheel is built, installed into an environment that has nothing else, and tested.
//!
//! The wheel has the profile of the other tests, whose objects are there already; a published one is `maturin build --release`.
//! Tests with PyTorch are opt-in, as it is 3 GB.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

use crate::exports::build;
use crate::step::{Outcome, Project, succeed};
use crate::venv::{self, environment, install};

/// No wheel may be larger.
const WHEEL_BYTES: u64 = 15_000_000;
const TORCH: &str = "torch==2.15.0";

pub(crate) fn check(project: &Project) -> Result<Outcome> {
    if project.fast {
        return Ok(Outcome::Skipped("--fast: the Python package was not built".into()));
    }
    let program = build(project)?;
    let python = environment(project)?;
    let wheel = wheel(project, &python)?;
    let bytes = fs::metadata(&wheel)?.len();
    ensure!(bytes < WHEEL_BYTES, "{} has {bytes} bytes, at most {WHEEL_BYTES} are allowed", wheel.display());
    readme(project, &python, &wheel)?;
    install(project, &python, &[wheel.as_os_str(), "--no-deps".as_ref(), "--force-reinstall".as_ref()])?;
    succeed(project.command(&python).args(["-m", "mypy", "python/lowbit", "python/tests"]))?;
    let mut tests = project.command(&python);
    tests.args(["-m", "pytest", "-m", "not torch"]).env("LOWBIT", &program);
    succeed(&mut tests)?;
    let size = format!("wheel of {:.1} MB", bytes as f64 / 1e6);
    if !project.torch {
        return Ok(Outcome::Remark(format!("{size}; --torch tests with PyTorch too")));
    }
    torch(project, &python, &wheel)?;
    Ok(Outcome::Remark(format!("{size}; with PyTorch")))
}

/// The wheel, built now.
fn wheel(project: &Project, python: &Path) -> Result<PathBuf> {
    let folder = project.target().join("wheels");
    // A wheel of another version would be found beside it.
    let _ = fs::remove_dir_all(&folder);
    let mut maturin = project.command(python);
    maturin.args(["-m", "maturin", "build", "--profile", "dev", "--locked", "--quiet", "--interpreter"]);
    succeed(maturin.arg(python).arg("--out").arg(&folder).env("CARGO_TARGET_DIR", project.target()))?;
    let files = fs::read_dir(&folder)?.filter_map(|entry| Some(entry.ok()?.path()));
    let mut wheels = files.filter(|path| path.extension().is_some_and(|e| e == "whl"));
    wheels.next().with_context(|| format!("no wheel in {}", folder.display()))
}

/// The README's example, where nothing but the wheel and what it asks for is installed.
fn readme(project: &Project, base: &Path, wheel: &Path) -> Result<()> {
    let folder = project.target().join("clean-venv");
    let python = venv::new(project, base, &folder, "--clear")?;
    install(project, &python, &[wheel])?;
    succeed(project.command(python).arg("python/tests/readme.py"))
}

/// Tests that need PyTorch: with the interpreter that `LOWBIT_TORCH_PYTHON` names, whose packages stay as they are, or in an
/// environment that is made here.
fn torch(project: &Project, base: &Path, wheel: &Path) -> Result<()> {
    let python = match std::env::var_os("LOWBIT_TORCH_PYTHON") {
        Some(python) => PathBuf::from(python),
        None => {
            let folder = project.target().join("torch");
            let python = venv::new(project, base, &folder, "--system-site-packages")?;
            let packages = [TORCH, "numpy", "onnx", "onnxruntime"];
            install(project, &python, &packages)?;
            python
        }
    };
    let site = project.target().join("torch-site");
    let _ = fs::remove_dir_all(&site);
    let place = ["--target".as_ref(), site.as_os_str(), "--no-deps".as_ref()];
    let needed = ["pytest", "iniconfig", "pluggy", "packaging", "Pygments", "onnxscript", "onnx_ir"]
        .map(AsRef::as_ref);
    install(project, base, &[&place[..], &[wheel.as_os_str()], &needed[..]].concat())?;
    let mut tests = project.command(python);
    succeed(tests.args(["-m", "pytest", "-m", "torch"]).env("PYTHONPATH", site))
}
