//! The verbs of the library: a plain job in, a plain value out.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Result;
use lowbit_quantize::report::{Report, Score};
pub use lowbit_quantize::run::Effort;
pub use lowbit_runtime::Session;
use lowbit_tensor::Tensor;
use serde::Serialize;

use crate::embedding::{EmbedBench, EmbedJob, EmbedReport, Hint};
use crate::{DataSource, Inspection, ModelSource, Progress, pipeline};

mod search;

pub use search::{
    Best, Clip, Found, Goal, MeasureJob, Point, SearchJob, SearchReport, measure, merge, search, target,
};

/// Target of training when none is named.
pub const DEFAULT_TRAINING_TARGET: &str = "products";

/// Recipe used when none is named.
pub const DEFAULT_RECIPE: &str = "w8a8";

/// Target used when none is named.
pub const DEFAULT_TARGET: &str = "onnxruntime";

/// What to quantize, and how.
#[derive(Clone, Debug)]
pub struct QuantizeJob {
    /// The float network.
    pub model: ModelSource,
    /// Samples to calibrate on.
    pub data: DataSource,
    /// Labelled samples to score on; without them the calibration samples serve.
    pub validation: Option<DataSource>,
    /// Name of a built-in recipe, or a TOML file.
    pub recipe: String,
    /// Name of a built-in target, or a TOML file.
    pub target: String,
    /// Form of the written file: `packed`, `container`, `textbook` or `qonnx`; `None` for the target's own.
    pub flavour: Option<String>,
    /// Seed of everything random; `None` for the recipe's.
    pub seed: Option<u64>,
    /// At most this many calibration samples, the first of a seeded shuffle.
    pub limit: Option<usize>,
    /// Worker threads; `None` for one per core.
    pub threads: Option<usize>,
    /// Name of a preprocessing preset, or a TOML file; `None` to choose from the data.
    pub preprocess: Option<String>,
    /// How long steps that learn go on.
    pub effort: Effort,
    /// Memory for what such steps keep of the samples, in bytes; `None` for half of what is free. More goes to
    /// temporary files beside `state`, or in the system's folder for them.
    pub cache_bytes: Option<u64>,
    /// Where steps that learn save what a killed run goes on from; `None` to save nothing. The file appears with the
    /// first thing worth saving, and [`Outcome::state`] says when it is to be removed.
    pub state: Option<PathBuf>,
    /// Whether to leave unused what a killed run saved.
    pub fresh: bool,
    /// Whether the report says how much each layer hurts alone (one more pass per layer).
    pub detail: bool,
    /// Whether to stop once everything is read and the plan is made: the report has no scores, the bytes are empty.
    pub dry_run: bool,
}

/// What `quantize` gives back.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The quantized network as an ONNX file.
    pub bytes: Vec<u8>,
    /// What it cost.
    pub report: Report,
    /// What a killed run would have gone on from: to be removed once the bytes are safe.
    pub state: Vec<PathBuf>,
}

/// What to train, and how.
#[derive(Clone, Debug)]
pub struct TrainJob {
    /// The float network.
    pub model: ModelSource,
    /// Labelled samples to train on.
    pub data: DataSource,
    /// Labelled samples to score on after each epoch.
    pub validation: Option<DataSource>,
    /// Name of a built-in training recipe, or a TOML file.
    pub recipe: String,
    /// Name of a built-in target, or a TOML file.
    pub target: String,
    /// Form of the written file; `None` for the target's own.
    pub flavour: Option<String>,
    /// Passes over the samples, of each stage; `None` for the recipe's.
    pub epochs: Option<u64>,
    /// Steps instead.
    pub steps: Option<u64>,
    /// Samples of a step; `None` for the recipe's.
    pub batch: Option<usize>,
    /// Base of the learning rate; `None` for the recipe's.
    pub learning_rate: Option<f64>,
    /// Whether the best validated epoch is written rather than the last.
    pub best: bool,
    /// Where each epoch leaves a line of JSON.
    pub metrics: Option<PathBuf>,
    /// Seed of everything random; `None` for the recipe's.
    pub seed: Option<u64>,
    /// At most this many training samples, the first of a seeded shuffle.
    pub limit: Option<usize>,
    /// Worker threads; `None` for one per core.
    pub threads: Option<usize>,
    /// Name of a preprocessing preset, or a TOML file; `None` to choose from the data.
    pub preprocess: Option<String>,
    /// Memory for the samples, in bytes; `None` for half of what is free. More goes to a temporary file.
    pub cache_bytes: Option<u64>,
    /// What a killed run goes on from; `None` to save nothing.
    pub state: Option<PathBuf>,
    /// Whether to leave unused what a killed run saved.
    pub fresh: bool,
    /// Whether to stop once everything is read and it is said what the run would take.
    pub dry_run: bool,
}

/// What runs a network.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Engine {
    /// The float engine, without the rounding of edges that the file has: what that rounding costs shows beside the
    /// other two.
    Float,
    /// The float engine, rounding where the file does.
    #[default]
    Simulated,
    /// The float engine on the arithmetic of the integer runtime, in which every sum is exact: a check of the latter.
    Exact,
    /// The integer runtime.
    Integer,
}

impl Engine {
    /// Every engine.
    pub const ALL: [Engine; 4] = [Engine::Float, Engine::Simulated, Engine::Exact, Engine::Integer];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Engine::Float => "float",
            Engine::Simulated => "simulated",
            Engine::Exact => "exact",
            Engine::Integer => "integer",
        }
    }
}

/// What to evaluate.
#[derive(Clone, Debug)]
pub struct EvaluateJob {
    /// Networks; the first is what the others are compared with.
    pub models: Vec<ModelSource>,
    /// What runs them; with several, each network is scored on each.
    pub engines: Vec<Engine>,
    /// Samples.
    pub data: DataSource,
    /// At most this many samples, from `skip` on in a seeded shuffle.
    pub limit: Option<usize>,
    /// Samples of that shuffle to leave out first: what another run took.
    pub skip: usize,
    /// Worker threads; `None` for one per core.
    pub threads: Option<usize>,
    /// Name of a preprocessing preset, or a TOML file; `None` to choose from the data.
    pub preprocess: Option<String>,
    /// Seed of the shuffle.
    pub seed: u64,
}

/// What to run on what.
#[derive(Clone, Debug)]
pub struct RunJob {
    /// The network.
    pub model: ModelSource,
    /// What runs it.
    pub engine: Engine,
    /// Samples.
    pub data: DataSource,
    /// At most this many samples, from `skip` on in a seeded shuffle.
    pub limit: Option<usize>,
    /// Samples of that shuffle to leave out first.
    pub skip: usize,
    /// Worker threads; `None` for one per core.
    pub threads: Option<usize>,
    /// Name of a preprocessing preset, or a TOML file; `None` to choose from the data.
    pub preprocess: Option<String>,
    /// Seed of the shuffle.
    pub seed: u64,
    /// Whether to give back the samples too, as the network saw them.
    pub with_samples: bool,
}

/// What to measure.
#[derive(Clone, Debug)]
pub struct BenchJob {
    /// The network.
    pub model: ModelSource,
    /// Samples per run.
    pub batch: usize,
    /// Worker threads; `None` for one per core.
    pub threads: Option<usize>,
    /// What runs it; `None` for integers where the file is quantized, else float.
    pub engine: Option<Engine>,
    /// How long to measure.
    pub duration: Duration,
    /// Whether to measure each node too.
    pub nodes: bool,
}

/// How fast a network ran.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Bench {
    /// Processor time of one image, all threads together, in seconds.
    pub seconds_per_image: f64,
    /// Half the runs took no longer, in milliseconds.
    pub latency_p50_ms: f64,
    /// 99 of 100 runs took no longer, in milliseconds.
    pub latency_p99_ms: f64,
    /// Images per second of wall time.
    pub images_per_second: f64,
    /// Samples per run.
    pub batch: usize,
    /// Worker threads.
    pub threads: usize,
    /// Most memory that the process held, in bytes; `None` where the system does not say.
    pub peak_bytes: Option<u64>,
    /// What ran it.
    pub engine: String,
    /// Instruction set of the kernels.
    pub isa: String,
    /// Runs measured.
    pub runs: usize,
    /// Bytes of weights in memory, of the integer engine.
    pub weight_bytes: Option<u64>,
    /// Nodes that the integer engine left in float, each with its reason.
    pub float_nodes: Vec<String>,
    /// Time of each node, if asked for.
    pub nodes: Vec<NodeTime>,
}

/// What one node cost.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct NodeTime {
    /// Its name.
    pub node: String,
    /// What it computes, with what is fused to it.
    pub what: String,
    /// Bytes of its weights in memory.
    pub weight_bytes: u64,
    /// Time on one thread, in seconds.
    pub seconds_per_image: f64,
}

/// An instruction set that kernels are built for and this machine has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct KernelSet {
    /// The name that `LOWBIT_ISA` takes.
    pub name: &'static str,
    /// Whether it is the one in use.
    pub chosen: bool,
}

/// What `demo` gives back.
#[derive(Clone, Debug)]
pub struct DemoOutcome {
    /// All variants side by side; layers of the last.
    pub report: Report,
    /// Name (without folder) and bytes of each ONNX file, and of the samples.
    pub files: Vec<(String, Vec<u8>)>,
}

/// Quantizes a network.
///
/// # Errors
/// When a file cannot be read or is refused, with the file and the place.
pub fn quantize(job: &QuantizeJob, progress: &dyn Progress) -> Result<Outcome> {
    pipeline::quantize(job, progress)
}

/// Trains a network, in few bits or in float.
///
/// # Errors
/// When a file cannot be read or is refused, with the file and the place; when the loss stops being a number.
pub fn train(job: &TrainJob, progress: &dyn Progress) -> Result<Outcome> {
    pipeline::train(job, progress)
}

/// Scores networks side by side.
///
/// # Errors
/// When a file cannot be read or is refused, with the file and the place.
pub fn evaluate(job: &EvaluateJob, progress: &dyn Progress) -> Result<Vec<Score>> {
    pipeline::evaluate(job, progress)
}

/// Runs a network on samples; arrays by name, with the samples along the first axis.
///
/// `index` (int64) says which samples, in storage order; `y` (int64) their labels where the data has some; `x` the
/// samples themselves where the job asks for them; every other array is an output of the network, under its name. An
/// output whose name one of these has is called `NAME_output`.
///
/// # Errors
/// When a file cannot be read or is refused, with the file and the place; when an output has no axis of samples.
pub fn run(job: &RunJob, progress: &dyn Progress) -> Result<Vec<(String, Tensor)>> {
    pipeline::run(job, progress)
}

/// A network in the integer runtime, on threads of its own; `None` for one per core.
///
/// # Errors
/// When the network cannot be read or is refused, with the place.
pub fn session(model: impl Into<ModelSource>, threads: Option<usize>) -> Result<Session> {
    pipeline::session(&model.into(), threads)
}

/// Measures how fast a network runs on this machine.
///
/// # Errors
/// When the file cannot be read or is refused, with the file and the place.
pub fn bench(job: &BenchJob, progress: &dyn Progress) -> Result<Bench> {
    pipeline::bench(job, progress)
}

/// The instruction sets of this machine that kernels are built for, fastest first.
///
/// # Errors
/// When `LOWBIT_ISA` names one that is not here.
pub fn kernels() -> Result<Vec<KernelSet>> {
    let chosen = lowbit_kernels::Isa::from_env()?.name();
    let set = |isa: lowbit_kernels::Isa| KernelSet { name: isa.name(), chosen: isa.name() == chosen };
    Ok(lowbit_kernels::Isa::supported().map(set).collect())
}

/// Reads a network and says what is in it.
///
/// # Errors
/// When the file cannot be read or is refused, with the place.
pub fn inspect(model: impl Into<ModelSource>) -> Result<Inspection> {
    pipeline::inspect(&model.into())
}

/// Extents of one sample that a network takes, without the batch axis.
///
/// # Errors
/// When the network cannot be read or is refused, with the place, or takes more than one input.
pub fn input_shape(model: impl Into<ModelSource>) -> Result<Vec<usize>> {
    pipeline::input_shape(&model.into())
}

/// Quantizes the embedded network with several recipes and compares them.
///
/// # Errors
/// When the program was built without its embedded network.
pub fn demo(progress: &dyn Progress) -> Result<DemoOutcome> {
    pipeline::demo(progress)
}

/// A reference network as an ONNX file.
///
/// # Errors
/// When it cannot be written, which would be a fault of ours.
pub fn zoo(entry: &crate::zoo::Entry, seed: u64) -> Result<Vec<u8>> {
    Ok(lowbit_onnx::write_bytes(&entry.build(seed), &lowbit_onnx::WriteOptions::default())?)
}

/// Every method there is.
pub fn methods() -> &'static [lowbit_quantize::method::Entry] {
    lowbit_quantize::methods::ALL
}

/// Quantizes an embedding table into `output`, a file whose path says the container (`.npy`, `.safetensors`), or nowhere, to
/// know what it would cost. The table is streamed; what is in the file after an error is not a table.
///
/// # Errors
/// When the table or the options are refused, or a file cannot be read or written.
pub fn embed(job: &EmbedJob, output: Option<(&Path, File)>, progress: &dyn Progress) -> Result<EmbedReport> {
    pipeline::embed(job, output, progress)
}

/// An ONNX network with the tables that its `Gather` nodes read packed (or the one that the job names), and their names.
///
/// # Errors
/// When the network or the options are refused.
pub fn embed_network(job: &EmbedJob) -> Result<(Vec<u8>, Vec<String>)> {
    pipeline::embed_network(job)
}

/// Decodes a packed table into `output`; its rows and columns. `hint` is needed where the file does not say what its rows are.
///
/// # Errors
/// When a file is refused, or cannot be read or written.
pub fn restore_embedding(
    table: &Path,
    hint: Option<Hint>,
    output: (&Path, File),
    threads: Option<usize>,
    progress: &dyn Progress,
) -> Result<(u64, usize)> {
    pipeline::restore_embedding(table, hint, output, threads, progress)
}

/// Compares a packed table with the floats that it was made of.
///
/// # Errors
/// When a file is refused, shapes differ, or the table was made of another one.
pub fn verify_embedding(
    table: &Path,
    hint: Option<Hint>,
    floats: &Path,
    tensor: Option<&str>,
    threads: Option<usize>,
    progress: &dyn Progress,
) -> Result<EmbedReport> {
    pipeline::verify_embedding(table, hint, floats, tensor, threads, progress)
}

/// How fast a table is quantized (where it is one of floats) and bags of `pooling` random rows are looked up, `bags` at a time.
///
/// # Errors
/// When the table is refused.
pub fn bench_embedding(
    job: &EmbedJob,
    hint: Option<Hint>,
    pooling: usize,
    bags: usize,
) -> Result<EmbedBench> {
    pipeline::bench_embedding(job, hint, pooling, bags)
}
