//! Gradients of pooling: each window hands its gradient back to its taps.

use super::{Mode, Pool2d, assert_lengths};
use crate::Isa;
use crate::simd::{Kernel, Simd};

/// Hands `dy: [n, out_h, out_w, channels]` to the maximum of each window over `x: [n, in_h, in_w, channels]`, of several
/// equal ones to the first in row order: written to `dx`, or with `accumulate` added.
///
/// # Panics
/// A slice has the wrong length.
pub fn max_pool_backward(isa: Isa, pool: &Pool2d, x: &[f32], dy: &[f32], dx: &mut [f32], accumulate: bool) {
    assert_eq!(x.len(), dx.len(), "input of {pool:?}");
    backward(isa, Backward { pool, x, dy, dx, mode: Mode::Max }, accumulate);
}

/// Hands `dy: [n, out_h, out_w, channels]` in equal parts to all pixels that
/// [`average_pool`](super::average_pool) averaged: written to `dx: [n, in_h, in_w, channels]`, or with `accumulate` added.
///
/// # Panics
/// A slice has the wrong length.
pub fn average_pool_backward(
    isa: Isa,
    pool: &Pool2d,
    count_pad: bool,
    dy: &[f32],
    dx: &mut [f32],
    accumulate: bool,
) {
    backward(isa, Backward { pool, x: &[], dy, dx, mode: Mode::Average { count_pad } }, accumulate);
}

/// Hands `dy: [n, channels]` in equal parts to all pixels: written to `dx: [n, pixels, channels]`, or with
/// `accumulate` added.
///
/// # Panics
/// A slice has the wrong length, or a size is zero.
pub fn global_average_pool_backward(
    isa: Isa,
    pixels: usize,
    channels: usize,
    dy: &[f32],
    dx: &mut [f32],
    accumulate: bool,
) {
    average_pool_backward(isa, &Pool2d::global(pixels, channels), false, dy, dx, accumulate);
}

fn backward(isa: Isa, backward: Backward<'_>, accumulate: bool) {
    assert_lengths(backward.pool, backward.dx, backward.dy);
    if !accumulate {
        backward.dx.fill(0.0);
    }
    isa.run(backward);
}

struct Backward<'a> {
    pool: &'a Pool2d,
    /// Only read for the maximum.
    x: &'a [f32],
    dy: &'a [f32],
    dx: &'a mut [f32],
    mode: Mode,
}

impl Kernel for Backward<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let Backward { pool, x, dy, dx, mode } = self;
        let (out_w, channels) = (pool.out_w(), pool.channels);
        let windows = pool.out_len() / channels;
        for (window, dy) in dy.chunks_exact(channels).enumerate() {
            let (image, nth) = (window / windows * pool.in_len(), window % windows);
            let (oy, ox) = (nth / out_w, nth % out_w);
            let ((ys, padded_h), (xs, padded_w)) = (pool.taps(0, oy), pool.taps(1, ox));
            let count = match mode {
                Mode::Average { count_pad: true } => padded_h * padded_w,
                _ => ys.len() * xs.len(),
            };
            let count = s.splat(count.max(1) as f32);
            for first in (0..channels).step_by(S::LANES) {
                let lanes = S::LANES.min(channels - first);
                macro_rules! each_tap {
                    ($at:ident => $body:expr) => {
                        for ky in ys.clone() {
                            let y = oy * pool.stride[0] + ky * pool.dilation[0] - pool.pads[0];
                            for kx in xs.clone() {
                                let x = ox * pool.stride[1] + kx * pool.dilation[1] - pool.pads[1];
                                let $at = image + (y * pool.in_w + x) * channels + first;
                                let $at = $at..$at + lanes;
                                $body
                            }
                        }
                    };
                }
                let dy = s.read(&dy[first..first + lanes]);
                match mode {
                    Mode::Max => {
                        let mut max = s.splat(f32::NEG_INFINITY);
                        each_tap!(at => max = s.max(max, s.read(&x[at])));
                        // The first tap that is not below the maximum takes what is there, and leaves zero.
                        let zero = s.splat(0.0);
                        let mut left = dy;
                        each_tap!(at => {
                            let v = s.read(&x[at.clone()]);
                            let taken = s.select_lt(v, max, zero, left);
                            left = s.select_lt(v, max, left, zero);
                            let sum = s.add(s.read(&dx[at.clone()]), taken);
                            s.write(&mut dx[at], sum);
                        });
                    }
                    Mode::Average { .. } => {
                        let part = s.div(dy, count);
                        each_tap!(at => {
                            let sum = s.add(s.read(&dx[at.clone()]), part);
                            s.write(&mut dx[at], sum);
                        });
                    }
                }
            }
        }
    }
}
