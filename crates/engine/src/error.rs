//! Why a node could not be evaluated.

use lowbit_graph::ShapeError;
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
}
