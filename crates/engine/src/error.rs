//! Why a node, or a whole network, could not be evaluated.

use lowbit_graph::ShapeError;
use lowbit_graph::passes::PassError;
use lowbit_tensor::{DType, TensorError};

/// Why an operator could not be evaluated on its inputs. The node's name is added by the caller.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum EvalError {
    /// Inputs do not fit together.
    #[error(transparent)]
    Shape(#[from] ShapeError),
    /// The result cannot be held.
    #[error(transparent)]
    Tensor(#[from] TensorError),
    /// The operator is not defined for this element type.
    #[error("{op} is not defined for {dtype}")]
    DType {
        /// Operator name.
        op: &'static str,
        /// Element type found.
        dtype: DType,
    },
    /// A gradient was asked for through a result that does not change smoothly with the inputs.
    #[error("no gradient passes through {op}: its result is rounded, or of integers")]
    NotDifferentiable {
        /// Operator name.
        op: &'static str,
    },
    /// An integer was divided by zero.
    #[error("an integer is divided by zero")]
    DivisionByZero,
}

/// Why a network could not be compiled or run.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// A node failed.
    #[error("node `{node}`: {source}")]
    Node {
        /// Its name.
        node: String,
        /// Why.
        source: EvalError,
    },
    /// Shapes could not be worked out.
    #[error(transparent)]
    Pass(#[from] PassError),
    /// An array could not be made.
    #[error(transparent)]
    Tensor(#[from] TensorError),
    /// The number of inputs differs.
    #[error("the network takes {expected} input(s), found {found}")]
    InputCount {
        /// Inputs of the network.
        expected: usize,
        /// Inputs given.
        found: usize,
    },
    /// An input has another element type.
    #[error("an input is {0}; the network takes {1}")]
    InputType(DType, DType),
    /// An input has another shape.
    #[error("input `{name}` is {found:?}; the network takes {expected}")]
    InputShape {
        /// Name of the input.
        name: String,
        /// Shape given.
        found: Vec<usize>,
        /// Shape declared, as text.
        expected: String,
    },
    /// No rows, or rows that are no multiple of those that the file fixes.
    #[error("a batch of {found}; the network takes batches of {expected}")]
    Batch {
        /// Rows given.
        found: usize,
        /// Rows of a chunk.
        expected: usize,
    },
    /// More memory than any plan could want.
    #[error("{what} would take more than {limit} bytes")]
    TooLarge {
        /// What is too large.
        what: String,
        /// Bytes allowed.
        limit: usize,
    },
    /// More memory than the system gives.
    #[error("the system refuses {0} bytes of working memory")]
    OutOfMemory(usize),
    /// A tap names a value that nothing computes.
    #[error("value `{0}` cannot be observed: nothing computes it")]
    Tap(String),
    /// The forced instruction set is not available.
    #[error(transparent)]
    Isa(#[from] lowbit_kernels::IsaError),
}
