//! Fully connected layers: a pointwise convolution whose pixels are the rows.

use crate::conv2d::{Dense, Layout};
use crate::error::{length, nonzero, volume};
use crate::gemm::{Matrix, gemm};
use crate::{Conv2d, Epilogue, Isa, PackedConv2d, ShapeError, columns};

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

/// The backward half of [`PackedLinear`]. Immutable but for its weights; share it between threads.
#[derive(Clone, Debug)]
pub struct LinearGradient {
    isa: Isa,
    inputs: usize,
    outputs: usize,
    /// From the outputs back to the inputs: a row's result does not depend on the other rows.
    data: Dense,
}

impl LinearGradient {
    /// The weights are zero until [`LinearGradient::set_weights`].
    ///
    /// # Errors
    /// A size is zero, or the weights would exceed the address space.
    pub fn new(isa: Isa, inputs: usize, outputs: usize) -> Result<LinearGradient, ShapeError> {
        nonzero(&[("inputs", inputs), ("outputs", outputs)])?;
        volume("weights", &[outputs, inputs])?;
        let shape = Conv2d::square([1, 1, outputs], inputs, 1, 1, 0);
        let transposed = Layout { group: 0, out: 1, input: inputs, taps: vec![0] };
        Ok(LinearGradient { isa, inputs, outputs, data: Dense::new(isa, &shape, transposed) })
    }

    /// Packs `weights: [outputs, inputs]`, those of the forward layer, for [`LinearGradient::data`].
    ///
    /// # Errors
    /// The tensor has the wrong number of values.
    pub fn set_weights(&mut self, weights: &[f32]) -> Result<(), ShapeError> {
        length("weights", weights.len(), self.inputs * self.outputs)?;
        self.data.set_weights(weights, None);
        Ok(())
    }

    /// `dx = dy·W` from `dy: [rows, outputs]`: written to `dx: [rows, inputs]`, or with `accumulate` added.
    ///
    /// # Panics
    /// A slice has the wrong length.
    pub fn data(&self, dy: &[f32], dx: &mut [f32], accumulate: bool) {
        self.assert_rows(dx, dy);
        if accumulate {
            self.data.add_to(dy, &mut [], dx);
        } else {
            self.data.run(dy, &Epilogue::default(), &mut [], dx);
        }
    }

    /// `dw = dyᵀ·x` from `x: [rows, inputs]` and `dy: [rows, outputs]`: overwrites `dw: [outputs, inputs]` with
    /// the sum over all rows.
    ///
    /// # Panics
    /// A slice has the wrong length.
    pub fn weights(&self, x: &[f32], dy: &[f32], dw: &mut [f32]) {
        let rows = self.assert_rows(x, dy);
        gemm([self.outputs, self.inputs, rows], 1.0, Matrix::transposed(dy), Matrix::new(x), 0.0, dw);
    }

    /// Overwrites `db: [outputs]` with the sum of `dy: [rows, outputs]` over all rows.
    ///
    /// # Panics
    /// A slice has the wrong length.
    pub fn bias(&self, dy: &[f32], db: &mut [f32]) {
        assert_eq!(db.len(), self.outputs, "bias of {} outputs", self.outputs);
        db.fill(0.0);
        columns::add_sums(self.isa, dy, db);
    }

    /// Checks both lengths and returns the number of rows.
    fn assert_rows(&self, x: &[f32], dy: &[f32]) -> usize {
        let rows = x.len() / self.inputs;
        assert_eq!([x.len(), dy.len()], [rows * self.inputs, rows * self.outputs], "{rows} rows");
        rows
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

    #[test]
    fn gradients_are_products_with_the_weights_and_the_inputs() {
        let (inputs, outputs) = (70, 10);
        let weights = noise(inputs * outputs, 1);
        for (isa, rows) in Isa::supported().flat_map(|isa| [0, 1, 9].map(|rows| (isa, rows))) {
            let mut gradient = LinearGradient::new(isa, inputs, outputs).unwrap();
            gradient.set_weights(&weights).unwrap();
            let (x, dy) = (noise(rows * inputs, 2), noise(rows * outputs, 3));
            let product = |size, a, b| gemm::reference::gemm(size, a, b);

            let want = product([rows, inputs, outputs], Matrix::new(&dy), Matrix::new(&weights));
            let mut dx = vec![f32::NAN; rows * inputs];
            gradient.data(&dy, &mut dx, false);
            assert_close(&dx, &want, |_| 1e-5, (isa, rows));
            gradient.data(&dy, &mut dx, true);
            let twice: Vec<f32> = want.iter().map(|x| 2.0 * x).collect();
            assert_close(&dx, &twice, |_| 2e-5, (isa, rows));

            let want = product([outputs, inputs, rows], Matrix::transposed(&dy), Matrix::new(&x));
            let mut dw = vec![f32::NAN; outputs * inputs];
            gradient.weights(&x, &dy, &mut dw);
            assert_close(&dw, &want, |_| 1e-5, (isa, rows));

            let ones = vec![1.0; rows];
            let want = product([1, outputs, rows], Matrix::new(&ones), Matrix::new(&dy));
            let mut db = vec![f32::NAN; outputs];
            gradient.bias(&dy, &mut db);
            assert_close(&db, &want, |_| 1e-5, (isa, rows));
        }
    }
}
