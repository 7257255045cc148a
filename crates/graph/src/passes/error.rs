//! Why a pass refused a graph.

use crate::{GraphError, Node, ShapeError};

/// Why a pass refused a graph; every message names the node or input.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum PassError {
    /// An extent of an input is symbolic and no number was given for it.
    #[error("input `{input}`: the extent `{symbol}` is not bound to a number")]
    Unbound {
        /// Name of the graph input.
        input: String,
        /// Name of the extent.
        symbol: String,
    },
    /// A graph input has no declared type.
    #[error("input `{0}` has no declared type")]
    UntypedInput(String),
    /// A node's shape rule refused its inputs.
    #[error("{op} `{node}`: {source}")]
    Shape {
        /// Operator.
        op: &'static str,
        /// Name of the node.
        node: String,
        /// Why.
        source: ShapeError,
    },
    /// A node on constants could not be computed.
    #[error("{op} `{node}`: {reason}")]
    Evaluate {
        /// Operator.
        op: &'static str,
        /// Name of the node.
        node: String,
        /// Why.
        reason: String,
    },
    /// A tensor would be absurdly large.
    #[error("{op} `{node}`: a result of shape {shape:?} is beyond the limit of {limit} bytes")]
    TooLarge {
        /// Operator, or `input` for a graph input.
        op: &'static str,
        /// Name of the node.
        node: String,
        /// Shape of the result.
        shape: Vec<usize>,
        /// Most bytes allowed.
        limit: usize,
    },
    /// A node reads a value that no earlier node, constant or input provides.
    #[error("{op} `{node}` reads `{value}`, which nothing before it produces")]
    Unordered {
        /// Operator.
        op: &'static str,
        /// Name of the node.
        node: String,
        /// Name of the value.
        value: String,
    },
    /// A node has more outputs than its operator gives.
    #[error("{op} `{node}` has {found} outputs, its operator gives {given}")]
    Outputs {
        /// Operator.
        op: &'static str,
        /// Name of the node.
        node: String,
        /// Outputs of the node.
        found: usize,
        /// Outputs of the operator on these inputs.
        given: usize,
    },
    /// The graph breaks its own rules.
    #[error(transparent)]
    Graph(#[from] GraphError),
}

impl PassError {
    pub(super) fn shape(node: &Node, source: ShapeError) -> PassError {
        PassError::Shape { op: node.op.name(), node: node.name.clone(), source }
    }

    pub(super) fn evaluate(node: &Node, reason: String) -> PassError {
        PassError::Evaluate { op: node.op.name(), node: node.name.clone(), reason }
    }

    pub(super) fn too_large(node: &Node, shape: &[usize], limit: usize) -> PassError {
        PassError::TooLarge { op: node.op.name(), node: node.name.clone(), shape: shape.to_vec(), limit }
    }

    pub(super) fn outputs(node: &Node, given: usize) -> PassError {
        let (op, node, found) = (node.op.name(), node.name.clone(), node.outputs.len());
        PassError::Outputs { op, node, found, given }
    }
}
