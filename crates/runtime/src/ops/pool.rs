//! Maximum and average under windows.

use super::{Around, Io, Kernel};
use crate::Grid;
use lowbit_kernels::integer::{Code, Plane};
use lowbit_kernels::{Pool2d, ShapeError};

/// The greatest code under each window; padding never wins.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Max {
    pub(crate) pool: Pool2d,
}

/// The mean under each window, padding counted as zeros, rounded to the edge behind.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Average {
    pub(crate) pool: Pool2d,
    pub(crate) input: Grid,
}

impl Max {
    pub(super) fn kernel(&self, around: &Around<'_>) -> Result<Ready, ShapeError> {
        self.pool.check()?;
        let (input, _, _) = around.reads[0].codes();
        Ok(Ready { pool: self.pool, input, output: around.write.codes().0, mean: None })
    }
}

impl Average {
    pub(super) fn kernel(&self, around: &Around<'_>) -> Result<Ready, ShapeError> {
        self.pool.check()?;
        let (input, _, from) = around.reads[0].codes();
        let (output, _, to) = around.write.codes();
        let cells = (self.pool.kernel[0] * self.pool.kernel[1]) as f32;
        let scale = from.scale / (cells * to.scale);
        Ok(Ready { pool: self.pool, input, output, mean: Some((i32::from(from.zero), scale, to.code())) })
    }
}

pub(crate) struct Ready {
    pool: Pool2d,
    input: Plane,
    output: Plane,
    mean: Option<(i32, f32, Code)>,
}

impl Kernel for Ready {
    fn run(&self, io: Io<'_>) {
        let (p, images) = (&self.pool, io.reads.codes(0).chunks_exact(self.input.len()));
        for (x, y) in images.zip(io.write.chunks_exact_mut(self.output.len())) {
            for (row, column, channel) in (0..self.output.h).flat_map(|r| {
                (0..self.output.w).flat_map(move |c| (0..self.output.c).map(move |k| (r, c, k)))
            }) {
                let cell = |i: usize, at: usize, tap: usize, size: usize| {
                    (at * p.stride[i] + tap * p.dilation[i]).checked_sub(p.pads[i]).filter(|&v| v < size)
                };
                let codes = (0..p.kernel[0])
                    .flat_map(|ky| (0..p.kernel[1]).map(move |kx| (ky, kx)))
                    .filter_map(|(ky, kx)| {
                        let (r, c) = (cell(0, row, ky, p.in_h)?, cell(1, column, kx, p.in_w)?);
                        Some(x[self.input.offset(r, c) + channel])
                    });
                y[self.output.offset(row, column) + channel] = match self.mean {
                    None => codes.max().unwrap_or(0),
                    Some((zero, scale, code)) => {
                        let sum: i32 = codes.map(|q| i32::from(q) - zero).sum();
                        code.encode(sum as f32 * scale)
                    }
                };
            }
        }
    }
}
