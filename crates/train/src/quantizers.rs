//! How values become few bits while they are trained, one file each.
//!
//! A weight keeps a float shadow that the optimizer moves; each step the network sees what its [`WeightQuantizer`] makes
//! of it, and the gradient comes back through it. An edge is rounded by an [`EdgeQuantizer`] inside the engine's tape.
//! Both have a few learned parameters of their own (a step, a clip, a shape), kept by the trainer like any other.

mod binary;
mod by_channel;
mod clip;
mod companding;
mod lcq;
mod lcq_edge;
mod lsq;
mod stochastic;

pub use binary::{Binary, Ternary, Threshold};
pub use by_channel::ByChannel;
pub use clip::{gaussian_clip, search_clip};
pub use companding::Companding;
pub use lcq::{Lcq, StraightThrough};
pub use lcq_edge::LcqEdge;
pub use lsq::{Lsq, LsqEdge, Start};
pub use stochastic::{Draw, Form, Probability, Stochastic, Unit};

use lowbit_engine::Rounding;
use std::sync::Arc;

impl<Q: WeightQuantizer + ?Sized> WeightQuantizer for Box<Q> {
    fn len(&self) -> usize {
        (**self).len()
    }

    fn start(&self, shadow: &[f32]) -> Vec<f32> {
        (**self).start(shadow)
    }

    fn forward(&self, parameters: &[f32], shadow: &[f32], draw: Option<Draw>, out: &mut [f32]) {
        (**self).forward(parameters, shadow, draw, out);
    }

    fn backward(&self, parameters: &[f32], shadow: &[f32], grad: &mut [f32], by_parameter: &mut [f32]) {
        (**self).backward(parameters, shadow, grad, by_parameter);
    }

    fn constrain(&self, parameters: &mut [f32]) {
        (**self).constrain(parameters);
    }

    fn code(&self, parameters: &[f32], shadow: &[f32]) -> Coded {
        (**self).code(parameters, shadow)
    }
}

/// The codes that a weight ended at: `value = code · scale`, with one scale or one per output channel.
#[derive(Clone, Debug, PartialEq)]
pub struct Coded {
    /// Integers within ±127, one per weight.
    pub codes: Vec<i32>,
    /// Positive; one, or one per channel.
    pub scale: Vec<f32>,
    /// Which integers a code can be, ascending.
    pub levels: Vec<i32>,
}

/// A weight on its way to few bits.
pub trait WeightQuantizer: Send + Sync {
    /// Number of learned parameters; their first values are what [`WeightQuantizer::start`] gives.
    fn len(&self) -> usize;

    /// Whether nothing is learned but the weight itself.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Parameters to begin with, for a weight as it is.
    fn start(&self, shadow: &[f32]) -> Vec<f32>;

    /// What the network sees: `out = Q(shadow)`. `draw` is the step's randomness; evaluation has none.
    fn forward(&self, parameters: &[f32], shadow: &[f32], draw: Option<Draw>, out: &mut [f32]);

    /// Takes the gradient of what the network saw back to the shadow, in place, and writes that of the parameters.
    fn backward(&self, parameters: &[f32], shadow: &[f32], grad: &mut [f32], by_parameter: &mut [f32]);

    /// Brings parameters back to where they make sense after an update.
    fn constrain(&self, _parameters: &mut [f32]) {}

    /// The codes of the finished weight.
    fn code(&self, parameters: &[f32], shadow: &[f32]) -> Coded;
}

/// An edge on its way to few bits, as the engine's tape rounds it.
pub trait EdgeQuantizer: Send + Sync {
    /// Number of learned parameters.
    fn len(&self) -> usize;

    /// Whether nothing is learned.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Parameters to begin with, from values that the edge took.
    fn start(&self, seen: &[f32]) -> Vec<f32>;

    /// Brings parameters back to where they make sense after an update.
    fn constrain(&self, _parameters: &mut [f32]) {}

    /// What is deployed.
    fn code(&self, parameters: &[f32]) -> EdgeCode;

    /// The rounding itself, for the engine's tape.
    fn rounding(self: Arc<Self>) -> Arc<dyn Rounding>;
}

/// The code that an edge ends at: `value = (code - zero_point) · scale`, codes of `bits` bits, unsigned.
#[derive(Clone, Debug, PartialEq)]
pub struct EdgeCode {
    /// Bits of the grid.
    pub bits: u8,
    /// Positive.
    pub scale: f32,
    /// Code of real zero.
    pub zero_point: i32,
    /// Which codes of the grid are used, if not all.
    pub table: Option<Table>,
}

/// Some codes of a grid, and which codes become which.
#[derive(Clone, Debug, PartialEq)]
pub struct Table {
    /// Codes that are used, ascending.
    pub levels: Vec<i32>,
    /// A code belongs to the level whose place is the number of bounds that do not exceed it; one fewer than levels.
    pub bounds: Vec<i32>,
}
