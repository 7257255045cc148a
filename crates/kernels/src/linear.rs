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

    /// Packs other weights of the same shape in place.
    ///
    /// # Errors
    /// A tensor has the wrong number of values.
    pub fn set_weights(&mut self, weights: &[f32], bias: Option<&[f32]>) -> Result<(), ShapeError> {
        self.0.set_weights(weights, bias)
    }

    /// Computes `output: [rows, outputs]` from `input: [rows, inputs]`.
    ///
    /// # Panics
    /// A slice has the wrong length.
    pub fn run(&self, input: &[f32], epilogue: &Epilogue<'_>, output: &mut [f32]) {
        self.0.run(input, epilogue, &mut [], output);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gemm::{self, Matrix};
    use crate::testing::{assert_close, noise};

    #[test]
    fn rows_times_transposed_weights_plus_bias() {
        let (inputs, outputs) = (70, 10);
        let (weights, bias) = (noise(inputs * outputs, 1), noise(outputs, 2));
        for (isa, rows) in Isa::supported().flat_map(|isa| [1, 9].map(|rows| (isa, rows))) {
            let linear = PackedLinear::new(isa, inputs, outputs, &weights, Some(&bias)).unwrap();
            let x = noise(rows * inputs, 3);
            let mut y = vec![f32::NAN; rows * outputs];
            linear.run(&x, &Epilogue::default(), &mut y);
            let product =
                gemm::reference::gemm([rows, outputs, inputs], Matrix::new(&x), Matrix::transposed(&weights));
            let want: Vec<f32> = product.iter().zip(bias.iter().cycle()).map(|(p, b)| p + b).collect();
            assert_close(&y, &want, |_| 1e-5, (isa, rows));
        }
    }
}
