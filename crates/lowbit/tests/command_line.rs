//! What the program says on the command line: its help, and how it refuses.

use std::process::{Command, Output};

fn lowbit(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_lowbit"))
        .args(args)
        .env("COLUMNS", "100")
        .env("RUST_BACKTRACE", "1")
        .output()
        .unwrap()
}

/// Both streams and the exit code, as a reader of a log would see them.
fn said(args: &[&str]) -> String {
    let output = lowbit(args);
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    format!(
        "$ lowbit {}\n{}{}exit code {}",
        args.join(" "),
        text(output.stdout),
        text(output.stderr),
        output.status.code().unwrap()
    )
}

#[test]
fn help_opens_with_an_example() {
    insta::assert_snapshot!("help", said(&["--help"]));
    for command in [
        "demo", "inspect", "quantize", "search", "train", "embed", "evaluate", "run", "bench", "zoo",
        "methods", "targets", "ops",
    ] {
        let text = said(&[command, "--help"]);
        assert!(text.lines().nth(1).unwrap().starts_with(&format!("Example: lowbit {command}")), "{text}");
        insta::assert_snapshot!(format!("help-{command}"), text);
    }
}

#[test]
fn a_missing_file_is_refused_by_name() {
    let text = said(&["inspect", "no-such-model.onnx"]);
    assert!(text.contains("error: ") && text.contains("no-such-model.onnx"), "{text}");
    assert!(text.ends_with("exit code 1"), "{text}");
    assert!(!text.contains("backtrace"), "{text}");
}

#[test]
fn a_command_line_without_sense_is_a_usage_error() {
    insta::assert_snapshot!(
        "bad-flag",
        said(&["quantize", "m.onnx", "--data", "d", "-o", "o.onnx", "--bits", "4"])
    );
    insta::assert_snapshot!("bad-report", said(&["evaluate", "m.onnx", "--data", "d", "--report", "r.pdf"]));
    insta::assert_snapshot!("bad-limit", said(&["evaluate", "m.onnx", "--data", "d", "--limit", "0"]));
    insta::assert_snapshot!(
        "overwrite",
        said(&["quantize", "Cargo.toml", "--data", "d", "-o", "./Cargo.toml"])
    );
}

#[test]
fn an_output_that_cannot_be_written_is_refused_before_work() {
    insta::assert_snapshot!(
        "no-folder",
        said(&["quantize", "m.onnx", "--data", "d", "-o", "no/such/folder/o.onnx"])
    );
}

#[test]
fn operators_are_listed_one_per_line() {
    let text = String::from_utf8(lowbit(&["ops"]).stdout).unwrap();
    assert!(text.lines().any(|line| line == "Conv"), "{text}");
}
