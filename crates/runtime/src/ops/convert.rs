//! Between float numbers in the order of the file and codes with channels last.

use super::{Around, Io, Kernel};
use crate::Grid;
use lowbit_kernels::integer::Plane;

/// Float to codes.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Quantize {
    /// `[channels, height, width]` of one image.
    pub(crate) shape: [usize; 3],
}

/// Codes to float.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Dequantize {
    /// `[channels, height, width]` of one image.
    pub(crate) shape: [usize; 3],
}

impl Quantize {
    pub(super) fn kernel(&self, around: &Around<'_>) -> ToCodes {
        let (plane, _, grid) = around.write.codes();
        ToCodes { shape: self.shape, plane, grid }
    }
}

impl Dequantize {
    pub(super) fn kernel(&self, around: &Around<'_>) -> ToFloat {
        let (plane, _, grid) = around.reads[0].codes();
        ToFloat { shape: self.shape, plane, grid }
    }
}

pub(crate) struct ToCodes {
    shape: [usize; 3],
    plane: Plane,
    grid: Grid,
}

impl Kernel for ToCodes {
    fn run(&self, io: Io<'_>) {
        let [c, h, w] = self.shape;
        let images = io.reads.floats(0).chunks_exact(c * h * w);
        for (x, y) in images.zip(io.write.chunks_exact_mut(self.plane.len())) {
            for (i, &x) in x.iter().enumerate() {
                let (channel, row, column) = (i / (h * w), i / w % h, i % w);
                y[self.plane.offset(row, column) + channel] = self.grid.encode(x);
            }
        }
    }
}

pub(crate) struct ToFloat {
    shape: [usize; 3],
    plane: Plane,
    grid: Grid,
}

impl Kernel for ToFloat {
    fn run(&self, io: Io<'_>) {
        let [c, h, w] = self.shape;
        let y: &mut [f32] = bytemuck::cast_slice_mut(io.write);
        for (x, y) in io.reads.codes(0).chunks_exact(self.plane.len()).zip(y.chunks_exact_mut(c * h * w)) {
            for (i, y) in y.iter_mut().enumerate() {
                let (channel, row, column) = (i / (h * w), i / w % h, i % w);
                *y = self.grid.decode(x[self.plane.offset(row, column) + channel]);
            }
        }
    }
}
