//! Convolution whose sums run over channels.

use std::ops::Range;

use crate::integer::{Plane, Requantize, WeightBits, Weights, reference};
use crate::{Conv2d, Isa};

#[derive(Clone, Debug)]
pub(super) struct Dense {
    shape: Conv2d,
    input: Plane,
    output: Plane,
    codes: Vec<i8>,
    bias: Vec<i32>,
    zero_x: u8,
}

impl Dense {
    pub(super) fn new(_: Isa, shape: &Conv2d, input: Plane, output: Plane, weights: &Weights<'_>) -> Dense {
        Dense {
            shape: *shape,
            input,
            output,
            codes: weights.codes.to_vec(),
            bias: weights.bias.to_vec(),
            zero_x: weights.zero_x,
        }
    }

    fn weights(&self) -> Weights<'_> {
        Weights {
            codes: &self.codes,
            bits: WeightBits::Eight,
            bias: &self.bias,
            zero_x: self.zero_x,
            max_x: 255,
        }
    }

    pub(super) fn weight_bytes(&self) -> usize {
        self.codes.len() + 4 * self.bias.len()
    }

    pub(super) fn scratch_len(&self) -> usize {
        0
    }

    pub(super) fn run(
        &self,
        input: &[u8],
        requantize: &Requantize,
        residual: Option<&[u8]>,
        _: &mut [u8],
        output: &mut [u8],
    ) {
        let sums = reference::conv2d(&self.shape, &self.input, input, &self.weights());
        reference::requantize(requantize, &sums, residual, &self.output, output);
    }

    pub(super) fn run_band(
        &self,
        image: &[u8],
        rows: Range<usize>,
        requantize: &Requantize,
        residual: Option<&[u8]>,
        scratch: &mut [u8],
        output: &mut [u8],
    ) {
        let mut whole = vec![0; self.output.len()];
        self.run(image, requantize, residual, scratch, &mut whole);
        for (y, to) in rows.zip(output.chunks_exact_mut(self.output.row_len())) {
            let (from, at) = (self.output.offset(y, 0), self.output.border[1] * self.output.c);
            let len = self.output.w * self.output.c;
            to[at..][..len].copy_from_slice(&whole[from..][..len]);
        }
    }

    pub(super) fn run_f32(&self, input: &[u8], scale: &[f32], _: &mut [u8], output: &mut [f32]) {
        let sums = reference::conv2d(&self.shape, &self.input, input, &self.weights());
        output.copy_from_slice(&reference::scale(&sums, scale));
    }
}
