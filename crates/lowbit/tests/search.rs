//! A search from the command line: its result, its refusals, going on after a kill, and shards on machines of their own.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// A folder of its own, where the program runs.
struct Place(tempfile::TempDir);

impl Place {
    fn new() -> Place {
        Place(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn read(&self, name: &str) -> Vec<u8> {
        fs::read(self.path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    fn lowbit<A: AsRef<std::ffi::OsStr>>(&self, args: &[A]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_lowbit")).args(args).current_dir(self.0.path()).output().unwrap()
    }

    /// A small search over the built-in network, with these further arguments.
    fn search(&self, more: &[&str]) -> Output {
        self.lowbit(&[vec!["search".to_owned()], small(), owned(more)].concat())
    }

    /// One task of the array job of `docs/search`, as Slurm would start it.
    fn task(&self, task: usize, of: usize, more: &[&str]) -> Output {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let program = Path::new(env!("CARGO_BIN_EXE_lowbit")).parent().unwrap();
        let path = format!("{}:{}", program.display(), std::env::var("PATH").unwrap_or_default());
        Command::new("sh")
            .arg(root.join("docs/search/array.sbatch"))
            .args([small(), owned(more)].concat())
            .env("PATH", path)
            .env("SLURM_ARRAY_TASK_ID", task.to_string())
            .env("SLURM_ARRAY_TASK_COUNT", of.to_string())
            .current_dir(self.0.path())
            .output()
            .unwrap()
    }
}

fn owned(args: &[&str]) -> Vec<String> {
    args.iter().map(|&arg| arg.to_owned()).collect()
}

fn assets() -> [String; 2] {
    ["digits.onnx", "digits-train.npz"].map(|name| format!("{}/assets/{name}", env!("CARGO_MANIFEST_DIR")))
}

/// What is searched, how long and among what.
fn small() -> Vec<String> {
    let [model, data] = assets();
    let rest = "--preprocess digits --limit 120 --budget 6 --bits 8,3 --no-timing";
    [owned(&[&model, "--data", &data]), rest.split(' ').map(str::to_owned).collect()].concat()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn done(output: Output) -> String {
    assert!(output.status.success(), "{}{}", text(&output.stdout), text(&output.stderr));
    text(&output.stdout)
}

fn refused(output: Output) -> String {
    assert_eq!(output.status.code(), Some(1), "{}", text(&output.stdout));
    text(&output.stderr)
}

#[test]
fn a_search_gives_a_network_a_recipe_that_reproduces_it_and_a_page() {
    let place = Place::new();
    let said = done(place.search(&[
        "--max-size",
        "40kB",
        "-o",
        "a.onnx",
        "--pareto",
        "a.html",
        "--trials",
        "a.jsonl",
    ]));
    assert!(said.contains('▶'), "{said}");
    assert!(text(&place.read("a.html")).contains("data-point"));
    let network = place.read("a.onnx");
    assert!(network.len() <= 40_000, "{}", network.len());
    let [model, data] = assets();
    let args = ["quantize", &model, "--data", &data, "--preprocess", "digits", "--limit", "120"];
    done(place.lowbit(&[&args[..], &["--recipe", "a.toml", "-o", "again.onnx"]].concat()));
    assert_eq!(place.read("again.onnx"), network);
}

#[test]
fn a_killed_search_goes_on_and_shards_come_to_what_one_machine_does() {
    let place = Place::new();
    let goal = ["--max-size", "40kB"];
    let with = |more: &[&str]| place.search(&[&goal[..], more].concat());
    done(with(&["-o", "whole.onnx", "--trials", "whole.jsonl"]));
    // Killed in the middle of a line.
    let log = text(&place.read("whole.jsonl"));
    fs::write(place.path("cut.jsonl"), &log[..log.len() / 2]).unwrap();
    let said = done(with(&["-o", "cut.onnx", "--trials", "cut.jsonl"]));
    assert!(!said.contains("(0 from the log)"), "{said}");
    assert_eq!(place.read("cut.onnx"), place.read("whole.onnx"));
    for task in 0..2 {
        done(place.task(task, 2, &goal));
    }
    done(place.lowbit(&["search", "merge", "part-0.jsonl", "part-1.jsonl", "-o", "merged.jsonl"]));
    done(with(&["-o", "merged.onnx", "--trials", "merged.jsonl"]));
    assert_eq!(place.read("merged.onnx"), place.read("whole.onnx"));
    let sorted = |name: &str| {
        let text = text(&place.read(name));
        let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
        lines.sort();
        lines
    };
    assert_eq!(sorted("merged.jsonl"), sorted("whole.jsonl"), "trials do not depend on who measured them");
}

#[test]
fn limits_that_cannot_be_kept_and_logs_of_others_are_refused() {
    let place = Place::new();
    let nearest = refused(place.search(&["--max-size", "1kB", "-o", "a.onnx", "--tuner", "default"]));
    assert!(nearest.contains("nearest found takes about"), "{nearest}");
    assert!(!place.path("a.onnx").exists());
    let costs = refused(place.search(&["--max-latency", "1", "-o", "a.onnx", "--target", "generic-int8"]));
    assert!(costs.contains("generic-int8") && costs.contains("[cost]"), "{costs}");
    let shard = refused(place.search(&["--tuner", "greedy", "--shard", "0/2", "--trials", "t.jsonl"]));
    assert!(shard.contains("cannot be spread"), "{shard}");
    let other = r#"{"lowbit_search":1,"model":"abc","samples":"s","space":"g"}"#;
    fs::write(place.path("other.jsonl"), format!("{other}\n")).unwrap();
    let log = refused(place.search(&["-o", "a.onnx", "--trials", "other.jsonl", "--tuner", "default"]));
    assert!(log.contains("other network: abc there"), "{log}");
    let dry = done(place.search(&["--dry-run"]));
    assert!(dry.contains("dry run") && dry.contains("nothing was written"), "{dry}");
}

#[test]
fn fewer_ways_make_a_smaller_space() {
    let place = Place::new();
    let goal = ["--max-size", "1MB", "-o", "a.onnx", "--tuner", "default"];
    let with = |more: &[&str]| place.search(&[&goal[..], more].concat());
    let all = done(with(&[]));
    let few = done(with(&["--clips", "minmax", "--no-symmetric", "--no-float"]));
    let choices = |said: &str| -> usize {
        let line = said.lines().find(|line| line.contains("choices")).unwrap();
        line.split(' ').nth(3).unwrap().parse().unwrap()
    };
    assert!(4 * choices(&few) < 2 * choices(&all), "{all}{few}");
    let recipe = text(&place.read("a.toml"));
    assert!(recipe.contains("minmax") && !recipe.contains("mse"), "{recipe}");
    let wrong = with(&["--clips", "kl"]);
    assert_eq!(wrong.status.code(), Some(2));
    assert!(text(&wrong.stderr).contains("there are mse, minmax, percentile"), "{}", text(&wrong.stderr));
}

#[test]
fn times_measured_here_are_a_target_that_a_search_can_use() {
    let place = Place::new();
    let [model, _] = assets();
    let args = ["targets", "measure", &model, "--bits", "8,3", "--rounds", "2"];
    done(place.lowbit(&[&args[..], &["-o", "here.toml"]].concat()));
    let said = done(place.lowbit(&["targets", "check", "here.toml"]));
    assert!(said.contains("can be used"), "{said}");
    done(place.search(&[
        "--target",
        "here.toml",
        "--max-latency",
        "1000",
        "-o",
        "a.onnx",
        "--tuner",
        "default",
    ]));
    let error =
        refused(place.search(&["--target", "here.toml", "--max-latency", "0.0000001", "-o", "a.onnx"]));
    assert!(error.contains("nearest found takes"), "{error}");
}
