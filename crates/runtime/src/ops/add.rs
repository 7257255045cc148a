//! The addition of two edges.

use super::{Around, Io, Kernel};
use crate::Grid;
use lowbit_kernels::ShapeError;
use lowbit_kernels::integer::{IntAdd, Residual};

/// `clip(a + b)`, rounded to the edge behind.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Add {
    pub(crate) inputs: [Grid; 2],
    pub(crate) bounds: [f32; 2],
}

impl Add {
    pub(super) fn kernel(&self, around: &Around<'_>) -> Result<IntAdd, ShapeError> {
        let (output, _, grid) = around.write.codes();
        let term = |i: usize| {
            let (plane, _, from) = around.reads[i].codes();
            Residual { plane, zero: from.zero, scale: from.scale / grid.scale }
        };
        IntAdd::new(around.isa, [term(0), term(1)], output, grid.within(self.bounds).code())
    }
}

impl Kernel for IntAdd {
    fn run(&self, io: Io<'_>) {
        IntAdd::run(self, [io.reads.codes(0), io.reads.codes(1)], io.write);
    }
}
