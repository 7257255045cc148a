//! The addition of two edges of real numbers.

use super::{Io, Kernel};

/// `clip(a + b)`, number by number.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Sum {
    pub(crate) bounds: [f32; 2],
}

impl Sum {
    pub(super) fn kernel(&self) -> Sum {
        self.clone()
    }
}

impl Kernel for Sum {
    fn run(&self, io: Io<'_>) {
        let (a, b, [lo, hi]) = (io.reads.floats(0), io.reads.floats(1), self.bounds);
        let y: &mut [f32] = bytemuck::cast_slice_mut(io.write);
        for ((y, a), b) in y.iter_mut().zip(a).zip(b) {
            *y = (a + b).max(lo).min(hi);
        }
    }
}
