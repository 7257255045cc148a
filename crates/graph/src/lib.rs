//! The typed network: operators with their attributes, shape rules and quantization roles, and the passes that
//! rewrite it. Knows no file format, no arithmetic and no policy.
//!
//! * [`Graph`] is a plain value: nodes in topological order over an arena of [`Value`]s.
//! * [`Op`] has one variant per operator; each operator is one file in `ops/`.
//! * [`passes`] prepare a graph for work; each is one function in one file with its reason.

pub mod attributes;
mod graph;
pub mod ops;
pub mod passes;
pub mod shape;

pub use attributes::{Attribute, AttributeError, Attributes};
pub use graph::{Dim, Graph, GraphError, Node, NodeId, Value, ValueId};
pub use ops::{Op, OpSpec, Role};
pub use shape::{Input, Inputs, ShapeError, TensorType, broadcast};
