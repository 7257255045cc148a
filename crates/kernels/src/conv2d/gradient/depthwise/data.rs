//! Gradient of the input, kernels `KW` wide with stride `SW` to the right.
//!
//! With `q = x + pad = m·SW + r`, input column `x` receives `Σ_t weight[t·SW + r]·dy[m - t]`. A tile is some values of
//! `m` with all `r`: it loads each column of `dy` under it once, for all its input columns.

use std::ops::Range;

use super::super::super::Conv2d;
use super::{DataImage, any};
use crate::simd::{Kernel, Simd};

/// Channels of a strip: three rows of ten columns of them take half a first-level cache.
const STRIP: usize = 192;
/// Columns of `dy` under the widest tile: 8 of stride 1 and 5 wide.
const MAX_COLUMNS: usize = 12;

/// At least one whole vector of channels goes in tiles, the rest one pixel at a time.
///
/// Walks down a strip of columns and some channels, so that each row of `dy` is in the first-level cache for all
/// rows of input it meets.
pub(super) struct Shared<'a, const KW: usize, const SW: usize>(pub(super) DataImage<'a>);

impl<const KW: usize, const SW: usize> Kernel for Shared<'_, KW, SW> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let mut image = self.0;
        match (S::COLUMNS, SW) {
            (8, 1) => simd.call(Tiles::<KW, SW, 8>(&mut image)),
            (8, 2) | (4, 1) => simd.call(Tiles::<KW, SW, 4>(&mut image)),
            _ => simd.call(Tiles::<KW, SW, 2>(&mut image)),
        }
        let channels = image.depthwise.shape.in_c;
        if !channels.is_multiple_of(S::LANES) {
            let first = channels - channels % S::LANES;
            simd.call(any::Data { image, first });
        }
    }
}

/// Tiles of `T` values of `m`.
struct Tiles<'a, 'b, const KW: usize, const SW: usize, const T: usize>(&'b mut DataImage<'a>);

impl<const KW: usize, const SW: usize, const T: usize> Kernel for Tiles<'_, '_, KW, SW, T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let image = self.0;
        let Conv2d { in_h, in_w, in_c, pads, .. } = image.depthwise.shape;
        let out_w = image.depthwise.shape.out_w();
        let (vectors, strip) = (in_c / S::LANES, STRIP / S::LANES);
        for first in (0..vectors).step_by(strip) {
            let vectors = first..(first + strip).min(vectors);
            for m in (pads[1] / SW..(pads[1] + in_w).div_ceil(SW)).step_by(T) {
                let dy_inside = m + 1 >= KW.div_ceil(SW) && m + T <= out_w;
                let dx_inside = m * SW >= pads[1] && (m + T) * SW <= pads[1] + in_w;
                for y in 0..in_h {
                    if dy_inside && dx_inside {
                        tile::<S, KW, SW, T, true>(simd, image, vectors.clone(), y, m);
                    } else {
                        tile::<S, KW, SW, T, false>(simd, image, vectors.clone(), y, m);
                    }
                }
            }
        }
    }
}

/// Computes whole vectors of channels of the columns of `m..m + T` in row `y`. With `INSIDE`, all of them and of the
/// columns of `dy` they meet exist.
#[expect(clippy::needless_range_loop, reason = "constant bounds unroll; iterators over registers may not")]
#[inline(always)]
fn tile<S: Simd, const KW: usize, const SW: usize, const T: usize, const INSIDE: bool>(
    simd: S,
    image: &mut DataImage<'_>,
    vectors: Range<usize>,
    y: usize,
    m: usize,
) {
    let depthwise = image.depthwise;
    let Conv2d { in_w, in_c: channels, kernel, pads, .. } = depthwise.shape;
    let (out_w, taps) = (depthwise.shape.out_w(), KW.div_ceil(SW));
    let rows = depthwise.rows.at(y);
    let left = (m * SW).wrapping_sub(pads[1]);
    let dx = &mut image.dx[y * in_w * channels..][..in_w * channels];
    for vector in vectors {
        let channel = vector * S::LANES;
        let weights = &depthwise.weights[channel * kernel[0] * KW..][..kernel[0] * KW * S::LANES];
        let mut sums = [[simd.splat(0.0); SW]; T];
        // SAFETY: `vectors` are whole vectors below `channels`; each column of `dx`, a row, and of `dy` is
        // checked against its width or promised by `INSIDE`; `rows` holds kernel rows of this kernel and rows
        // inside `dy`, an image; the vector's weights were sliced to `kh · KW` vectors.
        unsafe {
            if image.accumulate {
                for t in 0..T {
                    for r in 0..SW {
                        let at = left.wrapping_add(t * SW + r);
                        if INSIDE || at < in_w {
                            sums[t][r] = simd.load(dx.as_ptr().add(at * channels + channel));
                        }
                    }
                }
            }
            for (ky, oy) in rows {
                let weights = weights.as_ptr().add(ky * KW * S::LANES);
                let mut w = [simd.splat(0.0); KW];
                for kx in 0..KW {
                    w[kx] = simd.load(weights.add(kx * S::LANES));
                }
                let row = image.dy.as_ptr().add(oy * out_w * channels + channel);
                let mut d = [simd.splat(0.0); MAX_COLUMNS];
                for column in 0..T + taps - 1 {
                    let at = (m + column).wrapping_sub(taps - 1);
                    if INSIDE || at < out_w {
                        d[column] = simd.load(row.add(at * channels));
                    }
                }
                for t in 0..T {
                    for kx in 0..KW {
                        sums[t][kx % SW] = simd.fma(d[t + taps - 1 - kx / SW], w[kx], sums[t][kx % SW]);
                    }
                }
            }
            for t in 0..T {
                for r in 0..SW {
                    let at = left.wrapping_add(t * SW + r);
                    if INSIDE || at < in_w {
                        simd.store(dx.as_mut_ptr().add(at * channels + channel), sums[t][r]);
                    }
                }
            }
        }
    }
}
