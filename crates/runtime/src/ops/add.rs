//! The addition of two edges.

use super::{Around, Io, Kernel};
use crate::Grid;
use lowbit_kernels::integer::{Code, Plane};

/// `clip(a + b)`, rounded to the edge behind.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Add {
    pub(crate) inputs: [Grid; 2],
    pub(crate) bounds: [f32; 2],
}

impl Add {
    pub(super) fn kernel(&self, around: &Around<'_>) -> Ready {
        let (output, _, grid) = around.write.codes();
        let operand = |i: usize| {
            let (plane, _, from) = around.reads[i].codes();
            (plane, i32::from(from.zero), from.scale / grid.scale)
        };
        Ready { inputs: [operand(0), operand(1)], output, code: grid.within(self.bounds).code() }
    }
}

pub(crate) struct Ready {
    inputs: [(Plane, i32, f32); 2],
    output: Plane,
    code: Code,
}

impl Kernel for Ready {
    fn run(&self, io: Io<'_>) {
        let [(pa, za, sa), (pb, zb, sb)] = self.inputs;
        let (a, b) = (io.reads.codes(0), io.reads.codes(1));
        for (i, y) in io.write.chunks_exact_mut(self.output.len()).enumerate() {
            let (a, b) = (&a[i * pa.len()..], &b[i * pb.len()..]);
            for r in 0..self.output.h {
                let n = self.output.w * self.output.c;
                let (a, b) = (&a[pa.offset(r, 0)..][..n], &b[pb.offset(r, 0)..][..n]);
                let y = &mut y[self.output.offset(r, 0)..][..n];
                for ((y, &a), &b) in y.iter_mut().zip(a).zip(b) {
                    *y = self.code.encode((i32::from(a) - za) as f32 * sa + (i32::from(b) - zb) as f32 * sb);
                }
            }
        }
    }
}
