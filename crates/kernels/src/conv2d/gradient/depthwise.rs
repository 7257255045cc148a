//! Gradients of a depthwise convolution: vectors over channels, like the forward body, nothing copied.
//!
//! Kernels 3 and 5 wide, undilated to the right, with stride 1 or 2 have tiles of columns that share what they load
//! (`data`, `weights`); other kernels, and channels that do not fill a vector, go one pixel at a time (`any`).

mod any;
mod data;
mod weights;

use super::super::Conv2d;
use crate::simd::{Kernel, Simd};
use crate::{AlignedVec, Isa};

#[derive(Clone, Debug)]
pub(super) struct Depthwise {
    isa: Isa,
    shape: Conv2d,
    /// `[channel vector][tap][lane]`.
    weights: AlignedVec,
    rows: Meetings,
    columns: Meetings,
}

/// Which taps meet each position of the input along one axis, and for which outputs.
#[derive(Clone, Debug)]
struct Meetings {
    /// `(tap, output)`, position by position.
    pairs: Vec<(usize, usize)>,
    /// Where each position's pairs start, and the end of the last.
    starts: Vec<usize>,
}

impl Meetings {
    /// Along `axis` (0 down, 1 right).
    fn new(shape: &Conv2d, axis: usize) -> Meetings {
        let size = [shape.in_h, shape.in_w][axis];
        let out = [shape.out_h(), shape.out_w()][axis];
        let (mut pairs, mut starts) = (Vec::new(), vec![0]);
        for position in 0..size {
            for tap in 0..shape.kernel[axis] {
                let start = (position + shape.pads[axis]).checked_sub(tap * shape.dilation[axis]);
                if let Some(start) = start.filter(|start| start.is_multiple_of(shape.stride[axis]))
                    && start / shape.stride[axis] < out
                {
                    pairs.push((tap, start / shape.stride[axis]));
                }
            }
            starts.push(pairs.len());
        }
        Meetings { pairs, starts }
    }

    fn at(&self, position: usize) -> &[(usize, usize)] {
        &self.pairs[self.starts[position]..self.starts[position + 1]]
    }
}

/// Lanes of an instruction set.
struct Lanes;

impl Kernel for Lanes {
    type Output = usize;
    #[inline(always)]
    fn run<S: Simd>(self, _: S) -> usize {
        S::LANES
    }
}

impl Depthwise {
    /// With all weights zero.
    pub(super) fn new(isa: Isa, shape: &Conv2d) -> Depthwise {
        let lanes = isa.run(Lanes);
        let weights = AlignedVec::zeroed(shape.in_c.div_ceil(lanes) * lanes * taps(shape));
        let [rows, columns] = [0, 1].map(|axis| Meetings::new(shape, axis));
        Depthwise { isa, shape: *shape, weights, rows, columns }
    }

    /// `weights: [channels, 1, kh, kw]`.
    pub(super) fn set_weights(&mut self, weights: &[f32]) {
        let (lanes, taps) = (self.isa.run(Lanes), taps(&self.shape));
        for (channel, kernel) in weights.chunks_exact(taps).enumerate() {
            let vector = channel / lanes * taps * lanes;
            for (tap, &weight) in kernel.iter().enumerate() {
                self.weights[vector + tap * lanes + channel % lanes] = weight;
            }
        }
    }

    /// Sums of the weights lie as the weights are packed.
    pub(super) fn sums_len(&self) -> usize {
        self.weights.len()
    }

    pub(super) fn data(&self, dy: &[f32], dx: &mut [f32], accumulate: bool) {
        let Conv2d { kernel, stride, dilation, .. } = self.shape;
        for (dy, dx) in dy.chunks_exact(self.shape.out_len()).zip(dx.chunks_exact_mut(self.shape.in_len())) {
            let image = DataImage { depthwise: self, dy, dx, accumulate };
            match (kernel[1], stride[1], dilation[1]) {
                (3, 1, 1) => self.isa.run(data::Shared::<3, 1>(image)),
                (3, 2, 1) => self.isa.run(data::Shared::<3, 2>(image)),
                (5, 1, 1) => self.isa.run(data::Shared::<5, 1>(image)),
                (5, 2, 1) => self.isa.run(data::Shared::<5, 2>(image)),
                _ => self.isa.run(any::Data { image, first: 0 }),
            }
        }
    }

    /// Adds to `sums`.
    pub(super) fn weights(&self, x: &[f32], dy: &[f32], sums: &mut [f32]) {
        let Conv2d { kernel, stride, dilation, .. } = self.shape;
        for (x, dy) in x.chunks_exact(self.shape.in_len()).zip(dy.chunks_exact(self.shape.out_len())) {
            let image = WeightImage { shape: &self.shape, x, dy, sums: &mut *sums };
            match (kernel[1], stride[1], dilation[1]) {
                (3, 1, 1) => self.isa.run(weights::Shared::<3, 1>(image)),
                (3, 2, 1) => self.isa.run(weights::Shared::<3, 2>(image)),
                (5, 1, 1) => self.isa.run(weights::Shared::<5, 1>(image)),
                (5, 2, 1) => self.isa.run(weights::Shared::<5, 2>(image)),
                _ => self.isa.run(any::Weights { image, first: 0 }),
            }
        }
    }

    pub(super) fn unpack(&self, sums: &[f32], dw: &mut [f32]) {
        let (lanes, taps) = (self.isa.run(Lanes), taps(&self.shape));
        for (channel, dw) in dw.chunks_exact_mut(taps).enumerate() {
            let sums = &sums[channel / lanes * taps * lanes + channel % lanes..];
            dw.iter_mut().zip(sums.iter().step_by(lanes)).for_each(|(dw, sum)| *dw = *sum);
        }
    }
}

fn taps(shape: &Conv2d) -> usize {
    shape.kernel[0] * shape.kernel[1]
}

/// The gradient of one image's input.
struct DataImage<'a> {
    depthwise: &'a Depthwise,
    /// `[out_h, out_w, channels]`.
    dy: &'a [f32],
    /// `[in_h, in_w, channels]`.
    dx: &'a mut [f32],
    accumulate: bool,
}

/// One image's part of the gradient of the weights.
struct WeightImage<'a> {
    shape: &'a Conv2d,
    /// `[in_h, in_w, channels]`.
    x: &'a [f32],
    /// `[out_h, out_w, channels]`.
    dy: &'a [f32],
    /// Added to, `[channel vector][tap][lane]`.
    sums: &'a mut [f32],
}
