//! 2-D convolution, NHWC, any kernel, stride, dilation, asymmetric padding and groups.
//!
//! Two bodies cover everything. *Dense* multiplies a register tile of pixels × output channels, straight from
//! the input where nothing is padded, from a padded copy of a cache-sized block otherwise; 1×1 and strided
//! convolutions are the same loop with other offsets, groups are a loop around it. *Depthwise* (one input and one
//! output channel per group) has no channel sum to tile and slides over columns instead.
//!
//! Weights arrive in ONNX order `[out, in/groups, kh, kw]` and are packed once for one instruction set.

mod block;
mod dense;
mod depthwise;
pub mod gradient;
mod panel;
pub mod reference;
mod shape;
#[cfg(test)]
mod tests;
mod tile;

pub(crate) use dense::Dense;
pub use gradient::Conv2dGradient;
pub(crate) use panel::Layout;
pub use shape::Conv2d;

use crate::error::length;
use crate::{Epilogue, Isa, ShapeError};
use depthwise::Depthwise;

/// A convolution with its weights packed for one instruction set. Immutable; share it between threads.
#[derive(Clone, Debug)]
pub struct PackedConv2d {
    shape: Conv2d,
    body: Body,
}

#[derive(Clone, Debug)]
enum Body {
    Dense(Dense),
    Depthwise(Depthwise),
}

impl PackedConv2d {
    /// Packs `weights: [out, in/groups, kh, kw]` and `bias: [out]` (zeros if absent).
    ///
    /// # Errors
    /// `shape` is not valid (see [`Conv2d::check`]), or a tensor has the wrong number of values.
    pub fn new(
        isa: Isa,
        shape: &Conv2d,
        weights: &[f32],
        bias: Option<&[f32]>,
    ) -> Result<PackedConv2d, ShapeError> {
        shape.check()?;
        let body = if shape.is_depthwise() {
            Body::Depthwise(Depthwise::new(isa, shape))
        } else {
            Body::Dense(Dense::new(isa, shape, Layout::onnx(shape)))
        };
        let mut packed = PackedConv2d { shape: *shape, body };
        packed.set_weights(weights, bias)?;
        Ok(packed)
    }

    /// Packs other weights of the same shape in place: what a training step does.
    ///
    /// # Errors
    /// A tensor has the wrong number of values.
    pub fn set_weights(&mut self, weights: &[f32], bias: Option<&[f32]>) -> Result<(), ShapeError> {
        length("weights", weights.len(), self.shape.weight_len())?;
        if let Some(bias) = bias {
            length("bias", bias.len(), self.shape.out_c)?;
        }
        match &mut self.body {
            Body::Dense(dense) => dense.set_weights(weights, bias),
            Body::Depthwise(depthwise) => depthwise.set_weights(weights, bias),
        }
        Ok(())
    }

    /// The shape it was packed for.
    pub fn shape(&self) -> &Conv2d {
        &self.shape
    }

    /// Values of scratch that [`PackedConv2d::run`] needs, for any number of images.
    pub fn scratch_len(&self) -> usize {
        match &self.body {
            Body::Dense(dense) => dense.scratch_len(),
            Body::Depthwise(_) => 0,
        }
    }

    /// Convolves `input: [n, in_h, in_w, in_c]` into `output: [n, out_h, out_w, out_c]`; `n` is taken from the
    /// length of the input. Each image's result is independent of the others in the batch.
    ///
    /// # Panics
    /// A slice has the wrong length, or `scratch` fewer than [`PackedConv2d::scratch_len`] values.
    pub fn run(&self, input: &[f32], epilogue: &Epilogue<'_>, scratch: &mut [f32], output: &mut [f32]) {
        let images = input.len() / self.shape.in_len();
        assert_eq!(input.len(), images * self.shape.in_len(), "input of {:?}", self.shape);
        assert_eq!(output.len(), images * self.shape.out_len(), "output of {:?}", self.shape);
        assert!(scratch.len() >= self.scratch_len(), "scratch of {:?}", self.shape);
        if let Some(residual) = epilogue.residual {
            assert_eq!(residual.len(), output.len(), "residual of {:?}", self.shape);
        }
        match &self.body {
            Body::Dense(dense) => dense.run(input, epilogue, scratch, output),
            Body::Depthwise(depthwise) => depthwise.run(input, epilogue, output),
        }
    }
}
