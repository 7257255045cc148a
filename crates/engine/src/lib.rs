//! Float meaning of every operator: a plain twin that defines the answer, and the fast execution that equals it.
//!
//! [`Network`] runs a graph: compiled per batch size ([`program`]), each node by its fast form ([`form`]) or else by
//! its plain twin ([`ops::evaluate`]). Knows graphs and kernels; knows no quantization method and no file.

mod error;
mod form;
mod network;
pub mod ops;
mod program;

pub use error::{EngineError, EvalError};
pub use form::Layout;
pub use network::{Network, bindings};
pub use ops::{evaluate, evaluate_for_pass};
pub use program::View;
