//! Searching for bits, and targets as files: the jobs, and what they give back.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Result;
pub use lowbit_quantize::search::space::Clip;
use serde::Serialize;

use crate::{DataSource, ModelSource, Progress, pipeline};

/// What a search keeps to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Goal {
    /// The smallest file that loses at most so many percentage points of accuracy.
    Drop(f64),
    /// The most accurate file of at most so many bytes.
    Size(u64),
    /// The most accurate network that takes at most so many milliseconds for a sample, by the target's costs.
    Latency(f64),
}

/// What to search for, and how.
#[derive(Clone, Debug)]
pub struct SearchJob {
    /// The float network.
    pub model: ModelSource,
    /// Samples to calibrate on and to judge by; a quarter of them is held out to check.
    pub data: DataSource,
    /// Name of a built-in target, or a TOML file.
    pub target: String,
    /// What is kept to.
    pub goal: Goal,
    /// Name of the tuner.
    pub tuner: String,
    /// Trials of tuners that do not end by themselves, or along a path.
    pub trials: usize,
    /// Widths offered.
    pub bits: Vec<u8>,
    /// Whether float is offered.
    pub float: bool,
    /// Ways of finding ranges that are offered, the default first.
    pub clips: Vec<Clip>,
    /// Whether symmetric edges are offered too.
    pub symmetric: bool,
    /// Where trials are kept, as lines of JSON; what is there already is not measured again.
    pub log: Option<PathBuf>,
    /// `(i, n)`: to measure only every n-th trial from the i-th on of those that do not depend on one another, and then stop.
    pub shard: Option<(usize, usize)>,
    /// Seed of everything random.
    pub seed: u64,
    /// At most this many samples, the first of a seeded shuffle.
    pub limit: Option<usize>,
    /// Worker threads; `None` for one per core.
    pub threads: Option<usize>,
    /// Name of a preprocessing preset, or a TOML file; `None` to choose from the data.
    pub preprocess: Option<String>,
    /// Memory for values kept at cuts, in bytes; `None` for a quarter of what is free.
    pub cache_bytes: Option<u64>,
    /// Whether points of the frontier are written, run and timed.
    pub time: bool,
    /// Whether to stop once it is said what the search would take.
    pub dry_run: bool,
}

/// What a search found.
#[derive(Clone, Debug)]
pub struct Found {
    /// The chosen network as an ONNX file; empty of a dry run or a shard.
    pub bytes: Vec<u8>,
    /// The recipe that reproduces it.
    pub recipe: String,
    /// Everything there is to tell.
    pub report: SearchReport,
}

/// What there is to tell of a search, as plain data.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct SearchReport {
    /// The network.
    pub model: String,
    /// Bytes of its float file.
    pub float_bytes: u64,
    /// The target.
    pub target: String,
    /// The tuner.
    pub tuner: String,
    /// What was kept to, in words.
    pub goal: String,
    /// Seed.
    pub seed: u64,
    /// Samples that decided, and those held out.
    pub samples: [usize; 2],
    /// Dimensions, and choices over all of them.
    pub space: [usize; 2],
    /// Trials measured now, and those that the log had.
    pub trials: [usize; 2],
    /// Trials per minute of those measured now.
    pub trials_per_minute: f64,
    /// How many times as much would have run without what trials share.
    pub reuse: f64,
    /// Points: those of the frontier, and uniform widths to compare with.
    pub points: Vec<Point>,
    /// Which of them was chosen.
    pub chosen: Option<usize>,
    /// Facts a reader should know.
    pub notes: Vec<String>,
}

/// A strategy that can be had.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Point {
    /// What it is: `w4a4` of a uniform one, else bits of weights on average.
    pub name: String,
    /// Whether it has one width for all weights and one for all edges.
    pub uniform: bool,
    /// Where no other point beats it.
    pub best: Best,
    /// Average bits of weights, and of edges that products read; float counts as 32.
    pub bits: [f64; 2],
    /// Loss on the samples that decided, and on those held out.
    pub loss: [f64; 2],
    /// Percentage points of accuracy lost on them.
    pub drop: [f64; 2],
    /// Bytes of the file: as predicted, and as written.
    pub bytes: (u64, Option<u64>),
    /// Milliseconds for a sample, by the target's costs.
    pub predicted_ms: Option<f64>,
    /// The same as measured on the runtime here, one sample at a time.
    pub measured_ms: Option<f64>,
    /// The recipe that reproduces it.
    pub recipe: String,
}

/// In what no other point shown is both better and closer to the float network.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Best {
    /// In bytes.
    pub size: bool,
    /// In milliseconds.
    pub time: bool,
}

impl Point {
    /// Bytes of the file: as written, else as predicted.
    pub fn size(&self) -> u64 {
        self.bytes.1.unwrap_or(self.bytes.0)
    }

    /// Milliseconds for a sample: as measured, else by the target's costs.
    pub fn ms(&self) -> Option<f64> {
        self.measured_ms.or(self.predicted_ms)
    }

    /// Loss over all samples of both kinds, each kind counting alike.
    pub fn mean_loss(&self) -> f64 {
        (self.loss[0] + self.loss[1]) / 2.0
    }
}

/// Searches for the best way to spend bits.
///
/// # Errors
/// When a file cannot be read or is refused, with the file and the place; when nothing keeps to the goal, with the nearest.
pub fn search(job: &SearchJob, progress: &dyn Progress) -> Result<Found> {
    pipeline::search(job, progress)
}

/// Joins logs of shards: the text of one log with every trial once.
///
/// # Errors
/// When one cannot be read or is of another search.
pub fn merge(logs: &[PathBuf]) -> Result<String> {
    pipeline::merge(logs)
}

/// The target of that name, or of the file at that path, checked.
///
/// # Errors
/// When there is none, or it is refused, with the place.
pub fn target(name: &str) -> Result<lowbit_quantize::Target> {
    pipeline::target(name)
}

/// What to time.
#[derive(Clone, Debug)]
pub struct MeasureJob {
    /// ONNX file of the float network whose operators are timed.
    pub model: PathBuf,
    /// Target that the written one extends: a built-in name.
    pub target: String,
    /// Samples per run.
    pub batch: usize,
    /// Runs of each strategy, of which the fastest few count.
    pub rounds: usize,
    /// About how long to time for, if that is less: each strategy has its turn once anyway.
    pub most: Duration,
    /// Widths of weights to time.
    pub bits: Vec<u8>,
}

/// Times our own kernels on what a network needs: the text of a target with the table.
///
/// # Errors
/// When the network or the target is refused, or cannot be run.
pub fn measure(job: &MeasureJob, progress: &dyn Progress) -> Result<String> {
    pipeline::measure(job, progress)
}
