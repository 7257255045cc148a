//! Why training cannot begin, or go on.

use lowbit_engine::{EngineError, GradientError};
use lowbit_graph::passes::PassError;
use lowbit_quantize::rows::RowsError;
use lowbit_quantize::strict::ConfigError;

/// A refusal.
#[derive(Debug, thiserror::Error)]
pub enum TrainError {
    /// No float weight, bias, scale or shift that a supported operator reads.
    #[error("the network has nothing to learn: no float weights of Conv, Gemm, MatMul or a normalization")]
    NothingToLearn,
    /// A weight quantizer for a layer that is not there.
    #[error("there is no layer `{0}` with a weight to quantize")]
    NoSuchLayer(String),
    /// An edge quantizer for an edge that is not there.
    #[error("there is no edge `{0}` to quantize")]
    NoSuchEdge(String),
    /// The graph with its quantizers is not one.
    #[error("the network with its quantizers: {0}")]
    Graph(String),
    /// A recipe that makes no sense.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The network cannot be run.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// The network cannot be differentiated.
    #[error(transparent)]
    Gradient(#[from] GradientError),
    /// A rewrite of the network failed.
    #[error(transparent)]
    Pass(#[from] PassError),
    /// The samples cannot be read back.
    #[error(transparent)]
    Rows(#[from] RowsError),
    /// Too few samples for one batch.
    #[error(
        "{samples} training samples do not fill one batch of {batch}; give more data, or lower `train.batch`"
    )]
    TooFewSamples {
        /// Samples there are.
        samples: usize,
        /// Samples of a batch.
        batch: usize,
    },
    /// A label that the network has no score for.
    #[error("sample {sample} has label {label}; the network has {classes} classes")]
    Label {
        /// Which sample.
        sample: usize,
        /// Its label.
        label: u32,
        /// Scores of the network.
        classes: usize,
    },
    /// The loss, or what is learned, stopped being a number.
    #[error(
        "the loss, or what is learned, is no longer a number at step {step} (epoch {epoch}): {suspect}; a smaller `train.learning_rate` usually helps"
    )]
    NotANumber {
        /// Step of the run.
        step: u64,
        /// Epoch of the run.
        epoch: u64,
        /// Which quantizer or weight moved furthest since the last good state, and where to.
        suspect: String,
    },
    /// A saved state of another run.
    #[error("what was saved is not of this run: {0}")]
    OtherRun(String),
    /// What the caller was asked to do failed.
    #[error(transparent)]
    Outside(#[from] Box<dyn std::error::Error + Send + Sync>),
}
