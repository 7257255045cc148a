//! Float meaning of every operator: a plain twin that defines the answer, and the fast execution that equals it.
//!
//! [`Network`] runs a graph: each node by its fast form, with the group that follows it fused in, or else by its plain
//! twin ([`evaluate`]). Knows graphs and kernels; knows no quantization method and no file.

mod batch;
mod compile;
mod error;
mod form;
mod fusion;
mod gradient;
mod network;
pub mod ops;
mod program;
mod rows;
mod slots;

pub use batch::bindings;
pub use error::{EngineError, EvalError};
pub use form::Layout;
pub use gradient::{
    BatchStatistics, Differentiable, GradientError, Gradients, Outside, Parameter, Rounding, Training,
};
pub use network::Network;
pub use ops::{evaluate, evaluate_for_pass, gradient, step_gradient};
pub use program::View;
