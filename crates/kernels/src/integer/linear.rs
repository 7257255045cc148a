//! Integer fully connected layers: a pointwise convolution whose pixels are the rows.

use super::{IntConv2d, Plane, Requantize, Weights};
use crate::{Conv2d, Isa, ShapeError};

/// `y = (x − zero_x)·Wᵀ + b` with `W` packed for one instruction set. A row's result does not depend on the others.
#[derive(Clone, Debug)]
pub struct IntLinear(IntConv2d);

impl IntLinear {
    /// Packs `weights` with `codes: [outputs, inputs]`.
    ///
    /// # Errors
    /// A size is zero, or the weights or the bias have the wrong length or range.
    pub fn new(
        isa: Isa,
        inputs: usize,
        outputs: usize,
        weights: &Weights<'_>,
    ) -> Result<IntLinear, ShapeError> {
        let shape = Conv2d::square([1, 1, inputs], outputs, 1, 1, 0);
        shape.check()?;
        let (input, output) = (Plane::new(1, 1, inputs), Plane::new(1, 1, outputs));
        IntConv2d::new(isa, &shape, input, output, weights).map(IntLinear)
    }

    /// How a row of the input lies in memory: one pixel, its inputs rounded up to a multiple of 4.
    pub fn input(&self) -> &Plane {
        self.0.input()
    }

    /// How a row of the output lies in memory: one pixel, its outputs rounded up to a multiple of 4.
    pub fn output(&self) -> &Plane {
        self.0.output()
    }

    /// Bytes of packed weights and sums' offsets.
    pub fn weight_bytes(&self) -> usize {
        self.0.weight_bytes()
    }

    /// Bytes of scratch that running needs, for any number of rows.
    pub fn scratch_len(&self) -> usize {
        self.0.scratch_len()
    }

    /// Computes rows of `output` from rows of `input`, each laid out as its plane says. `residual` are as many rows of
    /// the plane that `requantize` names.
    ///
    /// # Panics
    /// As [`IntConv2d::run`].
    pub fn run(
        &self,
        input: &[u8],
        requantize: &Requantize,
        residual: Option<&[u8]>,
        scratch: &mut [u8],
        output: &mut [u8],
    ) {
        self.0.run(input, requantize, residual, scratch, output);
    }

    /// `output: [rows, outputs]` in f32, each sum times `scale: [outputs]`.
    ///
    /// # Panics
    /// As [`IntConv2d::run_f32`].
    pub fn run_f32(&self, input: &[u8], scale: &[f32], scratch: &mut [u8], output: &mut [f32]) {
        self.0.run_f32(input, scale, scratch, output);
    }
}
