//! A lowered network: buffers, and the steps between them, in order.

use crate::Grid;
use crate::ops::Op;
use lowbit_kernels::integer::Plane;

/// Index of a [`Buffer`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct BufferId(pub(crate) usize);

/// What one edge of the network is while it runs.
#[derive(Clone, Debug, PartialEq)]
pub struct Buffer {
    /// Name of the edge in the file.
    pub name: String,
    /// What it holds.
    pub content: Content,
}

/// What a buffer holds of each sample.
#[derive(Clone, Debug, PartialEq)]
pub enum Content {
    /// Codes, channels last.
    Codes {
        /// Where they lie in memory: an image with its border, or one row of numbers as an image of one pixel.
        plane: Plane,
        /// Images of that plane per sample: 1, or the rows of a sequence.
        images: usize,
        /// What they mean.
        grid: Grid,
    },
    /// Float32 numbers, in the order of the file.
    Float {
        /// How many.
        len: usize,
    },
}

impl Content {
    /// Bytes of one sample.
    pub fn bytes(&self) -> usize {
        match self {
            Content::Codes { plane, images, .. } => plane.len() * images,
            Content::Float { len } => 4 * len,
        }
    }

    /// The plane and grid of codes.
    ///
    /// # Panics
    /// On floats: lowering made a step that reads what it cannot.
    pub(crate) fn codes(&self) -> (Plane, usize, Grid) {
        match *self {
            Content::Codes { plane, images, grid } => (plane, images, grid),
            Content::Float { .. } => panic!("a step on codes reads floats"),
        }
    }
}

/// A step with what it reads and writes.
#[derive(Clone, Debug)]
pub(crate) struct Step {
    /// Name of the node it comes from.
    pub(crate) name: String,
    pub(crate) op: Op,
    pub(crate) reads: Vec<BufferId>,
    pub(crate) writes: Vec<BufferId>,
}

/// What one step does, in words.
#[derive(Clone, Debug, PartialEq)]
pub struct StepSummary {
    /// Name of the node it comes from.
    pub name: String,
    /// What it computes, `conv 3×3, 16 → 32, weights of 4 bits, + residual` for example.
    pub what: String,
    /// Bytes of its weights in memory.
    pub weight_bytes: usize,
}
