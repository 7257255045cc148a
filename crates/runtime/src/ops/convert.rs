//! Between float numbers in the order of the file and codes with channels last.

use super::{Around, Io, Kernel};
use crate::Grid;
use lowbit_kernels::integer::{Plane, Quantizer};
use lowbit_kernels::{Isa, ShapeError};

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

fn quantizer(
    isa: Isa,
    channels: usize,
    (plane, _, grid): (Plane, usize, Grid),
) -> Result<Quantizer, ShapeError> {
    Quantizer::new(isa, plane, channels, grid.scale, grid.code())
}

impl Quantize {
    pub(super) fn kernel(&self, around: &Around<'_>) -> Result<ToCodes, ShapeError> {
        quantizer(around.isa, self.shape[0], around.write.codes()).map(ToCodes)
    }
}

impl Dequantize {
    pub(super) fn kernel(&self, around: &Around<'_>) -> Result<ToFloat, ShapeError> {
        quantizer(around.isa, self.shape[0], around.reads[0].codes()).map(ToFloat)
    }
}

pub(crate) struct ToCodes(Quantizer);

impl Kernel for ToCodes {
    fn run(&self, io: Io<'_>) {
        self.0.encode_nchw(io.reads.floats(0), io.write);
    }
}

pub(crate) struct ToFloat(Quantizer);

impl Kernel for ToFloat {
    fn run(&self, io: Io<'_>) {
        self.0.decode_nchw(io.reads.codes(0), bytemuck::cast_slice_mut(io.write));
    }
}
