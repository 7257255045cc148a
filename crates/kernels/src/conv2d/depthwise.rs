//! Depthwise convolution: one channel in, one channel out, vectors over channels.
//!
//! A tile is a few neighbouring output columns of one vector of channels. Nothing is copied: rows outside the
//! image are left out of the sum, columns outside are zeros in registers. Kernels 3 and 5 wide with stride 1 or 2
//! load each input column of a tile once and use it for all windows over it.

use std::ops::Range;

use super::Conv2d;
use crate::simd::{Kernel, Simd};
use crate::{AlignedVec, Epilogue, Isa};

/// Output values finished together: a quarter of a common 1 MiB second-level cache.
const BAND: usize = 64 * 1024;
/// Channels of a strip: three rows of ten columns of them take half a first-level cache.
const STRIP: usize = 192;

#[derive(Clone, Debug)]
pub(super) struct Depthwise {
    isa: Isa,
    shape: Conv2d,
    /// `[channel vector][tap][lane]`.
    weights: AlignedVec,
    /// `[channel vector][lane]`.
    bias: AlignedVec,
}

struct Lanes;

impl Kernel for Lanes {
    type Output = usize;
    #[inline(always)]
    fn run<S: Simd>(self, _: S) -> usize {
        S::LANES
    }
}

impl Depthwise {
    /// With all weights zero.
    pub(super) fn new(isa: Isa, shape: &Conv2d) -> Depthwise {
        let lanes = isa.run(Lanes);
        let vectors = shape.in_c.div_ceil(lanes);
        let weights = AlignedVec::zeroed(vectors * shape.kernel[0] * shape.kernel[1] * lanes);
        Depthwise { isa, shape: *shape, weights, bias: AlignedVec::zeroed(vectors * lanes) }
    }

    pub(super) fn set_weights(&mut self, weights: &[f32], bias: Option<&[f32]>) {
        let (lanes, channels) = (self.isa.run(Lanes), self.shape.in_c);
        let taps = self.shape.kernel[0] * self.shape.kernel[1];
        let vectors = self.weights.chunks_exact_mut(taps * lanes).zip(self.bias.chunks_exact_mut(lanes));
        for (vector, (packed, biases)) in vectors.enumerate() {
            let first = first_channel(vector, lanes, channels);
            for (lane, c) in (first..channels).take(lanes).enumerate() {
                for (tap, &weight) in weights[c * taps..][..taps].iter().enumerate() {
                    packed[tap * lanes + lane] = weight;
                }
                biases[lane] = bias.map_or(0.0, |bias| bias[c]);
            }
        }
    }

    pub(super) fn run(&self, input: &[f32], epilogue: &Epilogue<'_>, output: &mut [f32]) {
        let shape = &self.shape;
        let (out_h, row_len) = (shape.out_h(), shape.out_w() * shape.out_c);
        // With a residual, the bounds apply only after the addition.
        let bounds = match epilogue.residual {
            None => epilogue.bounds(),
            Some(_) => [f32::NEG_INFINITY, f32::INFINITY],
        };
        let band = (BAND / row_len).clamp(1, out_h);
        for (nth, image) in input.chunks_exact(shape.in_len()).enumerate() {
            for first in (0..out_h).step_by(band) {
                let rows = first..(first + band).min(out_h);
                let outputs = (nth * out_h + rows.start) * row_len..(nth * out_h + rows.end) * row_len;
                let residual = epilogue.residual.map(|residual| &residual[outputs.clone()]);
                let output = &mut output[outputs];
                self.isa.run(Band { depthwise: self, image, rows, bounds, output: &mut *output });
                match residual {
                    None => epilogue.finish(self.isa, output),
                    Some(residual) => epilogue.apply(self.isa, output, residual),
                }
            }
        }
    }
}

/// Some output rows of one image.
struct Band<'a> {
    depthwise: &'a Depthwise,
    image: &'a [f32],
    rows: Range<usize>,
    bounds: [f32; 2],
    output: &'a mut [f32],
}

impl Kernel for Band<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let shape = &self.depthwise.shape;
        if shape.in_c < S::LANES {
            return simd.call(Any(self));
        }
        let wide = S::COLUMNS == 8;
        match (shape.kernel[1], shape.stride[1], shape.dilation[1]) {
            (3, 1, 1) if wide => simd.call(Shared::<3, 1, 8>(self)),
            (3, 1, 1) => simd.call(Shared::<3, 1, 4>(self)),
            (3, 2, 1) if wide => simd.call(Shared::<3, 2, 8>(self)),
            (3, 2, 1) => simd.call(Shared::<3, 2, 4>(self)),
            (5, 1, 1) => simd.call(Shared::<5, 1, 4>(self)),
            (5, 2, 1) => simd.call(Shared::<5, 2, 4>(self)),
            _ => simd.call(Any(self)),
        }
    }
}

impl<'a> Band<'a> {
    /// Kernel rows that meet the image, for output row `oy`.
    #[inline(always)]
    fn kernel_rows(&self, oy: usize) -> Range<usize> {
        let Conv2d { in_h, kernel, stride, dilation, pads, .. } = self.depthwise.shape;
        let above = |edge: usize| edge.saturating_sub(oy * stride[0]).div_ceil(dilation[0]).min(kernel[0]);
        above(pads[0])..above(pads[0] + in_h)
    }

    /// The image from the row on that is under kernel row `ky` of output row `oy`, which meets the image.
    #[inline(always)]
    fn image_below(&self, oy: usize, ky: usize) -> &'a [f32] {
        let Conv2d { in_w, in_c, stride, dilation, pads, .. } = self.depthwise.shape;
        let y = oy * stride[0] + ky * dilation[0] - pads[0];
        &self.image[y * in_w * in_c..]
    }

    /// Where output `(oy, ox, channel)` lies in `output`.
    #[inline(always)]
    fn at(&self, oy: usize, ox: usize, channel: usize) -> usize {
        let shape = &self.depthwise.shape;
        ((oy - self.rows.start) * shape.out_w() + ox) * shape.out_c + channel
    }
}

/// Kernels `KW` wide with stride `SW`, at least `LANES` channels, tiles of up to `T` columns.
///
/// Walks down a strip of `T` columns and some channels, so that each row of input is in the first-level cache for
/// all kernel rows over it.
struct Shared<'a, const KW: usize, const SW: usize, const T: usize>(Band<'a>);

impl<const KW: usize, const SW: usize, const T: usize> Kernel for Shared<'_, KW, SW, T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let mut band = self.0;
        let Conv2d { in_w, pads, .. } = band.depthwise.shape;
        let out_w = band.depthwise.shape.out_w();
        let vectors = band.depthwise.bias.len() / S::LANES;
        let strip = STRIP / S::LANES;
        for first in (0..vectors).step_by(strip) {
            let vectors = first..(first + strip).min(vectors);
            let mut ox = 0;
            while ox < out_w {
                let left = (ox * SW).wrapping_sub(pads[1]);
                macro_rules! tiles {
                    ($t:literal) => {{
                        let inside = left < in_w && left + ($t - 1) * SW + KW <= in_w;
                        for oy in band.rows.clone() {
                            if inside {
                                tile::<S, KW, SW, $t, true>(simd, &mut band, vectors.clone(), oy, ox);
                            } else {
                                tile::<S, KW, SW, $t, false>(simd, &mut band, vectors.clone(), oy, ox);
                            }
                        }
                        ox += $t;
                    }};
                }
                match out_w - ox {
                    8.. if T == 8 => tiles!(8),
                    4.. => tiles!(4),
                    2.. => tiles!(2),
                    _ => tiles!(1),
                }
            }
        }
    }
}

/// Columns of input under the widest tile: 8 of stride 2 and 3 wide, or 4 of stride 2 and 5 wide.
const MAX_COLUMNS: usize = 17;

/// Computes some channel vectors of output columns `ox..ox + T` of row `oy`. With `INSIDE`, the whole tile is over
/// the image.
#[expect(clippy::needless_range_loop, reason = "constant bounds unroll; iterators over registers may not")]
#[inline(always)]
fn tile<S: Simd, const KW: usize, const SW: usize, const T: usize, const INSIDE: bool>(
    simd: S,
    band: &mut Band<'_>,
    vectors: Range<usize>,
    oy: usize,
    ox: usize,
) {
    let Depthwise { shape, weights, bias, .. } = band.depthwise;
    let Conv2d { in_w, in_c: channels, .. } = *shape;
    let left = (ox * SW).wrapping_sub(shape.pads[1]);
    let (lo, hi) = (simd.splat(band.bounds[0]), simd.splat(band.bounds[1]));
    let rows = band.kernel_rows(oy);
    let image = if rows.is_empty() { &[] } else { band.image_below(oy, rows.start) };
    let row_step = shape.dilation[0] * in_w * channels;
    let first = band.at(oy, ox, 0);
    let output = &mut band.output[first..][..T * channels];
    for vector in vectors {
        let channel = first_channel(vector, S::LANES, channels);
        let taps = (vector * shape.kernel[0] + rows.start) * KW * S::LANES;
        let weights = &weights[taps..][..rows.len() * KW * S::LANES];
        let mut sums = [simd.read(&bias[vector * S::LANES..][..S::LANES]); T];
        // SAFETY: `image` reaches from the first kernel row to the end of the image, and `rows` only holds
        // rows inside it; each column is checked, or promised by `INSIDE`; `channel` starts a whole vector of
        // channels. So are the outputs, `T` pixels from `ox` on. Weights were sliced to what the loops read.
        unsafe {
            for ky in 0..rows.len() {
                let weights = weights.as_ptr().add(ky * KW * S::LANES);
                let mut w = [simd.splat(0.0); KW];
                for kx in 0..KW {
                    w[kx] = simd.load(weights.add(kx * S::LANES));
                }
                let row = image.as_ptr().add(ky * row_step + channel);
                let mut x = [simd.splat(0.0); MAX_COLUMNS];
                for column in 0..(T - 1) * SW + KW {
                    let at = left.wrapping_add(column);
                    if INSIDE || at < in_w {
                        x[column] = simd.load(row.add(at * channels));
                    }
                }
                for t in 0..T {
                    for kx in 0..KW {
                        sums[t] = simd.fma(x[t * SW + kx], w[kx], sums[t]);
                    }
                }
            }
            for t in 0..T {
                let at = output.as_mut_ptr().add(t * channels + channel);
                simd.store(at, simd.clamp(sums[t], lo, hi));
            }
        }
    }
}

/// Any kernel, stride and dilation, any number of channels; one pixel at a time.
struct Any<'a>(Band<'a>);

impl Kernel for Any<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let band = self.0;
        let Depthwise { shape, weights, bias, .. } = band.depthwise;
        let (channels, [kh, kw]) = (shape.in_c, shape.kernel);
        let lanes = S::LANES.min(channels);
        let (lo, hi) = (simd.splat(band.bounds[0]), simd.splat(band.bounds[1]));
        for oy in band.rows.clone() {
            for ox in 0..shape.out_w() {
                let left = (ox * shape.stride[1]).wrapping_sub(shape.pads[1]);
                let weights = weights.chunks_exact(kh * kw * S::LANES).zip(bias.chunks_exact(S::LANES));
                for (vector, (weights, bias)) in weights.enumerate() {
                    let channel = first_channel(vector, S::LANES, channels);
                    let mut sum = simd.read(bias);
                    for ky in band.kernel_rows(oy) {
                        let image_row = band.image_below(oy, ky);
                        for kx in 0..kw {
                            let x = left.wrapping_add(kx * shape.dilation[1]);
                            if x < shape.in_w {
                                let x = simd.read(&image_row[x * channels + channel..][..lanes]);
                                sum = simd.fma(x, simd.read(&weights[(ky * kw + kx) * S::LANES..]), sum);
                            }
                        }
                    }
                    let at = band.at(oy, ox, channel);
                    simd.write(&mut band.output[at..at + lanes], simd.clamp(sum, lo, hi));
                }
            }
        }
    }
}

/// The last vector is moved back to end with the last channel, so that all vectors are whole; the channels it
/// shares with the one before are computed twice, to the same result.
fn first_channel(vector: usize, lanes: usize, channels: usize) -> usize {
    (vector * lanes).min(channels.saturating_sub(lanes))
}
