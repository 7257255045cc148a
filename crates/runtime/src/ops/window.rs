//! SPARQ's windows: what a multiplier of few bits sees of 8-bit codes.

use super::{Around, Io, Kernel};
use lowbit_kernels::integer::Plane;
use lowbit_tensor::Windowed;

/// The window of each code; with pairs, given its neighbour among the channels (2j and 2j + 1).
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Window {
    pub(crate) read: Windowed,
}

impl Window {
    pub(super) fn kernel(&self, around: &Around<'_>) -> Ready {
        let [own, beside_zero] = self.read.window.tables();
        let beside_zero = if self.read.pairs { beside_zero } else { own };
        let (input, output) = (around.reads[0].codes().0, around.write.codes().0);
        Ready { tables: [own, beside_zero], input, output }
    }
}

pub(crate) struct Ready {
    /// Of a code beside one that is not zero, and beside zero.
    tables: [[u8; 256]; 2],
    input: Plane,
    output: Plane,
}

impl Kernel for Ready {
    fn run(&self, io: Io<'_>) {
        let images = io.reads.codes(0).chunks_exact(self.input.len());
        for (x, y) in images.zip(io.write.chunks_exact_mut(self.output.len())) {
            let len = self.output.w * self.output.c;
            for row in 0..self.output.h {
                let x = &x[self.input.offset(row, 0)..][..len];
                let y = &mut y[self.output.offset(row, 0)..][..len];
                for (y, x) in y.chunks_exact_mut(2).zip(x.chunks_exact(2)) {
                    let of = |a: u8, partner: u8| self.tables[usize::from(partner == 0)][usize::from(a)];
                    (y[0], y[1]) = (of(x[0], x[1]), of(x[1], x[0]));
                }
            }
        }
    }
}
