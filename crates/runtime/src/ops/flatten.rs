//! An image as one row of numbers, in the order of the file.

use super::{Around, Io, Kernel};
use lowbit_kernels::integer::Plane;

/// Channels last to channels first.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Flatten {
    /// `[channels, height, width]` of the image.
    pub(crate) shape: [usize; 3],
}

impl Flatten {
    pub(super) fn kernel(&self, around: &Around<'_>) -> Ready {
        Ready { shape: self.shape, input: around.reads[0].codes().0, output: around.write.codes().0 }
    }
}

pub(crate) struct Ready {
    shape: [usize; 3],
    input: Plane,
    output: Plane,
}

impl Kernel for Ready {
    fn run(&self, io: Io<'_>) {
        let [c, h, w] = self.shape;
        let images = io.reads.codes(0).chunks_exact(self.input.len());
        for (x, y) in images.zip(io.write.chunks_exact_mut(self.output.len())) {
            for (i, y) in y[self.output.offset(0, 0)..][..c * h * w].iter_mut().enumerate() {
                *y = x[self.input.offset(i / w % h, i % w) + i / (h * w)];
            }
        }
    }
}
