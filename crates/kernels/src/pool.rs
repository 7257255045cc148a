//! Pooling, NHWC: maximum, average, and the average of a whole image.

mod gradient;
pub mod reference;
#[cfg(test)]
mod tests;

use std::ops::Range;

pub use gradient::{average_pool_backward, global_average_pool_backward, max_pool_backward};

use crate::error::{nonzero, volume};
use crate::simd::{Kernel, Simd};
use crate::{Isa, ShapeError};

/// Sizes and attributes of a pooling of one image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pool2d {
    /// Input height in pixels.
    pub in_h: usize,
    /// Input width in pixels.
    pub in_w: usize,
    /// Channels.
    pub channels: usize,
    /// Window `[height, width]`.
    pub kernel: [usize; 2],
    /// Step between windows `[down, right]`.
    pub stride: [usize; 2],
    /// Step between taps of a window `[down, right]`.
    pub dilation: [usize; 2],
    /// Padding `[top, left, bottom, right]`.
    pub pads: [usize; 4],
    /// Rounds the output size up: a last window may hang over the padded input, if it starts inside the input or
    /// the padding before it.
    pub ceil: bool,
}

impl Pool2d {
    /// Whether a kernel can compute this shape.
    ///
    /// # Errors
    /// A size is zero, the dilated window does not fit the padded input, a window would lie in padding alone, or
    /// a tensor would exceed the address space.
    pub fn check(&self) -> Result<(), ShapeError> {
        nonzero(&[
            ("input height", self.in_h),
            ("input width", self.in_w),
            ("channels", self.channels),
            ("window height", self.kernel[0]),
            ("window width", self.kernel[1]),
            ("stride", self.stride[0].min(self.stride[1])),
            ("dilation", self.dilation[0].min(self.dilation[1])),
        ])?;
        let too_large = ShapeError::TooLarge { what: "padded input" };
        for (i, (axis, size)) in [("height", self.in_h), ("width", self.in_w)].into_iter().enumerate() {
            let pads = self.pads[i].checked_add(self.pads[i + 2]);
            let input = pads.and_then(|pads| pads.checked_add(size)).ok_or(too_large.clone())?;
            let kernel = (self.kernel[i] - 1)
                .checked_mul(self.dilation[i])
                .and_then(|reach| reach.checked_add(1))
                .ok_or(too_large.clone())?;
            if kernel > input {
                return Err(ShapeError::KernelTooLarge { axis, kernel, input });
            }
            volume("padded input", &[input, input, self.channels])?;
        }
        volume("input", &[self.in_h, self.in_w, self.channels])?;
        volume("output", &[self.out_h(), self.out_w(), self.channels])?;
        Ok(())
    }

    /// One window over all pixels.
    fn global(pixels: usize, channels: usize) -> Pool2d {
        Pool2d {
            in_h: 1,
            in_w: pixels,
            channels,
            kernel: [1, pixels],
            stride: [1; 2],
            dilation: [1; 2],
            pads: [0; 4],
            ceil: false,
        }
    }

    fn out(&self, axis: usize) -> usize {
        let size = [self.in_h, self.in_w][axis];
        let span = (self.kernel[axis] - 1) * self.dilation[axis] + 1;
        let room = size + self.pads[axis] + self.pads[axis + 2] - span;
        let stride = self.stride[axis];
        let floor = room / stride + 1;
        // The window after the last whole one starts at `floor · stride`.
        let hangs_over = self.ceil && !room.is_multiple_of(stride) && floor * stride < size + self.pads[axis];
        floor + usize::from(hangs_over)
    }

    /// Output height in pixels.
    pub fn out_h(&self) -> usize {
        self.out(0)
    }

    /// Output width in pixels.
    pub fn out_w(&self) -> usize {
        self.out(1)
    }

    /// Values of one input image.
    pub fn in_len(&self) -> usize {
        self.in_h * self.in_w * self.channels
    }

    /// Values of one output image.
    pub fn out_len(&self) -> usize {
        self.out_h() * self.out_w() * self.channels
    }

    /// Taps of the `nth` window along `axis` that meet the image, and how many meet the padded image.
    pub(crate) fn taps(&self, axis: usize, nth: usize) -> (Range<usize>, usize) {
        let size = [self.in_h, self.in_w][axis];
        let (start, before, step) = (nth * self.stride[axis], self.pads[axis], self.dilation[axis]);
        let below = |end: usize| end.saturating_sub(start).div_ceil(step).min(self.kernel[axis]);
        (below(before)..below(before + size), below(before + size + self.pads[axis + 2]))
    }
}

/// The maximum of each window over `input: [n, in_h, in_w, channels]`, padding left out. A window in padding alone
/// gives negative infinity; NaN wins over numbers.
///
/// # Panics
/// A slice has the wrong length.
pub fn max_pool(isa: Isa, pool: &Pool2d, input: &[f32], output: &mut [f32]) {
    assert_lengths(pool, input, output);
    isa.run(PoolKernel { pool, input, output, mode: Mode::Max });
}

/// The average of each window over `input: [n, in_h, in_w, channels]`: of the pixels inside the image, or with
/// `count_pad` of all inside the padded image. A window in padding alone gives 0.
///
/// # Panics
/// A slice has the wrong length.
pub fn average_pool(isa: Isa, pool: &Pool2d, count_pad: bool, input: &[f32], output: &mut [f32]) {
    assert_lengths(pool, input, output);
    isa.run(PoolKernel { pool, input, output, mode: Mode::Average { count_pad } });
}

/// The average over all pixels: `input: [n, pixels, channels]` into `[n, channels]`.
///
/// # Panics
/// A slice has the wrong length, or a size is zero.
pub fn global_average_pool(isa: Isa, pixels: usize, channels: usize, input: &[f32], output: &mut [f32]) {
    average_pool(isa, &Pool2d::global(pixels, channels), false, input, output);
}

fn assert_lengths(pool: &Pool2d, input: &[f32], output: &[f32]) {
    assert_eq!(pool.check(), Ok(()), "{pool:?}");
    let images = input.len() / pool.in_len();
    assert_eq!(input.len(), images * pool.in_len(), "input of {pool:?}");
    assert_eq!(output.len(), images * pool.out_len(), "output of {pool:?}");
}

#[derive(Clone, Copy)]
enum Mode {
    Max,
    Average { count_pad: bool },
}

struct PoolKernel<'a> {
    pool: &'a Pool2d,
    input: &'a [f32],
    output: &'a mut [f32],
    mode: Mode,
}

impl Kernel for PoolKernel<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let PoolKernel { pool, input, output, mode } = self;
        let (out_w, channels) = (pool.out_w(), pool.channels);
        let images = input.chunks_exact(pool.in_len()).zip(output.chunks_exact_mut(pool.out_len()));
        for (image, output) in images {
            for (nth, output) in output.chunks_exact_mut(channels).enumerate() {
                let (oy, ox) = (nth / out_w, nth % out_w);
                let ((ys, padded_h), (xs, padded_w)) = (pool.taps(0, oy), pool.taps(1, ox));
                let count = match mode {
                    Mode::Average { count_pad: true } => padded_h * padded_w,
                    _ => ys.len() * xs.len(),
                };
                let count = s.splat(count.max(1) as f32);
                for first in (0..channels).step_by(S::LANES) {
                    let lanes = S::LANES.min(channels - first);
                    let mut sum = s.splat(match mode {
                        Mode::Max => f32::NEG_INFINITY,
                        Mode::Average { .. } => 0.0,
                    });
                    for ky in ys.clone() {
                        let y = oy * pool.stride[0] + ky * pool.dilation[0] - pool.pads[0];
                        for kx in xs.clone() {
                            let x = ox * pool.stride[1] + kx * pool.dilation[1] - pool.pads[1];
                            let v = s.read(&image[(y * pool.in_w + x) * channels + first..][..lanes]);
                            sum = match mode {
                                // `max` gives `v` if either is NaN.
                                Mode::Max => s.nan_or(sum, s.max(sum, v)),
                                Mode::Average { .. } => s.add(sum, v),
                            };
                        }
                    }
                    if let Mode::Average { .. } = mode {
                        sum = s.div(sum, count);
                    }
                    s.write(&mut output[first..first + lanes], sum);
                }
            }
        }
    }
}
