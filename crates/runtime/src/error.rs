//! What a session refuses, and where.

use lowbit_engine::EngineError;
use lowbit_graph::passes::PassError;
use lowbit_kernels::{IsaError, ShapeError};
use lowbit_onnx::ReadError;
use std::path::PathBuf;

/// Why a network cannot be opened or run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RuntimeError {
    /// The file is not there.
    #[error("cannot read {path}")]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The bytes are no network that is understood.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The network cannot be brought into the form that lowering takes.
    #[error(transparent)]
    Prepare(#[from] PassError),
    /// A layer has a shape that no kernel takes.
    #[error("node `{node}`")]
    Shape {
        /// The layer.
        node: String,
        /// What about its shape.
        source: ShapeError,
    },
    /// `LOWBIT_ISA` names an instruction set that is not here.
    #[error(transparent)]
    Isa(#[from] IsaError),
    /// A part that stays float was refused or failed.
    #[error("in the float part of the network: {0}")]
    Float(#[from] EngineError),
    /// More than one input, or an input that is not float32 with one row per sample.
    #[error("input {name}: {found}; a session takes one float32 input whose first axis is the batch")]
    Input {
        /// Names of the inputs.
        name: String,
        /// What the file declares.
        found: String,
    },
    /// An output, or a float edge between two parts, that is not float32 with one row per sample.
    #[error("{place} `{name}`: {found}; a session computes float32 whose first axis is the batch")]
    Rows {
        /// `output` or `edge`.
        place: &'static str,
        /// Its name.
        name: String,
        /// What it is instead.
        found: String,
    },
    /// The numbers handed to `run` are not whole samples.
    #[error(
        "{found} numbers are not a whole number of samples of {expected} each, of which there must be one"
    )]
    SampleLen {
        /// Numbers given.
        found: usize,
        /// Numbers of a sample.
        expected: usize,
    },
    /// The threads cannot be started.
    #[error("cannot start {0} threads")]
    Threads(usize),
}
