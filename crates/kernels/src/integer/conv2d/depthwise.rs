//! Depthwise convolution of codes: one channel in, one channel out, vectors over channels.
//!
//! Dot products add four neighbouring bytes, and here the neighbours of a byte are other channels. So four rows of
//! a column are interleaved, once, and serve every tap of every window over that column; with stride 1 they serve two
//! output rows, one of which meets the last row with weights of zero. Sums come out in the order that interleaving deals
//! channels to lanes ([`crate::integer::bytes`]); weights, offsets and scales wait in that order, and packing sums to
//! bytes undoes it. Nothing tests for padding: it is the border of the input.

mod group;
mod strip;
mod target;
#[cfg(test)]
mod tests;

use std::ops::Range;

use crate::integer::bytes::{ByteKernel, ByteSimd};
use crate::integer::{Plane, Requantize, Weights};
use crate::{Aligned, AlignedBytes, Conv2d, Isa};
use group::{Group, Pack};
use strip::Strip;
use target::Target;

/// Bytes of output finished before the next channels are: with the input under them, half a second-level cache.
const BAND: usize = 128 * 1024;

#[derive(Clone, Debug)]
pub(super) struct Depthwise {
    isa: Isa,
    shape: Conv2d,
    input: Plane,
    output: Plane,
    /// Output rows computed together: 2 where they share input rows.
    rows: usize,
    /// For one output row and for two: where each input row under a window starts, from the first one, in fours. Rows
    /// past the last are the first again and face weights of zero.
    taps: [Vec<usize>; 2],
    groups: Vec<Group>,
    /// Of each group `[four of taps][kernel column][output row][vector]`, as the instruction set has them.
    weights: AlignedBytes,
    /// What sums start from ([`Weights::offset`]), of each group in the order of its lanes.
    offsets: Aligned<i32>,
}

impl Depthwise {
    pub(super) fn new(
        isa: Isa,
        shape: &Conv2d,
        input: Plane,
        output: Plane,
        weights: &Weights<'_>,
    ) -> Depthwise {
        let rows = if shape.stride[0] == 1 && shape.dilation[0] == 1 { 2 } else { 1 };
        let taps = [1, 2].map(|rows| {
            let mut taps: Vec<usize> = (0..shape.kernel[0] + rows - 1).collect();
            taps.resize(taps.len().next_multiple_of(4), 0);
            taps.iter_mut().for_each(|tap| *tap *= shape.dilation[0] * input.row_len());
            taps
        });
        let fours = taps[rows - 1].len() / 4;
        let packed = isa.run_bytes(Pack::new(shape, [rows, fours], weights));
        Depthwise {
            isa,
            shape: *shape,
            input,
            output,
            rows,
            taps,
            groups: packed.groups,
            weights: AlignedBytes::from(&packed.weights[..]),
            offsets: Aligned::from(&packed.offsets[..]),
        }
    }

    pub(super) fn weight_bytes(&self) -> usize {
        self.weights.len() + 4 * self.offsets.len()
    }

    pub(super) fn run(
        &self,
        input: &[u8],
        requantize: &Requantize,
        residual: Option<&[u8]>,
        output: &mut [u8],
    ) {
        let plane = &self.output;
        let band = (BAND / plane.row_len()).next_multiple_of(2).clamp(2, plane.h.next_multiple_of(2));
        for (nth, image) in input.chunks_exact(self.input.len()).enumerate() {
            let residual = residual.zip(requantize.residual).map(|(codes, of)| {
                let len = of.plane.len();
                &codes[nth * len..][..len]
            });
            let output = &mut output[nth * plane.len()..][..plane.len()];
            for first in (0..plane.h).step_by(band) {
                let rows = first..(first + band).min(plane.h);
                let memory = (plane.border[0] + rows.start) * plane.row_len();
                let output = &mut output[memory..][..rows.len() * plane.row_len()];
                self.run_band(image, rows, requantize, residual, output);
            }
        }
    }

    pub(super) fn run_band(
        &self,
        image: &[u8],
        rows: Range<usize>,
        requantize: &Requantize,
        residual: Option<&[u8]>,
        output: &mut [u8],
    ) {
        let to = Target::Codes { plane: &self.output, requantize, residual, first: rows.start, output };
        self.isa.run_bytes(Band { depthwise: self, image, rows, to });
    }

    pub(super) fn run_f32(&self, input: &[u8], scale: &[f32], output: &mut [f32]) {
        let outputs = output.chunks_exact_mut(self.shape.out_len());
        for (image, output) in input.chunks_exact(self.input.len()).zip(outputs) {
            let to = Target::Reals { width: self.output.w, scale, output };
            self.isa.run_bytes(Band { depthwise: self, image, rows: 0..self.output.h, to });
        }
    }
}

/// Some output rows of one image.
struct Band<'a> {
    depthwise: &'a Depthwise,
    image: &'a [u8],
    rows: Range<usize>,
    to: Target<'a>,
}

impl ByteKernel for Band<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: ByteSimd>(mut self, s: S) {
        for group in &self.depthwise.groups {
            macro_rules! widths {
                ($($s:expr),*) => {$(
                    if group.bytes == bytes($s) {
                        $s.call(Strip { band: &mut self, group });
                        continue;
                    }
                )*};
            }
            widths!(s, s.narrower(), s.narrower().narrower(), s.narrower().narrower().narrower());
        }
        self.to.fill(self.depthwise.shape.in_c.next_multiple_of(4), self.rows);
    }
}

#[inline(always)]
fn bytes<S: ByteSimd>(_: S) -> usize {
    S::BYTES
}
