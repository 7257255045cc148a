//! Maximum and average under windows.

use super::{Around, Io, Kernel};
use crate::Grid;
use lowbit_kernels::integer::{self, IntPool2d, IntPooling};
use lowbit_kernels::{Pool2d, ShapeError};

/// The greatest code under each window; padding never wins.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Max {
    pub(crate) pool: Pool2d,
}

/// The mean under each window, rounded to the edge behind.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Average {
    pub(crate) pool: Pool2d,
    pub(crate) input: Grid,
    /// Whether padding counts, as zeros.
    pub(crate) count_pad: bool,
}

impl Max {
    pub(super) fn kernel(&self, around: &Around<'_>) -> Result<IntPool2d, ShapeError> {
        pool(around, &self.pool, IntPooling::Max(None))
    }
}

impl Average {
    pub(super) fn kernel(&self, around: &Around<'_>) -> Result<IntPool2d, ShapeError> {
        let to = around.write.codes().2;
        let average = integer::Average {
            zero_x: self.input.zero,
            scale: self.input.scale / to.scale,
            code: to.code(),
            count_pad: self.count_pad,
        };
        pool(around, &self.pool, IntPooling::Average(average))
    }
}

fn pool(around: &Around<'_>, pool: &Pool2d, kind: IntPooling) -> Result<IntPool2d, ShapeError> {
    IntPool2d::new(around.isa, pool, kind, around.reads[0].codes().0, around.write.codes().0)
}

impl Kernel for IntPool2d {
    fn run(&self, io: Io<'_>) {
        IntPool2d::run(self, io.reads.codes(0), io.write);
    }
}
