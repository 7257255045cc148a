//! Gradients of a convolution: of its input, of its weights, of its bias.
//!
//! The gradient of the input is itself a convolution of `dy`, with kernels flipped and the two channel axes
//! exchanged, so it runs on the forward bodies (`data`); a stride splits it into one such convolution per position of
//! the input relative to the stride. The gradient of the weights is a product over pixels with register tiles of
//! its own (`weights`). Depthwise convolutions have bodies of their own for both, and what is left over (more padding
//! than kernel, stride with dilation) a plain loop (`general`).
//!
//! Every sum has a fixed order that depends on the shape, the instruction set and the number of images alone.

mod data;
mod depthwise;
mod general;
pub mod reference;
#[cfg(test)]
mod tests;
mod weights;

use super::Conv2d;
use crate::error::length;
use crate::{Isa, ShapeError, columns};
use data::Phases;
use depthwise::Depthwise;
use general::General;
use weights::DenseWeights;

/// The backward half of a convolution for one instruction set. Immutable but for its weights; share it between threads,
/// one scratch each.
#[derive(Clone, Debug)]
pub struct Conv2dGradient {
    isa: Isa,
    shape: Conv2d,
    body: Body,
}

#[derive(Clone, Debug)]
enum Body {
    Dense { data: Data, weights: DenseWeights },
    Depthwise(Depthwise),
}

#[derive(Clone, Debug)]
enum Data {
    Phases(Phases),
    General(General),
}

impl Conv2dGradient {
    /// For one shape. The weights are zero until [`Conv2dGradient::set_weights`].
    ///
    /// # Errors
    /// `shape` is not valid (see [`Conv2d::check`]).
    pub fn new(isa: Isa, shape: &Conv2d) -> Result<Conv2dGradient, ShapeError> {
        shape.check()?;
        let body = if shape.is_depthwise() {
            Body::Depthwise(Depthwise::new(isa, shape))
        } else {
            let phases = Phases::new(isa, shape).map(Data::Phases);
            let data = phases.unwrap_or_else(|| Data::General(General::new(shape)));
            Body::Dense { data, weights: DenseWeights::new(isa, shape) }
        };
        Ok(Conv2dGradient { isa, shape: *shape, body })
    }

    /// Packs `weights: [out, in/groups, kh, kw]`, those of the forward convolution, for [`Conv2dGradient::data`], which
    /// alone needs them.
    ///
    /// # Errors
    /// The tensor has the wrong number of values.
    pub fn set_weights(&mut self, weights: &[f32]) -> Result<(), ShapeError> {
        length("weights", weights.len(), self.shape.weight_len())?;
        match &mut self.body {
            Body::Dense { data: Data::Phases(phases), .. } => phases.set_weights(weights),
            Body::Dense { data: Data::General(general), .. } => general.set_weights(&self.shape, weights),
            Body::Depthwise(depthwise) => depthwise.set_weights(weights),
        }
        Ok(())
    }

    /// The shape of the forward convolution.
    pub fn shape(&self) -> &Conv2d {
        &self.shape
    }

    /// Values of scratch that [`Conv2dGradient::data`] and [`Conv2dGradient::add_weights`] need, for any number of images.
    pub fn scratch_len(&self) -> usize {
        match &self.body {
            Body::Dense { data: Data::Phases(phases), weights } => {
                phases.scratch_len().max(weights.scratch_len())
            }
            Body::Dense { data: Data::General(_), weights } => weights.scratch_len(),
            Body::Depthwise(_) => 0,
        }
    }

    /// From the gradient of the outputs, `dy: [n, out_h, out_w, out_c]`, that of the inputs,
    /// `dx: [n, in_h, in_w, in_c]`: written, or with `accumulate` added to what `dx` holds.
    /// Each image's result is independent of the others in the batch.
    ///
    /// # Panics
    /// A slice has the wrong length, or `scratch` fewer than [`Conv2dGradient::scratch_len`] values.
    pub fn data(&self, dy: &[f32], scratch: &mut [f32], dx: &mut [f32], accumulate: bool) {
        self.assert_lengths(dx, dy, scratch);
        match &self.body {
            Body::Dense { data: Data::Phases(phases), .. } => {
                phases.run(&self.shape, dy, scratch, dx, accumulate);
            }
            Body::Dense { data: Data::General(general), .. } => general.run(&self.shape, dy, dx, accumulate),
            Body::Depthwise(depthwise) => depthwise.data(dy, dx, accumulate),
        }
    }

    /// Values of the sums that [`Conv2dGradient::add_weights`] adds to: the weights in the order of the tiles.
    pub fn sums_len(&self) -> usize {
        match &self.body {
            Body::Dense { weights, .. } => weights.sums_len(),
            Body::Depthwise(depthwise) => depthwise.sums_len(),
        }
    }

    /// From the inputs, `x: [n, in_h, in_w, in_c]`, and the gradient of the outputs, `dy: [n, out_h, out_w, out_c]`,
    /// that of the weights, added to `sums`. Sums of several batches add up value by value, before
    /// [`Conv2dGradient::unpack`] puts them in order.
    ///
    /// # Panics
    /// A slice has the wrong length, or `scratch` fewer than [`Conv2dGradient::scratch_len`] values.
    pub fn add_weights(&self, x: &[f32], dy: &[f32], scratch: &mut [f32], sums: &mut [f32]) {
        self.assert_lengths(x, dy, scratch);
        assert_eq!(sums.len(), self.sums_len(), "sums of {:?}", self.shape);
        match &self.body {
            Body::Dense { weights, .. } => weights.run(x, dy, scratch, sums),
            Body::Depthwise(depthwise) => depthwise.weights(x, dy, sums),
        }
    }

    /// The `sums` in the order of the weights, `dw: [out, in/groups, kh, kw]`.
    ///
    /// # Panics
    /// A slice has the wrong length.
    pub fn unpack(&self, sums: &[f32], dw: &mut [f32]) {
        assert_eq!(sums.len(), self.sums_len(), "sums of {:?}", self.shape);
        assert_eq!(dw.len(), self.shape.weight_len(), "weights of {:?}", self.shape);
        match &self.body {
            Body::Dense { weights, .. } => weights.unpack(sums, dw),
            Body::Depthwise(depthwise) => depthwise.unpack(sums, dw),
        }
    }

    /// From the gradient of the outputs, `dy: [n, out_h, out_w, out_c]`, that of the bias, `db: [out_c]`:
    /// the sum over all pixels of all images is added.
    ///
    /// # Panics
    /// A slice has the wrong length.
    pub fn bias(&self, dy: &[f32], db: &mut [f32]) {
        assert_eq!(db.len(), self.shape.out_c, "bias of {:?}", self.shape);
        columns::add_sums(self.isa, dy, db);
    }

    fn assert_lengths(&self, x: &[f32], dy: &[f32], scratch: &[f32]) {
        let images = x.len() / self.shape.in_len();
        assert_eq!(x.len(), images * self.shape.in_len(), "input of {:?}", self.shape);
        assert_eq!(dy.len(), images * self.shape.out_len(), "output of {:?}", self.shape);
        assert!(scratch.len() >= self.scratch_len(), "scratch of {:?}", self.shape);
    }
}
