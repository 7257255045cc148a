//! A function of one code, as a table.

use super::{Around, Io, Kernel};
use crate::Grid;
use lowbit_kernels::integer::Plane;

/// `table[code]`.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Lookup {
    pub(crate) table: Box<[u8; 256]>,
}

/// The code on one grid of each code on another.
pub(super) fn table(from: Grid, to: Grid) -> [u8; 256] {
    std::array::from_fn(|code| if from == to { code as u8 } else { to.encode(from.decode(code as u8)) })
}

impl Lookup {
    pub(super) fn kernel(&self, around: &Around<'_>) -> Ready {
        Ready { table: self.table.clone(), input: around.reads[0].codes().0, output: around.write.codes().0 }
    }
}

pub(crate) struct Ready {
    table: Box<[u8; 256]>,
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
                y.iter_mut().zip(x).for_each(|(y, &x)| *y = self.table[usize::from(x)]);
            }
        }
    }
}
