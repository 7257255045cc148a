//! `lowbit train` as a person types it: killed and started again, refused, and looked at.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use lowbit_tensor::{Data, Tensor};

/// A folder with an untrained network and labelled digits of noise over a pattern per class.
struct Place(tempfile::TempDir);

impl Place {
    fn new() -> Place {
        let place = Place(tempfile::tempdir().unwrap());
        let output = place.lowbit(&["zoo", "lenet-digits", "-o", "net.onnx"]);
        assert!(output.status.success(), "{}", said(&output));
        place.samples("data.npz", 96, 10);
        place
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn bytes(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    fn samples(&self, name: &str, count: usize, classes: usize) {
        let mut state = 5u64;
        let mut noise = move || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 40) as f32 / (1u64 << 24) as f32
        };
        let labels: Vec<i64> = (0..count).map(|i| (i % classes) as i64).collect();
        let pixel = |i: usize| (labels[i / 64] as usize * 7 + i % 64) % 11 < 4;
        let x = (0..64 * count).map(|i| noise() + if pixel(i) { 1.0 } else { 0.0 }).collect();
        let arrays = [
            ("x".to_owned(), Tensor::from_f32([count, 1, 8, 8], x)),
            ("y".to_owned(), Tensor::new(vec![count], Data::I64(labels)).unwrap()),
        ];
        std::fs::write(self.path(name), lowbit::render::npz::arrays(&arrays).unwrap()).unwrap();
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_lowbit"));
        command.args(args).current_dir(self.0.path());
        command
    }

    fn lowbit(&self, args: &[&str]) -> Output {
        self.command(args).output().unwrap()
    }

    /// Trains into `output`, with further arguments.
    fn train<'a>(&self, output: &'a str, more: &[&'a str]) -> Command {
        let usual = ["train", "net.onnx", "--data", "data.npz", "--batch", "16", "-o", output];
        self.command(&[&usual, more].concat())
    }
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&[output.stdout.as_slice(), &output.stderr].concat()).into_owned()
}

fn waits_for(path: &Path) {
    let begun = Instant::now();
    while !path.exists() {
        assert!(begun.elapsed() < Duration::from_secs(120), "{} never came", path.display());
        std::thread::sleep(Duration::from_millis(2));
    }
}

#[test]
fn a_killed_run_goes_on_to_the_same_bytes() {
    let place = Place::new();
    for recipe in ["w2a2-lcq", "sq-bwn", "float"] {
        let more = ["--recipe", recipe, "--epochs", "12", "--seed", "3"];
        let whole = place.train("whole.onnx", &more).output().unwrap();
        assert!(whole.status.success(), "{}", said(&whole));
        assert!(!place.path("whole.onnx.state").exists());
        let mut cut = place.train("cut.onnx", &more).stdout(std::process::Stdio::null()).spawn().unwrap();
        waits_for(&place.path("cut.onnx.state"));
        cut.kill().unwrap();
        cut.wait().unwrap();
        let again = place.train("cut.onnx", &more).output().unwrap();
        assert!(again.status.success(), "{}", said(&again));
        assert!(place.bytes("cut.onnx") == place.bytes("whole.onnx"), "{recipe}: {}", said(&again));
    }
}

#[test]
fn metrics_have_a_line_per_epoch_and_the_report_shows_them() {
    let place = Place::new();
    let more = [
        "--recipe",
        "w3a3-lsq",
        "--epochs",
        "3",
        "--validation",
        "data.npz",
        "--metrics",
        "m.jsonl",
        "--report",
        "r.html",
        "--best",
    ];
    let output = place.train("out.onnx", &more).output().unwrap();
    assert!(output.status.success(), "{}", said(&output));
    let lines = String::from_utf8(place.bytes("m.jsonl")).unwrap();
    assert_eq!(lines.lines().count(), 3, "{lines}");
    assert!(lines.lines().all(|line| line.contains("\"validation_top1\"")), "{lines}");
    let page = String::from_utf8(place.bytes("r.html")).unwrap();
    assert!(page.contains("Steps and clips") && page.contains("Learning rate"));
}

#[test]
fn states_that_are_cut_short_or_of_another_run_are_refused_and_kept() {
    let place = Place::new();
    let more = ["--recipe", "w2a2-lsq", "--epochs", "200"];
    let mut run = place.train("out.onnx", &more).stdout(std::process::Stdio::null()).spawn().unwrap();
    waits_for(&place.path("out.onnx.state"));
    run.kill().unwrap();
    run.wait().unwrap();
    let state = place.bytes("out.onnx.state");
    let other = place.train("out.onnx", &[&more[..], &["--seed", "9"]].concat()).output().unwrap();
    assert_eq!(other.status.code(), Some(1));
    assert!(said(&other).contains("another run: seed 0 there, 9 here"), "{}", said(&other));
    std::fs::write(place.path("out.onnx.state"), &state[..state.len() / 2]).unwrap();
    let short = place.train("out.onnx", &more).output().unwrap();
    assert_eq!(short.status.code(), Some(1));
    assert!(said(&short).contains("out.onnx.state") && said(&short).contains("--fresh"), "{}", said(&short));
    assert_eq!(place.bytes("out.onnx.state").len(), state.len() / 2);
    let fresh =
        place.train("out.onnx", &["--recipe", "w2a2-lsq", "--epochs", "1", "--fresh"]).output().unwrap();
    assert!(fresh.status.success(), "{}", said(&fresh));
}

#[test]
fn what_cannot_be_trained_on_is_refused_with_both_sides() {
    let place = Place::new();
    let refused = |more: &[&str]| {
        let output = place.train("out.onnx", more).output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{}", said(&output));
        assert!(!place.path("out.onnx").exists());
        said(&output)
    };
    let text = refused(&["--recipe", "w2a2-lqc"]);
    assert!(text.contains("did you mean `w2a2-lcq`"), "{text}");
    let text = refused(&["--recipe", "w2a2-lsq", "--learning-rate", "1e30"]);
    assert!(text.contains("no longer a number") && text.contains("moved furthest"), "{text}");
    place.samples("data.npz", 96, 12);
    let text = refused(&["--recipe", "float"]);
    assert!(text.contains("11") && text.contains("10"), "{text}");
    place.samples("data.npz", 8, 4);
    let text = refused(&["--recipe", "float"]);
    assert!(text.contains("8 training samples do not fill one batch of 16"), "{text}");
}

#[test]
fn a_dry_run_says_what_a_run_would_take() {
    let place = Place::new();
    let output = place.train("out.onnx", &["--recipe", "w2a2-lcq", "--dry-run"]).output().unwrap();
    assert!(output.status.success() && !place.path("out.onnx").exists(), "{}", said(&output));
    assert!(
        said(&output).contains("60 steps of 16 samples") && said(&output).contains("a step takes"),
        "{}",
        said(&output)
    );
}
