//! Fully connected layers: a pointwise convolution whose pixels are the rows.

use crate::{Conv2d, Epilogue, Isa, PackedConv2d, ShapeError};

/// `y = x·Wᵀ + b` with `W` packed for one instruction set. A row's result does not depend on the other rows.
#[derive(Clone, Debug)]
pub struct PackedLinear(PackedConv2d);

impl PackedLinear {
    /// Packs `weights: [outputs, inputs]` and `bias: [outputs]` (zeros if absent).
    ///
    /// # Errors
    /// A size is zero, or a tensor has the wrong number of values.
    pub fn new(
        isa: Isa,
        inputs: usize,
        outputs: usize,
        weights: &[f32],
        bias: Option<&[f32]>,
    ) -> Result<PackedLinear, ShapeError> {
        let shape = Conv2d::square([1, 1, inputs], outputs, 1, 1, 0);
        PackedConv2d::new(isa, &shape, weights, bias).map(PackedLinear)
    }

    /// Computes `output: [rows, outputs]` from `input: [rows, inputs]`.
    ///
    /// # Panics
    /// A slice has the wrong length.
    pub fn run(&self, input: &[f32], epilogue: &Epilogue<'_>, output: &mut [f32]) {
        self.0.run(input, epilogue, &mut [], output);
    }
}
