//! Proofs for the crate with `unsafe` in it, opt-in: they take minutes, and tools that not every machine has. What is missing
//! is said and skipped, never passed over.
//!
//! Miri interprets the plain kernels and finds undefined behaviour; vector code runs under the address sanitizer, or where
//! there is no nightly compiler under valgrind; the kernels of another processor run in an emulator; a fuzz target
//! throws random shapes at convolutions.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::step::{Outcome, Project, Step, succeed};

/// In the order of what they cost.
pub(crate) const STEPS: &[Step] = &[
    Step { name: "aarch64", run: aarch64 },
    Step { name: "memory", run: memory },
    Step { name: "miri", run: miri },
    Step { name: "fuzz", run: fuzz },
];

const HOST: &str = "x86_64-unknown-linux-gnu";
const AARCH64: &str = "aarch64-unknown-linux-gnu";
/// The linker, the emulator and where its programs find their libraries, as Debian's packages `gcc-aarch64-linux-gnu`,
/// `qemu-user` and `libc6-dev-arm64-cross` have them.
const LINKER: &str = "aarch64-linux-gnu-gcc";
const EMULATOR: &str = "qemu-aarch64";
const LIBRARIES: &str = "/usr/aarch64-linux-gnu";
/// Tests of kernels, the arguments that name them.
const KERNELS: [&str; 4] = ["test", "-p", "lowbit-kernels", "--lib"];
/// Seconds of fuzzing.
const FUZZING: u32 = 60;

/// Whether a program answers at all.
fn answers(program: &str, arguments: &[&str]) -> bool {
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

/// Cargo of the nightly toolchain, with arguments and an own folder for what it builds.
fn nightly(project: &Project, folder: &str, arguments: &[&str]) -> Command {
    let mut command = project.command("rustup");
    command.args(["run", "nightly", "cargo"]).args(arguments);
    command.env("CARGO_TARGET_DIR", project.target().join(folder)).env_remove("RUSTFLAGS");
    command
}

/// The integer kernels for 64-bit Arm, every instruction set of theirs against the plain twins, in an emulator.
fn aarch64(project: &Project) -> Result<Outcome> {
    let sysroot =
        project.command("rustc").args(["--print", "target-libdir", "--target", AARCH64]).output()?;
    if !PathBuf::from(String::from_utf8_lossy(&sysroot.stdout).trim()).is_dir() {
        return Ok(Outcome::Skipped(format!("no standard library; `rustup target add {AARCH64}`")));
    }
    if !answers(LINKER, &["--version"]) {
        return Ok(Outcome::Skipped(format!("no linker `{LINKER}`")));
    }
    let mut build = project.cargo(&KERNELS);
    build.args(["--target", AARCH64]).env("CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER", LINKER);
    // As the others, apart from what is built day by day, which may be at work meanwhile.
    build.env("CARGO_TARGET_DIR", project.target().join("aarch64"));
    if !answers(EMULATOR, &["--version"]) {
        succeed(build.arg("--no-run"))?;
        return Ok(Outcome::Remark(format!("compiled, not run: no `{EMULATOR}`")));
    }
    let runner = format!("{EMULATOR} -cpu max -L {LIBRARIES}");
    build.env("CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_RUNNER", runner);
    succeed(build.args(["--", "integer::", "isa::"]))?;
    Ok(Outcome::Passed)
}

/// Vector code of this processor: no access outside of what it was given.
fn memory(project: &Project) -> Result<Outcome> {
    if answers("rustup", &["run", "nightly", "rustc", "--version"]) {
        let mut tests = nightly(project, "sanitized", &KERNELS);
        // Apart from build scripts, which run without it, hence a target by name. `catch_unwind` of tests is no leak.
        tests.args(["--target", HOST, "--", "integer::"]);
        tests.env("RUSTFLAGS", "-Zsanitizer=address").env("ASAN_OPTIONS", "detect_leaks=0");
        succeed(&mut tests)?;
        return Ok(Outcome::Remark("address sanitizer".into()));
    }
    if !answers("valgrind", &["--version"]) {
        return Ok(Outcome::Skipped("neither a nightly toolchain nor valgrind".into()));
    }
    valgrind(project)?;
    Ok(Outcome::Remark("valgrind: no nightly toolchain".into()))
}

fn valgrind(project: &Project) -> Result<()> {
    let mut build = project.cargo(&KERNELS);
    let output = build.args(["--no-run", "--message-format=json"]).stderr(Stdio::inherit()).output()?;
    if !output.status.success() {
        bail!("the tests do not build");
    }
    // The last program that cargo names is the test.
    let messages = String::from_utf8_lossy(&output.stdout);
    let program = messages
        .lines()
        .rev()
        .find_map(|line| line.split("\"executable\":\"").nth(1)?.split('"').next())
        .context("cargo named no test program")?;
    let mut run = project.command("valgrind");
    // Lengths and addresses, which is what kernels can get wrong; a twentieth of the cases takes as long as all do without it.
    run.args(["--error-exitcode=9", "--undef-value-errors=no", "--quiet", program, "integer::"]);
    succeed(run.env("PROPTEST_CASES", "20"))
}

/// The plain kernels, interpreted.
fn miri(project: &Project) -> Result<Outcome> {
    if !answers("rustup", &["run", "nightly", "cargo", "miri", "--version"]) {
        return Ok(Outcome::Skipped("no Miri; `rustup +nightly component add miri rust-src`".into()));
    }
    let mut tests = nightly(project, "miri", &["miri"]);
    tests.args(KERNELS).args(["--", "integer::"]);
    // Property tests look for saved cases, in a folder.
    tests.env("MIRIFLAGS", "-Zmiri-disable-isolation").env("PROPTEST_CASES", "4");
    succeed(&mut tests)?;
    Ok(Outcome::Passed)
}

/// A minute of random shapes and numbers.
fn fuzz(project: &Project) -> Result<Outcome> {
    if !answers("rustup", &["run", "nightly", "cargo", "fuzz", "--version"]) {
        return Ok(Outcome::Skipped(
            "no cargo-fuzz; `cargo install cargo-fuzz` and a nightly toolchain".into(),
        ));
    }
    let time = format!("-max_total_time={FUZZING}");
    let arguments = ["fuzz", "run", "int_conv", "--", "-max_len=512", &time];
    succeed(&mut nightly(project, "fuzz", &arguments))?;
    Ok(Outcome::Passed)
}
