//! Channels of several edges side by side.

use super::{Around, Io, Kernel};
use crate::Grid;
use lowbit_kernels::integer::Plane;

/// All inputs' channels one after the other, each on the output's grid.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Concat {
    pub(crate) inputs: Vec<Grid>,
    pub(crate) channels: Vec<usize>,
}

impl Concat {
    pub(super) fn kernel(&self, around: &Around<'_>) -> Ready {
        let (output, _, to) = around.write.codes();
        let mut first = 0;
        let part = |(i, &channels): (usize, &usize)| {
            let (plane, _, from) = around.reads[i].codes();
            let at = first;
            first += channels;
            Part { plane, channels, first: at, table: super::lookup::table(from, to) }
        };
        Ready { parts: self.channels.iter().enumerate().map(part).collect(), output }
    }
}

struct Part {
    plane: Plane,
    channels: usize,
    first: usize,
    table: [u8; 256],
}

pub(crate) struct Ready {
    parts: Vec<Part>,
    output: Plane,
}

impl Kernel for Ready {
    fn run(&self, io: Io<'_>) {
        for (i, part) in self.parts.iter().enumerate() {
            let images = io.reads.codes(i).chunks_exact(part.plane.len());
            for (x, y) in images.zip(io.write.chunks_exact_mut(self.output.len())) {
                for (row, column) in (0..self.output.h).flat_map(|r| (0..self.output.w).map(move |c| (r, c)))
                {
                    let x = &x[part.plane.offset(row, column)..][..part.channels];
                    let y = &mut y[self.output.offset(row, column) + part.first..][..part.channels];
                    y.iter_mut().zip(x).for_each(|(y, &x)| *y = part.table[usize::from(x)]);
                }
            }
        }
    }
}
