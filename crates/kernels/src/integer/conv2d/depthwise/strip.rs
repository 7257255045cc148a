//! One group of channels of some rows: tiles of up to two rows of two pixels.

use super::group::Group;
use super::target::Plain;
use super::{Band, Depthwise};
use crate::integer::bytes::{ByteKernel, ByteSimd, MAX_BYTES};

pub(super) struct Strip<'a, 'b> {
    pub(super) band: &'a mut Band<'b>,
    pub(super) group: &'a Group,
}

impl ByteKernel for Strip<'_, '_> {
    type Output = ();

    #[inline(always)]
    fn run<S: ByteSimd>(mut self, s: S) {
        let shape = &self.band.depthwise.shape;
        match (shape.kernel[1], shape.stride[1], shape.dilation[1]) {
            (3, 1, 1) => self.rows::<S, 3, 1>(s),
            (3, 2, 1) => self.rows::<S, 3, 2>(s),
            _ => self.rows::<S, 0, 0>(s),
        }
    }
}

/// What tiles of a strip share.
struct Steps<'a> {
    /// Bytes from a kernel column to the next, and from a pixel's window to the next.
    column: usize,
    pixel: usize,
    /// Bytes of the weights of one kernel column.
    weights: usize,
    kernel: usize,
    stride: usize,
    /// See [`Depthwise::taps`].
    taps: &'a [usize],
}

impl Strip<'_, '_> {
    /// Kernels `KW` wide with stride `SW`, or any if those are 0.
    #[inline(always)]
    fn rows<S: ByteSimd, const KW: usize, const SW: usize>(&mut self, s: S) {
        let rows = self.band.rows.clone();
        if rows.is_empty() {
            return;
        }
        let plain = Plain::new(s, &mut self.band.to, self.group, rows.end);
        let mut y = rows.start;
        while y < rows.end {
            if self.band.depthwise.rows == 2 && y + 2 <= rows.end {
                self.row::<S, 2, KW, SW>(s, &plain, y);
                y += 2;
            } else {
                self.row::<S, 1, KW, SW>(s, &plain, y);
                y += 1;
            }
        }
    }

    /// `R` output rows from row `y` on.
    #[inline(always)]
    fn row<S: ByteSimd, const R: usize, const KW: usize, const SW: usize>(
        &mut self,
        s: S,
        plain: &Option<Plain<S>>,
        y: usize,
    ) {
        let Depthwise { shape, input, output, rows, taps, .. } = self.band.depthwise;
        let steps = Steps {
            column: shape.dilation[1] * input.c,
            pixel: shape.stride[1] * input.c,
            weights: rows * 4 * size_of::<S::W>(),
            kernel: shape.kernel[1],
            stride: shape.stride[1],
            taps: &taps[R - 1],
        };
        let top = input.border[0] + y * shape.stride[0] - shape.pads[0];
        let left = input.border[1] - shape.pads[1];
        let window = &self.band.image[top * input.row_len() + left * input.c + self.group.channel..];
        // With sixteen registers, the sums of two rows fill half.
        let pairs = if S::REGISTERS > 16 && shape.dilation[1] == 1 { output.w / 2 } else { 0 };
        // SAFETY: windows of the padded input lie within the plane, whose border holds the padding, and so do those of `R`
        // rows, which are rows of the output.
        unsafe {
            for x in 0..pairs {
                self.tile::<S, R, 2, KW, SW>(s, plain, &steps, window.as_ptr(), [y, 2 * x]);
            }
            for x in 2 * pairs..output.w {
                self.tile::<S, R, 1, KW, SW>(s, plain, &steps, window.as_ptr(), [y, x]);
            }
        }
    }

    /// `R` rows of `C` pixels, at most 2; dilated columns only where `C` is 1.
    ///
    /// # Safety
    /// The windows of `R` rows of `C` pixels `at` are readable, that of the row's first pixel at `window`.
    #[inline(always)]
    unsafe fn tile<S: ByteSimd, const R: usize, const C: usize, const KW: usize, const SW: usize>(
        &mut self,
        s: S,
        plain: &Option<Plain<S>>,
        steps: &Steps<'_>,
        window: *const u8,
        [y, x]: [usize; 2],
    ) {
        let Depthwise { weights, offsets, .. } = self.band.depthwise;
        let (kw, stride) = if KW > 0 { (KW, SW) } else { (steps.kernel, steps.stride) };
        let mut sums = [[[s.splat_i(0); 4]; R]; C];
        // SAFETY: windows are the caller's; weights and offsets were packed for these vectors.
        unsafe {
            let window = window.add(x * steps.pixel);
            let mut weights = weights.as_ptr().add(self.group.weights);
            for v in 0..4 {
                let offset = s.load_i(offsets.as_ptr().add(self.group.offsets + v * S::LANES));
                sums.as_flattened_mut().iter_mut().for_each(|sum| sum[v] = offset);
            }
            for taps in steps.taps.chunks_exact(4) {
                let [a, b, c, d] = [taps[0], taps[1], taps[2], taps[3]].map(|tap| window.add(tap));
                // Every column under the tile once, for both windows over it.
                for column in 0..(C - 1) * stride + kw {
                    let at = column * steps.column;
                    let x = s.interleave([
                        s.load_b(a.add(at)),
                        s.load_b(b.add(at)),
                        s.load_b(c.add(at)),
                        s.load_b(d.add(at)),
                    ]);
                    if column < kw {
                        add_taps(s, &mut sums[0], x, weights.add(column * steps.weights));
                    }
                    if C == 2 && column >= stride {
                        add_taps(s, &mut sums[C - 1], x, weights.add((column - stride) * steps.weights));
                    }
                }
                weights = weights.add(kw * steps.weights);
            }
        }
        for (c, sums) in sums.into_iter().enumerate() {
            for (r, sums) in sums.into_iter().enumerate() {
                let pixel = [y + r, x + c];
                if let Some(plain) = plain {
                    // SAFETY: the tile is within the band.
                    unsafe { plain.put(s, pixel, sums) }
                } else {
                    let mut lanes = [0; MAX_BYTES];
                    for (v, sums) in sums.into_iter().enumerate() {
                        // SAFETY: the array holds four vectors of the widest kind.
                        unsafe { s.store_i(lanes.as_mut_ptr().add(v * S::LANES), sums) }
                    }
                    self.band.to.put(self.group, pixel, &lanes);
                }
            }
        }
    }
}

/// Adds four taps of one column to the sums of `R` rows.
///
/// # Safety
/// Weights of `4·R` vectors are readable at `weights`.
#[inline(always)]
unsafe fn add_taps<S: ByteSimd, const R: usize>(
    s: S,
    sums: &mut [[S::I; 4]; R],
    x: [S::X; 4],
    weights: *const u8,
) {
    for (r, sums) in sums.iter_mut().enumerate() {
        for v in 0..4 {
            // SAFETY: the caller gives `4·R` of them.
            let w = unsafe { weights.cast::<S::W>().add(r * 4 + v).read_unaligned() };
            sums[v] = s.dot(sums[v], x[v], w);
        }
    }
}
