//! What a run found, as plain data: the text, JSON, Markdown and HTML renderings all read this and nothing else.

use serde::{Deserialize, Serialize};

/// Everything that one `quantize` (or `demo`) run has to say.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// The network as it was read.
    pub model: Model,
    /// What was asked for.
    pub job: Job,
    /// One row per variant compared, the float network first.
    pub scores: Vec<Score>,
    /// One entry per quantizable layer, in network order.
    pub layers: Vec<Layer>,
    /// Embedding tables whose rows were quantized.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tables: Vec<EmbeddingTable>,
    /// What stayed in float, and why.
    pub kept_float: Vec<KeptFloat>,
    /// Facts a reader should know: choices made, deviations, warnings.
    pub notes: Vec<String>,
    /// Wall seconds of each stage, in order.
    pub stages: Vec<Stage>,
    /// How training went, where there was some.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub training: Option<TrainingLog>,
}

/// How training went.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct TrainingLog {
    /// Quantizers, by layer or edge, in the order of [`Epoch::learned`].
    pub names: Vec<String>,
    /// Epochs done.
    pub epochs: Vec<Epoch>,
}

/// What one epoch came to.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Epoch {
    /// Its number, from 1.
    pub epoch: u64,
    /// Steps done at its end.
    pub step: u64,
    /// Stage of the run, from 1.
    pub stage: u64,
    /// Learning rate of its last step.
    pub learning_rate: f64,
    /// Mean loss of its samples, as each step found them.
    pub loss: f64,
    /// Correct first guesses on them, in percent.
    pub train_top1: f64,
    /// The same on the validation samples at its end.
    pub validation_top1: Option<f64>,
    /// Wall seconds of its steps (of those since the run last began, where it was killed within the epoch).
    pub seconds: f64,
    /// Samples per second.
    pub images_per_second: f64,
    /// The step or clip of each quantizer at its end.
    pub learned: Vec<f32>,
}

/// The network as it was read.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Model {
    /// Name in the file, or the file's name.
    pub name: String,
    /// Inputs as `name: float32[N,3,32,32]`.
    pub inputs: Vec<String>,
    /// Outputs likewise.
    pub outputs: Vec<String>,
    /// Trained parameters.
    pub parameters: u64,
    /// Multiply-accumulates per sample.
    pub macs: u64,
    /// Size of the file in bytes.
    pub file_bytes: u64,
    /// Number of nodes after preparation.
    pub nodes: usize,
}

/// What was asked for.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Job {
    /// Name of the recipe.
    pub recipe: String,
    /// The whole recipe, as TOML that reproduces the run.
    pub recipe_toml: String,
    /// Target.
    pub target: String,
    /// Form of the written file.
    pub flavour: String,
    /// Seed of everything random.
    pub seed: u64,
    /// Where the samples came from.
    pub data: String,
    /// Calibration samples used.
    pub calibration_samples: usize,
    /// Preprocessing, as TOML.
    pub preprocess_toml: String,
    /// How long steps that learn went on: `fast`, `balanced` or `best`; `None` where no step does.
    pub effort: Option<String>,
    /// Worker threads.
    pub threads: usize,
    /// Program version.
    pub version: String,
}

/// How one variant of the network does on the evaluation samples.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Score {
    /// What it is: `float`, `w8a8`, `w4a4-aciq`, or a file.
    pub model: String,
    /// What ran it, where it was chosen: `float`, `simulated`, `integer`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub engine: Option<String>,
    /// Average bits as text, such as `W4A4` or `float32`.
    pub bits: String,
    /// Samples evaluated.
    pub samples: usize,
    /// Correct first guesses in percent; `None` without labels.
    pub top1: Option<f64>,
    /// Label among the first five guesses, in percent; `None` without labels or with at most five classes.
    pub top5: Option<f64>,
    /// Same first guess as the first variant, in percent.
    pub agreement: Option<f64>,
    /// Signal-to-quantization-noise ratio of the outputs against the first variant, in dB; `None` for the first
    /// itself and where there is no noise.
    pub sqnr_db: Option<f64>,
    /// Size of the file (or of what it would be) in bytes.
    pub size_bytes: u64,
    /// How each class fares beside the first variant, in order of labels; empty for the first itself and without labels.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub classes: Vec<Class>,
}

/// What became of the samples of one class.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Class {
    /// Name of its folder, or the number of its label.
    pub name: String,
    /// Samples of it.
    pub samples: usize,
    /// Correct first guesses of the first variant.
    pub before: usize,
    /// Correct first guesses of this one.
    pub after: usize,
    /// What it is taken for more often than by the first variant, most of all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub taken_for: Option<Confusion>,
}

/// Another class that samples are taken for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Confusion {
    /// Its name.
    pub class: String,
    /// How many samples more than with the first variant.
    pub more: usize,
}

/// One quantizable layer: a convolution or matrix product with what is fused to it, or an operator on quantized edges.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Layer {
    /// Name of the node.
    pub name: String,
    /// Operators in it, such as `Conv + Add + Relu`.
    pub op: String,
    /// Output shape for one sample.
    pub output_shape: Vec<usize>,
    /// Multiply-accumulates per sample.
    pub macs: u64,
    /// The layers whose results it reads, by their place among the layers; what lies between has no bits to tell of.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reads: Vec<usize>,
    /// Its weight, if it has one.
    pub weight: Option<Weight>,
    /// Its output edge, if that is quantized.
    pub activation: Option<Activation>,
    /// How it reads its operand, where that is through a window.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub window: Option<WindowUse>,
    /// SQNR of the network's output, in dB, when only this layer is quantized: low means it hurts.
    pub alone_sqnr_db: Option<f64>,
}

/// A quantized weight.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Weight {
    /// Shape as in the file.
    pub shape: Vec<usize>,
    /// Average bits per element.
    pub bits: f64,
    /// Number of channels at each width 0..=8, or empty if all are alike.
    pub channels_by_bits: Vec<usize>,
    /// Bytes of its packed codes and scales.
    pub bytes: u64,
    /// Bytes in float32.
    pub float_bytes: u64,
    /// SQNR of the weight itself in dB.
    pub sqnr_db: Option<f64>,
    /// Recipe steps that set it, such as `mse, bit-allocation`.
    pub set_by: String,
}

/// A quantized activation edge.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Activation {
    /// Name of the edge.
    pub name: String,
    /// Bits.
    pub bits: u8,
    /// Lowest real value that has a code.
    pub clip_lo: f32,
    /// Highest real value that has a code.
    pub clip_hi: f32,
    /// Real values of the codes, ascending, where they are not evenly spaced; of the first channel.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub levels: Vec<f32>,
    /// Smallest value seen in calibration.
    pub min: f32,
    /// Largest value seen.
    pub max: f32,
    /// Share of values outside the clip, in percent.
    pub clipped_percent: f64,
    /// SQNR of the edge in dB, from its histogram.
    pub sqnr_db: Option<f64>,
    /// What calibration saw.
    pub histogram: Histogram,
    /// Recipe steps that set it.
    pub set_by: String,
}

/// An operand read through a window of few bits, and what of it calibration samples use.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct WindowUse {
    /// The window, such as `4 bits, shifts 4 3 2 1 0, round, pairs`.
    pub window: String,
    /// Bits of the window.
    pub bits: u8,
    /// Share of operands that are zero, in percent.
    pub zero_percent: f64,
    /// Share of pairs with one zero, in percent.
    pub one_zero_percent: f64,
    /// Share of pairs of two zeros, in percent.
    pub both_zero_percent: f64,
    /// Places of the window: exponents of its lowest bit.
    pub shifts: Vec<u8>,
    /// Share of the operands that are not zero with the window at each of `shifts`, in percent.
    pub shift_percent: Vec<f64>,
    /// Share of the operands that are not zero that get two windows, beside a zero, in percent.
    pub wide_percent: f64,
    /// Bits of an operand that change from one to the next on its multiplier: were all 8 bits multiplied.
    pub flips_of_8_bits: f64,
    /// The same of window codes.
    pub flips_of_window: f64,
    /// The same of the shift and of the weight's selection.
    pub flips_of_control: f64,
}

/// Counts in bins of equal width.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Histogram {
    /// Lower edge of the first bin.
    pub lo: f32,
    /// Width of a bin.
    pub width: f32,
    /// Values in each bin.
    pub counts: Vec<u64>,
}

/// A table that `Gather` picks rows of, each row quantized on its own.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct EmbeddingTable {
    /// Name of the constant.
    pub name: String,
    /// Rows.
    pub rows: usize,
    /// Values of a row.
    pub columns: usize,
    /// Bits of a code.
    pub bits: u8,
    /// How rows got their grids.
    pub method: String,
    /// Bytes of codes, scales and biases.
    pub bytes: u64,
    /// Bytes as they were.
    pub float_bytes: u64,
    /// Normalised L2 loss `‖X − X'‖ / ‖X‖` over all values.
    pub loss: f64,
}

/// A node that stays in float.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct KeptFloat {
    /// Node name.
    pub node: String,
    /// Operator.
    pub op: String,
    /// Why, in plain words.
    pub reason: String,
}

/// A stage and its wall time.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Stage {
    /// What was done.
    pub name: String,
    /// Wall seconds.
    pub seconds: f64,
}
