//! `cargo xtask results`: repeats the tables of accuracy, from `docs/tables.toml`.
//!
//! What it prints has the columns of `docs/results.md`: top-1 (median, least and most over the seeds), size and time, below a
//! line with machine and commit. Rows that were run before at this commit are taken from `target/results`, so that an evening's
//! run can be cut short and gone on with.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};

use crate::step::{Project, succeed};

const TABLES: &str = "docs/tables.toml";
const SHARED: &str = "../shared";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    table: Vec<Table>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    name: String,
    title: String,
    /// Of `../shared/models`, trained on the images there; none: the network that is built in.
    #[serde(default)]
    networks: Vec<String>,
    limit: usize,
    #[serde(default)]
    target: Option<String>,
    #[serde(default = "one_seed")]
    seeds: Vec<u64>,
    recipes: Vec<String>,
}

fn one_seed() -> Vec<u64> {
    vec![0]
}

/// A network and what it is quantized and scored on.
struct Subject {
    name: String,
    network: PathBuf,
    train: PathBuf,
    test: PathBuf,
    preprocess: &'static str,
}

/// What one run gave.
#[derive(Clone, Deserialize, Serialize)]
struct Run {
    float_top1: f64,
    top1: f64,
    bytes: u64,
    seconds: f64,
}

/// What `lowbit doctor` finds.
#[derive(Deserialize)]
struct Machine {
    processor: Option<String>,
}

#[derive(Deserialize)]
struct Report {
    scores: Vec<Score>,
}

#[derive(Deserialize)]
struct Score {
    top1: Option<f64>,
    size_bytes: u64,
}

/// Runs the tables of these names, or all.
pub(crate) fn run(project: &Project, only: &[String], threads: usize) -> Result<()> {
    let File { table: tables } =
        toml::from_str(&fs::read_to_string(project.path(TABLES))?).context(TABLES)?;
    if let Some(unknown) = only.iter().find(|name| tables.iter().all(|table| table.name != **name)) {
        let names: Vec<&str> = tables.iter().map(|table| table.name.as_str()).collect();
        bail!("there is no table `{unknown}`; tables: {}", names.join(", "));
    }
    succeed(&mut project.cargo(&["build", "--release", "--locked", "--package", "lowbit"]))?;
    let git = |arguments: &[&str]| said(project.command("git").args(arguments));
    let (commit, changed) =
        (git(&["rev-parse", "--short", "HEAD"])?, !git(&["status", "--porcelain"])?.is_empty());
    let folder = project.target().join("results").join(if changed { "changed" } else { &commit });
    if changed && folder.is_dir() {
        // Of which changes it was is not known.
        fs::remove_dir_all(&folder)?;
    }
    fs::create_dir_all(&folder)?;
    let bench = Bench { project, lowbit: project.target().join("release/lowbit"), folder, threads };
    let changed = if changed { " with changes" } else { "" };
    println!("\nCommit `{commit}`{changed}, {}.\n", bench.machine()?);
    for table in tables.iter().filter(|table| only.is_empty() || only.contains(&table.name)) {
        bench.table(table)?;
    }
    Ok(())
}

/// What a command prints.
fn said(command: &mut Command) -> Result<String> {
    Ok(String::from_utf8_lossy(&command.output()?.stdout).trim().to_owned())
}

/// What all runs share.
struct Bench<'a> {
    project: &'a Project,
    /// The program.
    lowbit: PathBuf,
    /// Where what runs gave is kept.
    folder: PathBuf,
    threads: usize,
}

impl Bench<'_> {
    fn machine(&self) -> Result<String> {
        let machine = said(self.project.command(&self.lowbit).args(["doctor", "--json"]))?;
        let Machine { processor } = serde_json::from_str(&machine).context("lowbit doctor")?;
        let processor = processor.as_deref().unwrap_or("unknown processor");
        let compiler = said(self.project.command("rustc").arg("--version"))?;
        Ok(format!("{processor}, {} thread(s), {compiler}", self.threads))
    }

    fn table(&self, table: &Table) -> Result<()> {
        println!("## {}\n", table.title);
        if !table.networks.is_empty() && !self.project.path(SHARED).is_dir() {
            println!("SKIPPED: no {SHARED}\n");
            return Ok(());
        }
        println!("| network | recipe | float | top-1, median | least | most | kB | s |");
        println!("|---|---|---|---|---|---|---|---|");
        for subject in self.subjects(table)? {
            for recipe in &table.recipes {
                let runs = table.seeds.iter().map(|&seed| self.one(table, &subject, recipe, seed));
                println!("{}", row(&subject.name, recipe, &runs.collect::<Result<Vec<_>>>()?));
            }
        }
        println!();
        Ok(())
    }

    fn subjects(&self, table: &Table) -> Result<Vec<Subject>> {
        if table.networks.is_empty() {
            let demo = self.folder.join("demo");
            let mut command = self.project.command(&self.lowbit);
            succeed(command.arg("demo").arg("--out").arg(&demo).stdout(Stdio::null()))?;
            return Ok(vec![Subject {
                name: "digits".into(),
                network: demo.join("digits-float.onnx"),
                train: demo.join("digits-train.npz"),
                test: demo.join("digits-test.npz"),
                preprocess: "digits",
            }]);
        }
        let shared = self.project.path(SHARED);
        let subject = |name: &String| Subject {
            name: name.clone(),
            network: shared.join(format!("models/{name}.onnx")),
            train: shared.join("data/cifar10-jpeg-train.tar.gz"),
            test: shared.join("data/cifar10-jpeg-test.tar.gz"),
            preprocess: "imagenet-no-resize",
        };
        Ok(table.networks.iter().map(subject).collect())
    }

    /// One run, or what it gave before.
    fn one(&self, table: &Table, subject: &Subject, recipe: &str, seed: u64) -> Result<Run> {
        let stem = Path::new(recipe).file_stem().unwrap_or_default().to_string_lossy();
        let name = format!("{}-{}-{stem}-{seed}", table.name, subject.name);
        let known = self.folder.join(format!("{name}.json"));
        if let Some(run) = fs::read_to_string(&known).ok().and_then(|text| serde_json::from_str(&text).ok()) {
            return Ok(run);
        }
        let report = self.folder.join(format!("{name}-report.json"));
        let mut command = self.project.command(&self.lowbit);
        command.arg("quantize").arg(&subject.network).arg("--data").arg(&subject.train);
        command.arg("--validation").arg(&subject.test).args(["--preprocess", subject.preprocess]);
        command.args(["--recipe", recipe, "--limit", &table.limit.to_string(), "--seed", &seed.to_string()]);
        command.args(["--threads", &self.threads.to_string()]);
        if let Some(target) = &table.target {
            command.args(["--target", target]);
        }
        command.arg("-o").arg(self.folder.join(format!("{name}.onnx"))).arg("--report").arg(&report);
        let begun = Instant::now();
        succeed(command.stdout(Stdio::null()))?;
        let seconds = begun.elapsed().as_secs_f64();
        let report: Report = serde_json::from_str(&fs::read_to_string(&report)?)?;
        let [float, small] = report.scores.as_slice() else { bail!("{name}: the report has not two scores") };
        let top1 = |score: &Score| score.top1.context("the report has no top-1");
        let run = Run { float_top1: top1(float)?, top1: top1(small)?, bytes: small.size_bytes, seconds };
        fs::write(known, serde_json::to_string(&run)?)?;
        Ok(run)
    }
}

fn row(network: &str, recipe: &str, runs: &[Run]) -> String {
    let sorted = |of: &dyn Fn(&Run) -> f64| {
        let mut values: Vec<f64> = runs.iter().map(of).collect();
        values.sort_by(f64::total_cmp);
        values
    };
    let (top1, seconds) = (sorted(&|run| run.top1), sorted(&|run| run.seconds));
    let (middle, first) = (runs.len() / 2, &runs[0]);
    let mut text = format!("| {network} | `{recipe}` | {:.2} | {:.2} |", first.float_top1, top1[middle]);
    match runs {
        [_] => text += " | |",
        _ => _ = write!(text, " {:.2} | {:.2} |", top1[0], top1[top1.len() - 1]),
    }
    text + &format!(" {:.0} | {:.0} |", first.bytes as f64 / 1000.0, seconds[middle])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_parse_and_name_files_that_exist() {
        let project = Project::here(false, false);
        let File { table: tables } =
            toml::from_str(&fs::read_to_string(project.path(TABLES)).unwrap()).unwrap();
        assert!(tables.len() > 3);
        for recipe in
            tables.iter().flat_map(|table| &table.recipes).filter(|recipe| recipe.ends_with(".toml"))
        {
            assert!(project.path(recipe).is_file(), "{recipe}");
        }
    }

    #[test]
    fn a_row_has_the_median_over_seeds() {
        let run = |top1| Run { float_top1: 88.21, top1, bytes: 285_000, seconds: 3.4 };
        assert_eq!(
            row("net", "w3", &[run(87.5), run(88.0), run(87.0)]),
            "| net | `w3` | 88.21 | 87.50 | 87.00 | 88.00 | 285 | 3 |"
        );
        assert_eq!(row("net", "w3", &[run(87.5)]), "| net | `w3` | 88.21 | 87.50 | | | 285 | 3 |");
    }
}
