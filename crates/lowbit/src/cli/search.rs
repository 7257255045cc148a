//! `lowbit search`: the best way to spend bits on a target, within a limit.

use std::path::{Path, PathBuf};

use anyhow::Result;
use clap::Subcommand;
use clap::builder::PossibleValuesParser;
use lowbit::facade::{self, Clip, Goal, SearchJob};
use lowbit::{Progress as _, render};
use lowbit_quantize::search::tuners;

use super::progress::Bars;
use super::{files, print, shared, size, usage};

/// Percentage points that may be lost when no limit is given.
const DROP: f64 = 0.5;

/// Search for the best bits of every layer and edge, within a limit on accuracy, size or time
#[derive(clap::Args)]
#[command(
    before_help = "Example: lowbit search model.onnx --data photos/ --max-drop 0.5 -o small.onnx --pareto frontier.html --trials trials.jsonl",
    args_conflicts_with_subcommands = true,
    subcommand_negates_reqs = true
)]
pub(super) struct Args {
    #[command(subcommand)]
    action: Option<Action>,

    #[command(flatten)]
    job: Job,
}

#[derive(Subcommand)]
enum Action {
    Merge(Merge),
}

/// Join the trials of shards into one file
#[derive(clap::Args)]
#[command(before_help = "Example: lowbit search merge part-0.jsonl part-1.jsonl -o trials.jsonl")]
struct Merge {
    /// Trials of one search each
    #[arg(required = true)]
    logs: Vec<PathBuf>,

    /// Where they go
    #[arg(short, long, value_name = "FILE.jsonl")]
    output: PathBuf,
}

#[derive(clap::Args)]
struct Job {
    /// Network to search for (ONNX, float)
    #[arg(required = true)]
    model: Option<PathBuf>,

    /// Image folder (class sub-folders), .tar(.gz) of one, .npy, .npz, CIFAR binary or IDX; a quarter is held out
    #[arg(long, value_name = "DATA", required = true)]
    data: Option<PathBuf>,

    /// Where the chosen network goes; the recipe that reproduces it goes beside it, as OUT.toml
    #[arg(short, long, value_name = "OUT.onnx", required_unless_present_any = ["dry_run", "shard"])]
    output: Option<PathBuf>,

    /// Built-in target or a TOML file (`lowbit targets`)
    #[arg(long, value_name = "NAME|FILE", default_value = facade::DEFAULT_TARGET)]
    target: String,

    /// Smallest file that loses at most so many percentage points of accuracy [default: 0.5]
    #[arg(long, value_name = "POINTS", group = "goal", value_parser = not_negative)]
    max_drop: Option<f64>,

    /// Most accurate file of at most this size, as in 120kB
    #[arg(long, value_name = "SIZE", group = "goal", value_parser = size::parse)]
    max_size: Option<u64>,

    /// Most accurate network that takes at most so many milliseconds for a sample, by the target's costs
    #[arg(long, value_name = "MS", group = "goal", value_parser = not_negative)]
    max_latency: Option<f64>,

    /// How strategies are walked through
    #[arg(long, value_name = "TUNER", default_value = "sensitivity", value_parser = tuner_names())]
    tuner: String,

    /// Trials along a path, or of tuners that do not end by themselves
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = shared::positive)]
    budget: usize,

    /// Widths offered for weights and edges
    #[arg(long, value_name = "BITS", value_delimiter = ',', default_value = "8,4,3,2", value_parser = clap::value_parser!(u8).range(2..=8))]
    bits: Vec<u8>,

    /// Do not offer float
    #[arg(long)]
    no_float: bool,

    /// Ways of finding ranges that are offered, the default first; fewer make a search shorter
    #[arg(long, value_name = "WAYS", value_delimiter = ',', default_value = "mse,minmax,percentile", value_parser = clip)]
    clips: Vec<Clip>,

    /// Do not offer symmetric edges
    #[arg(long)]
    no_symmetric: bool,

    /// Page with everything there is to choose from: accuracy against size and time, each point with its recipe
    #[arg(long, value_name = "FILE.html")]
    pareto: Option<PathBuf>,

    /// Where trials are kept; what a killed run left there is not measured again
    #[arg(long, value_name = "FILE.jsonl")]
    trials: Option<PathBuf>,

    /// Measure only shard I of N (from 0) of the trials that do not depend on one another, into --trials
    #[arg(long, value_name = "I/N", requires = "trials", conflicts_with_all = ["output", "pareto"], value_parser = shard)]
    shard: Option<(usize, usize)>,

    /// Memory for values that trials share, as in 512MiB [default: a quarter of what is free]
    #[arg(long, value_name = "SIZE", value_parser = size::parse)]
    cache_bytes: Option<u64>,

    /// Do not time what is on the page
    #[arg(long)]
    no_timing: bool,

    /// Say what the search would take, and stop
    #[arg(long)]
    dry_run: bool,

    /// Preprocessing: a preset (imagenet, cifar10, none, …) or a TOML file [default: chosen from the data]
    #[arg(long, value_name = "NAME|FILE")]
    preprocess: Option<String>,

    /// Use at most N samples, the first of a seeded shuffle
    #[arg(long, value_name = "N", default_value_t = 1024, value_parser = shared::positive)]
    limit: usize,

    /// Worker threads [default: one per core]
    #[arg(long, value_name = "N", value_parser = shared::positive)]
    threads: Option<usize>,

    /// Seed of everything random
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,
}

fn tuner_names() -> PossibleValuesParser {
    PossibleValuesParser::new(tuners::ALL.iter().map(|(name, _, _)| *name))
}

fn clip(text: &str) -> Result<Clip, String> {
    Clip::ALL.into_iter().find(|clip| clip.name() == text).ok_or_else(|| {
        format!("there is no way `{text}`; there are {}", Clip::ALL.map(Clip::name).join(", "))
    })
}

fn not_negative(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(x) if x.is_finite() && x >= 0.0 => Ok(x),
        _ => Err("not a number from 0".to_owned()),
    }
}

fn shard(text: &str) -> Result<(usize, usize), String> {
    let parsed: Option<(usize, usize)> =
        text.split_once('/').and_then(|(i, n)| Some((i.parse().ok()?, n.parse().ok()?)));
    match parsed {
        Some((i, n)) if i < n => Ok((i, n)),
        _ => Err("say which of how many, from 0: 0/4, 1/4, 2/4 or 3/4".to_owned()),
    }
}

pub(super) fn run(args: &Args) -> Result<()> {
    if let Some(Action::Merge(merge)) = &args.action {
        files::check_all([merge.output.as_path()], merge.logs.iter().map(PathBuf::as_path))?;
        let whole = [(merge.output.clone(), facade::merge(&merge.logs)?.into_bytes())];
        files::write(&whole)?;
        return print::written(&whole);
    }
    let job = &args.job;
    let (Some(model), Some(data)) = (&job.model, &job.data) else {
        return Err(usage("say which network and which samples: MODEL --data DATA".into()));
    };
    let output = job.output.as_ref().filter(|_| !job.dry_run);
    let recipe = output.map(|path| path.with_extension("toml"));
    let page = job.pareto.as_ref().filter(|_| !job.dry_run);
    let written = [output, recipe.as_ref(), page, job.trials.as_ref()].into_iter().flatten();
    let named = [Some(&job.target), job.preprocess.as_ref()].into_iter().flatten().map(Path::new);
    // Before an hour of work, not after it.
    files::check_all(
        written.map(PathBuf::as_path),
        [model.as_path(), data.as_path()].into_iter().chain(named),
    )?;
    let goal = match (job.max_size, job.max_latency) {
        (Some(bytes), _) => Goal::Size(bytes),
        (_, Some(ms)) => Goal::Latency(ms),
        _ => Goal::Drop(job.max_drop.unwrap_or(DROP)),
    };
    let search = SearchJob {
        model: model.into(),
        data: data.into(),
        target: job.target.clone(),
        goal,
        tuner: job.tuner.clone(),
        trials: job.budget,
        bits: job.bits.clone(),
        float: !job.no_float,
        clips: job.clips.clone(),
        symmetric: !job.no_symmetric,
        log: job.trials.clone(),
        shard: job.shard,
        seed: job.seed,
        limit: Some(job.limit),
        threads: job.threads,
        preprocess: job.preprocess.clone(),
        cache_bytes: job.cache_bytes,
        time: !job.no_timing,
        dry_run: job.dry_run,
    };
    let bars = Bars::new();
    let found = facade::search(&search, &bars)?;
    bars.finish();
    let mut whole: Vec<files::File> = Vec::new();
    if let Some(output) = output {
        whole.push((output.clone(), found.bytes));
        whole.extend(recipe.map(|path| (path, found.recipe.into_bytes())));
    }
    if let Some(page) = page {
        whole.push((page.clone(), render::pareto::page(&found.report).into_bytes()));
    }
    files::write(&whole)?;
    print::told(&render::pareto::text(&found.report, print::style()))?;
    print::written(&whole)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shards_are_counted_from_zero() {
        assert_eq!((shard("0/2"), shard("3/4")), (Ok((0, 2)), Ok((3, 4))));
        for text in ["2/2", "1", "a/2", "0/0"] {
            assert!(shard(text).is_err(), "{text}");
        }
    }
}
