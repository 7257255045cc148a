//! Depthwise convolution: one channel in, one channel out, vectors over channels.
//!
//! A tile is a few neighbouring output columns of one vector of channels. Nothing is copied: rows outside the
//! image are left out of the sum, columns outside are zeros in registers. Kernels 3 and 5 wide with stride 1 or 2
//! load each input column of a tile once and use it for all windows over it.

use super::Conv2d;
use crate::simd::{Kernel, Simd};
use crate::{AlignedVec, Epilogue, Isa};

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
    pub(super) fn pack(isa: Isa, shape: &Conv2d, weights: &[f32], bias: Option<&[f32]>) -> Depthwise {
        let lanes = isa.run(Lanes);
        let taps = shape.kernel[0] * shape.kernel[1];
        let vectors = shape.in_c.div_ceil(lanes);
        let mut packed = AlignedVec::zeroed(vectors * taps * lanes);
        let mut biases = AlignedVec::zeroed(vectors * lanes);
        for c in 0..shape.in_c {
            let (vector, lane) = (c / lanes, c % lanes);
            for tap in 0..taps {
                packed[(vector * taps + tap) * lanes + lane] = weights[c * taps + tap];
            }
            biases[c] = bias.map_or(0.0, |bias| bias[c]);
        }
        Depthwise { isa, shape: *shape, weights: packed, bias: biases }
    }

    pub(super) fn run(&self, input: &[f32], epilogue: &Epilogue<'_>, output: &mut [f32]) {
        let shape = &self.shape;
        let row_len = shape.out_w() * shape.out_c;
        // With a residual, the bounds apply only after the addition.
        let bounds = match epilogue.residual {
            None => epilogue.bounds(),
            Some(_) => [f32::NEG_INFINITY, f32::INFINITY],
        };
        for (nth, output) in output.chunks_exact_mut(row_len).enumerate() {
            let (image, oy) = (nth / shape.out_h(), nth % shape.out_h());
            let input = &input[image * shape.in_len()..][..shape.in_len()];
            self.isa.run(RowKernel { depthwise: self, input, oy, bounds, output: &mut *output });
            match epilogue.residual {
                None => epilogue.finish(self.isa, output),
                Some(residual) => epilogue.apply(self.isa, output, &residual[nth * row_len..][..row_len]),
            }
        }
    }
}

/// One output row.
struct RowKernel<'a> {
    depthwise: &'a Depthwise,
    /// One image.
    input: &'a [f32],
    oy: usize,
    bounds: [f32; 2],
    output: &'a mut [f32],
}

impl Kernel for RowKernel<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let shape = &self.depthwise.shape;
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

/// What a tile of a row needs to know, with positions as counts of f32 values.
#[derive(Clone, Copy)]
struct Columns<'a> {
    shape: &'a Conv2d,
    image: &'a [f32],
    /// Weights of the channel vector, from the first kernel row that meets the image.
    weights: &'a [f32],
    /// First input row, and how many kernel rows meet the image.
    row: usize,
    rows: usize,
    /// First channel.
    channel: usize,
    /// Channels of the vector that exist.
    lanes: usize,
}

impl<'a> RowKernel<'a> {
    /// The channel vectors of this row.
    #[inline(always)]
    fn vectors<S: Simd>(&self) -> impl Iterator<Item = (Columns<'a>, &'a [f32])> + use<'a, S> {
        let Depthwise { shape, weights, bias, .. } = self.depthwise;
        let [kh, kw] = shape.kernel;
        let (image, top, step) = (self.input, self.oy * shape.stride[0], shape.dilation[0]);
        // The first kernel row at or below the image's upper edge, and the first beyond its lower edge.
        let from = shape.pads[0].saturating_sub(top).div_ceil(step).min(kh);
        let to = (shape.in_h + shape.pads[0]).saturating_sub(top).div_ceil(step).min(kh).max(from);
        let row = if to > from { top + from * step - shape.pads[0] } else { 0 };
        (0..shape.in_c).step_by(S::LANES).map(move |channel| {
            let weights = &weights[channel * kh * kw..][..kh * kw * S::LANES][from * kw * S::LANES..];
            let lanes = S::LANES.min(shape.in_c - channel);
            let columns = Columns { shape, image, weights, row, rows: to - from, channel, lanes };
            (columns, &bias[channel..][..S::LANES])
        })
    }
}

impl Columns<'_> {
    /// The vector at kernel row `ky` (counted from the first that meets the image), column `x` of the image.
    ///
    /// # Safety
    /// `ky < rows` and `x < in_w`.
    #[inline(always)]
    unsafe fn load<S: Simd>(&self, simd: S, ky: usize, x: usize) -> S::V {
        let row = self.row + ky * self.shape.dilation[0];
        let at = (row * self.shape.in_w + x) * self.shape.in_c + self.channel;
        debug_assert!(at + self.lanes <= self.image.len());
        // SAFETY: `row` is inside the image for `ky < rows`, as `x` is, so the pixel's channels from `channel` on,
        // `lanes` of them, are inside `image`.
        unsafe {
            let at = self.image.as_ptr().add(at);
            if self.lanes == S::LANES { simd.load(at) } else { simd.load_first(at, self.lanes) }
        }
    }

    /// As `load` for any `x`, with zeros beside the image.
    #[inline(always)]
    fn load_or_zero<S: Simd>(&self, simd: S, ky: usize, x: usize) -> S::V {
        assert!(ky < self.rows);
        if x < self.shape.in_w {
            // SAFETY: both just checked.
            unsafe { self.load(simd, ky, x) }
        } else {
            simd.splat(0.0)
        }
    }

    /// Writes output column `ox`.
    #[inline(always)]
    fn store<S: Simd>(&self, simd: S, output: &mut [f32], ox: usize, [lo, hi]: [S::V; 2], sum: S::V) {
        let at = ox * self.shape.out_c + self.channel;
        simd.write(&mut output[at..at + self.lanes], simd.clamp(sum, lo, hi));
    }
}

/// Kernels `KW` wide with stride `SW`, tiles of up to `T` columns.
struct Shared<'a, const KW: usize, const SW: usize, const T: usize>(RowKernel<'a>);

impl<const KW: usize, const SW: usize, const T: usize> Kernel for Shared<'_, KW, SW, T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let row = self.0;
        let bounds = row.bounds.map(|bound| simd.splat(bound));
        for (columns, bias) in row.vectors::<S>() {
            let out_w = columns.shape.out_w();
            let mut ox = 0;
            while ox < out_w {
                match out_w - ox {
                    8.. if T == 8 => ox += tile::<S, KW, SW, 8>(simd, columns, bias, ox, bounds, row.output),
                    4.. => ox += tile::<S, KW, SW, 4>(simd, columns, bias, ox, bounds, row.output),
                    2.. => ox += tile::<S, KW, SW, 2>(simd, columns, bias, ox, bounds, row.output),
                    _ => ox += tile::<S, KW, SW, 1>(simd, columns, bias, ox, bounds, row.output),
                }
            }
        }
    }
}

#[expect(clippy::needless_range_loop, reason = "constant bounds unroll; iterators over registers may not")]
/// Computes output columns `ox..ox + T`, and returns `T`.
#[inline(always)]
fn tile<S: Simd, const KW: usize, const SW: usize, const T: usize>(
    simd: S,
    columns: Columns<'_>,
    bias: &[f32],
    ox: usize,
    bounds: [S::V; 2],
    output: &mut [f32],
) -> usize {
    let mut sums = [simd.read(bias); T];
    let left = (ox * SW).wrapping_sub(columns.shape.pads[1]);
    let inside = left < columns.shape.in_w && left + (T - 1) * SW + KW <= columns.shape.in_w;
    for ky in 0..columns.rows {
        let mut w = [simd.splat(0.0); KW];
        for (kx, w) in w.iter_mut().enumerate() {
            *w = simd.read(&columns.weights[(ky * KW + kx) * S::LANES..]);
        }
        for t in 0..T {
            for kx in 0..KW {
                let x = left.wrapping_add(t * SW + kx);
                let x = if inside {
                    // SAFETY: `ky < rows`, and the whole tile is inside the image.
                    unsafe { columns.load(simd, ky, x) }
                } else {
                    columns.load_or_zero(simd, ky, x)
                };
                sums[t] = simd.fma(x, w[kx], sums[t]);
            }
        }
    }
    for (t, sum) in sums.into_iter().enumerate() {
        columns.store(simd, output, ox + t, bounds, sum);
    }
    T
}

/// Any kernel, stride and dilation, one column at a time.
struct Any<'a>(RowKernel<'a>);

impl Kernel for Any<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let row = self.0;
        let bounds = row.bounds.map(|bound| simd.splat(bound));
        for (columns, bias) in row.vectors::<S>() {
            let shape = columns.shape;
            for ox in 0..shape.out_w() {
                let left = (ox * shape.stride[1]).wrapping_sub(shape.pads[1]);
                let mut sum = simd.read(bias);
                let mut weights = columns.weights.chunks_exact(S::LANES);
                for ky in 0..columns.rows {
                    for (kx, w) in (0..shape.kernel[1]).zip(&mut weights) {
                        let x = columns.load_or_zero(simd, ky, left.wrapping_add(kx * shape.dilation[1]));
                        sum = simd.fma(x, simd.read(w), sum);
                    }
                }
                columns.store(simd, row.output, ox, bounds, sum);
            }
        }
    }
}
