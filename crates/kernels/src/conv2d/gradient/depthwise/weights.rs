//! Gradient of the weights, kernels `KW` wide with stride `SW` to the right.
//!
//! The sums of one vector of channels and up to three kernel rows stay in registers while a band of output rows passes,
//! small enough to be in cache for the next vector. Windows share no loads: the first-level cache gives one per
//! multiply-add.

use std::ops::Range;

use super::super::super::Conv2d;
use super::{WeightImage, any};
use crate::simd::{Kernel, Simd};

/// Output values of a band; the input under it has up to four times as many.
const BAND: usize = 8 * 1024;

/// At least one whole vector of channels goes in tiles, the rest one pixel at a time.
pub(super) struct Shared<'a, const KW: usize, const SW: usize>(pub(super) WeightImage<'a>);

impl<const KW: usize, const SW: usize> Kernel for Shared<'_, KW, SW> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let mut image = self.0;
        // Three rows of sums and a tile of `dy` fit 32 registers; 16 only with few taps.
        match (S::COLUMNS, KW) {
            (8, _) => simd.call(Tiles::<KW, SW, 8, 3>(&mut image)),
            (_, 3) => simd.call(Tiles::<KW, SW, 4, 3>(&mut image)),
            _ => simd.call(Tiles::<KW, SW, 4, 1>(&mut image)),
        }
        let channels = image.shape.in_c;
        if !channels.is_multiple_of(S::LANES) {
            let first = channels - channels % S::LANES;
            simd.call(any::Weights { image, first });
        }
    }
}

/// Tiles of `T` output columns and up to `ROWS` kernel rows.
struct Tiles<'a, 'b, const KW: usize, const SW: usize, const T: usize, const ROWS: usize>(
    &'b mut WeightImage<'a>,
);

impl<const KW: usize, const SW: usize, const T: usize, const ROWS: usize> Kernel
    for Tiles<'_, '_, KW, SW, T, ROWS>
{
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let image = self.0;
        let Conv2d { in_c, .. } = *image.shape;
        let out_h = image.shape.out_h();
        let most = (BAND / (image.shape.out_w() * in_c)).max(1);
        let mut done = 0;
        while done < out_h {
            // Output rows from which the same kernel rows meet the image.
            let kernel_rows = kernel_rows(image.shape, done);
            let same = |oy: &usize| kernel_rows == self::kernel_rows(image.shape, *oy);
            let rows = done..done + (done..out_h.min(done + most)).take_while(same).count();
            for vector in 0..in_c / S::LANES {
                let mut ky = kernel_rows.start;
                while ky + ROWS <= kernel_rows.end {
                    sum::<S, KW, SW, T, ROWS>(simd, image, vector, rows.clone(), ky);
                    ky += ROWS;
                }
                for ky in ky..kernel_rows.end {
                    sum::<S, KW, SW, T, 1>(simd, image, vector, rows.clone(), ky);
                }
            }
            done = rows.end;
        }
    }
}

/// Kernel rows that meet the image, for output row `oy`.
#[inline(always)]
fn kernel_rows(shape: &Conv2d, oy: usize) -> Range<usize> {
    let Conv2d { in_h, kernel, stride, dilation, pads, .. } = *shape;
    let above = |edge: usize| edge.saturating_sub(oy * stride[0]).div_ceil(dilation[0]).min(kernel[0]);
    above(pads[0])..above(pads[0] + in_h)
}

/// Adds the products of output rows `rows` with the input under kernel rows `ky..ky + ROWS`, all of which meet the image
/// from each of them, to the sums of one whole vector of channels.
#[inline(always)]
fn sum<S: Simd, const KW: usize, const SW: usize, const T: usize, const ROWS: usize>(
    simd: S,
    image: &mut WeightImage<'_>,
    vector: usize,
    rows: Range<usize>,
    ky: usize,
) {
    let Conv2d { in_w, kernel, stride, dilation, pads, .. } = *image.shape;
    let (out_w, channel) = (image.shape.out_w(), vector * S::LANES);
    let mut sums = [[simd.splat(0.0); KW]; ROWS];
    for oy in rows {
        let y = oy * stride[0] + ky * dilation[0] - pads[0];
        for ox in (0..out_w).step_by(T) {
            let left = (ox * SW).wrapping_sub(pads[1]);
            if left < in_w && left + (T - 1) * SW + KW <= in_w && ox + T <= out_w {
                tile::<S, KW, SW, T, ROWS, true>(simd, image, channel, [y, oy], [left, ox], &mut sums);
            } else {
                tile::<S, KW, SW, T, ROWS, false>(simd, image, channel, [y, oy], [left, ox], &mut sums);
            }
        }
    }
    let first = (channel * kernel[0] + ky * S::LANES) * KW;
    let totals = image.sums[first..][..ROWS * KW * S::LANES].chunks_exact_mut(S::LANES);
    for (nth, total) in totals.enumerate() {
        simd.write(total, simd.add(simd.read(total), sums[nth / KW][nth % KW]));
    }
}

/// Adds the products of output columns `ox..ox + T` of row `oy` with the input from row `y` and column `left` (wrapping
/// around if negative) on. With `INSIDE`, all columns of both exist.
///
/// `channel` starts a whole vector of channels; `oy` is a row of the output, `y` and `ROWS - 1` rows `dilation` apart
/// below it are rows of the input.
#[expect(clippy::needless_range_loop, reason = "constant bounds unroll; iterators over registers may not")]
#[inline(always)]
fn tile<S: Simd, const KW: usize, const SW: usize, const T: usize, const ROWS: usize, const INSIDE: bool>(
    simd: S,
    image: &WeightImage<'_>,
    channel: usize,
    [y, oy]: [usize; 2],
    [left, ox]: [usize; 2],
    sums: &mut [[S::V; KW]; ROWS],
) {
    let Conv2d { in_w, in_c: channels, dilation, .. } = *image.shape;
    let out_w = image.shape.out_w();
    let x = &image.x[y * in_w * channels + channel..];
    let dy = &image.dy[oy * out_w * channels + channel..];
    // SAFETY: each column is checked, or promised by `INSIDE`; with the rows and channels promised above, whole vectors
    // at these columns lie inside the slices, which end with their images.
    unsafe {
        let mut d = [simd.splat(0.0); T];
        for t in 0..T {
            if INSIDE || ox + t < out_w {
                d[t] = simd.load(dy.as_ptr().add((ox + t) * channels));
            }
        }
        let row_step = dilation[0] * in_w * channels;
        for t in 0..T {
            for kx in 0..KW {
                let at = left.wrapping_add(t * SW + kx);
                if INSIDE || at < in_w {
                    // Row innermost: neighbouring steps go to different sums, and do not wait for each other.
                    for row in 0..ROWS {
                        let x = simd.load(x.as_ptr().add(row * row_step + at * channels));
                        sums[row][kx] = simd.fma(x, d[t], sums[row][kx]);
                    }
                }
            }
        }
    }
}
