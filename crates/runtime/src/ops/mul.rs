//! The product of two edges, or of an edge and one number per channel (the gate of a squeeze-and-excitation block).

use super::{Around, Io, Kernel};
use crate::Grid;
use lowbit_kernels::integer::{Code, Plane};

/// `clip(a · b)`, rounded to the edge behind; `b` may be an image of one pixel.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Mul {
    pub(crate) inputs: [Grid; 2],
    pub(crate) bounds: [f32; 2],
}

impl Mul {
    pub(super) fn kernel(&self, around: &Around<'_>) -> Ready {
        let (output, _, grid) = around.write.codes();
        let [a, b] = self.inputs;
        Ready {
            planes: [0, 1].map(|i| around.reads[i].codes().0),
            zeros: [a, b].map(|g| i32::from(g.zero)),
            scale: a.scale * b.scale / grid.scale,
            output,
            code: grid.within(self.bounds).code(),
        }
    }
}

pub(crate) struct Ready {
    planes: [Plane; 2],
    zeros: [i32; 2],
    scale: f32,
    output: Plane,
    code: Code,
}

impl Kernel for Ready {
    fn run(&self, io: Io<'_>) {
        let ([pa, pb], [za, zb], c) = (self.planes, self.zeros, self.output.c);
        let gate = pb.h * pb.w == 1;
        for (i, y) in io.write.chunks_exact_mut(self.output.len()).enumerate() {
            let (a, b) = (&io.reads.codes(0)[i * pa.len()..], &io.reads.codes(1)[i * pb.len()..]);
            for (row, column) in (0..self.output.h).flat_map(|r| (0..self.output.w).map(move |c| (r, c))) {
                let a = &a[pa.offset(row, column)..][..c];
                let b = &b[if gate { pb.offset(0, 0) } else { pb.offset(row, column) }..][..c];
                let y = &mut y[self.output.offset(row, column)..][..c];
                for ((y, &a), &b) in y.iter_mut().zip(a).zip(b) {
                    *y = self.code.encode(((i32::from(a) - za) * (i32::from(b) - zb)) as f32 * self.scale);
                }
            }
        }
    }
}
