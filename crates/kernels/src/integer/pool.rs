//! Pooling of codes: maximum, average, and the average of a whole image.
//!
//! Windows are cut at the image, so a border plays no part. Averages sum whole numbers, four pixels at a time by a dot
//! product with ones, and are scaled once: an image of any size is summed exactly.

use super::bytes::{ByteKernel, ByteSimd, CodeLanes};
use super::lookup::{Table, lookup_in_place};
use super::{Code, Plane};
use crate::{Isa, Pool2d, ShapeError};

/// What a window becomes.
#[derive(Clone, Debug)]
pub enum IntPooling {
    /// The largest code, 0 where a window is in padding alone; through a table where the scales differ.
    Max(Option<Box<Table>>),
    /// The average.
    Average(Average),
}

/// `code(Σ (x − zero_x) · (scale / count))`, the quotient rounded to f32 first.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Average {
    /// Code of zero of the input.
    pub zero_x: u8,
    /// Steps of the output per step of the input.
    pub scale: f32,
    /// The output's codes.
    pub code: Code,
    /// Whether `count` is all pixels of the window inside the padded image, or those inside the image.
    pub count_pad: bool,
}

impl Average {
    /// The definition: the code of a window whose codes' distances from zero sum to `sum`.
    pub fn encode(&self, sum: i32, count: usize) -> u8 {
        self.code.encode(sum as f32 * self.per_step(count))
    }

    fn per_step(&self, count: usize) -> f32 {
        self.scale / count.max(1) as f32
    }
}

/// A pooling between two planes.
#[derive(Clone, Debug)]
pub struct IntPool2d {
    isa: Isa,
    pool: Pool2d,
    pooling: IntPooling,
    input: Plane,
    output: Plane,
}

impl IntPool2d {
    /// From images in `input` to images in `output`. Borders may be anything, none is read.
    ///
    /// # Errors
    /// `pool` is not valid (see [`Pool2d::check`]), a plane does not fit it, or a window's sum could leave 32 bits.
    pub fn new(
        isa: Isa,
        pool: &Pool2d,
        pooling: IntPooling,
        input: Plane,
        output: Plane,
    ) -> Result<IntPool2d, ShapeError> {
        pool.check()?;
        input.check("input", [pool.in_h, pool.in_w, pool.channels], [0; 4])?;
        output.check("output", [pool.out_h(), pool.out_w(), pool.channels], [0; 4])?;
        let taps = pool.kernel[0].min(pool.in_h).checked_mul(pool.kernel[1].min(pool.in_w));
        if taps.is_none_or(|taps| taps > i32::MAX as usize / 255) {
            return Err(ShapeError::TooLarge { what: "window" });
        }
        Ok(IntPool2d { isa, pool: *pool, pooling, input, output })
    }

    /// The average of whole images of `channels` in `input`, into one pixel.
    ///
    /// # Errors
    /// As [`IntPool2d::new`].
    pub fn global_average(
        isa: Isa,
        channels: usize,
        average: Average,
        input: Plane,
        output: Plane,
    ) -> Result<IntPool2d, ShapeError> {
        let pool = Pool2d {
            in_h: input.h,
            in_w: input.w,
            channels,
            kernel: [input.h, input.w],
            stride: [1; 2],
            dilation: [1; 2],
            pads: [0; 4],
            ceil: false,
        };
        IntPool2d::new(isa, &pool, IntPooling::Average(average), input, output)
    }

    /// How its input lies in memory.
    pub fn input(&self) -> &Plane {
        &self.input
    }

    /// How its output lies in memory.
    pub fn output(&self) -> &Plane {
        &self.output
    }

    /// Pools n images into the interiors of n images. Stored channels beyond the pooling's, where both planes have them,
    /// are pooled too; any others become 0.
    ///
    /// # Panics
    /// The slices do not hold the same number of images.
    pub fn run(&self, input: &[u8], output: &mut [u8]) {
        let images = input.len() / self.input.len();
        assert_eq!(input.len(), images * self.input.len(), "input of {:?}", self.pool);
        assert_eq!(output.len(), images * self.output.len(), "output of {:?}", self.pool);
        for (image, output) in
            input.chunks_exact(self.input.len()).zip(output.chunks_exact_mut(self.output.len()))
        {
            self.isa.run_bytes(Image { of: self, image, output });
        }
    }
}

struct Image<'a> {
    of: &'a IntPool2d,
    image: &'a [u8],
    output: &'a mut [u8],
}

/// Where the pixels of a window lie: rows of evenly spaced pixels.
#[derive(Clone, Copy)]
struct Window {
    first: usize,
    rows: usize,
    row_step: usize,
    columns: usize,
    column_step: usize,
}

impl ByteKernel for Image<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: ByteSimd>(self, s: S) {
        let IntPool2d { isa, pool, pooling, input, output: plane } = self.of;
        let channels = input.c.min(plane.c);
        for (y, row) in plane.interiors_mut(self.output).enumerate() {
            let (rows, padded_rows) = pool.taps(0, y);
            for (x, pixel) in row.chunks_exact_mut(plane.c).enumerate() {
                let (columns, padded_columns) = pool.taps(1, x);
                let window = Window {
                    first: if rows.is_empty() || columns.is_empty() {
                        0
                    } else {
                        let top = y * pool.stride[0] + rows.start * pool.dilation[0] - pool.pads[0];
                        let left = x * pool.stride[1] + columns.start * pool.dilation[1] - pool.pads[1];
                        input.offset(top, left)
                    },
                    rows: rows.len(),
                    row_step: pool.dilation[0] * input.row_len(),
                    columns: columns.len(),
                    column_step: pool.dilation[1] * input.c,
                };
                let (pixel, beyond) = pixel.split_at_mut(channels);
                beyond.fill(0);
                match pooling {
                    IntPooling::Max(_) => max(s, &window, self.image, pixel),
                    IntPooling::Average(of) => {
                        let inside = rows.len() * columns.len();
                        let count = if of.count_pad { padded_rows * padded_columns } else { inside };
                        average(s, of, &window, count, self.image, pixel);
                    }
                }
            }
            if let IntPooling::Max(Some(table)) = pooling {
                lookup_in_place(*isa, table, row);
            }
        }
    }
}

/// The largest code of a window, channel by channel.
#[inline(always)]
fn max<S: ByteSimd>(s: S, window: &Window, image: &[u8], pixel: &mut [u8]) {
    for first in (0..pixel.len()).step_by(S::BYTES) {
        let to = &mut pixel[first..];
        let len = to.len().min(S::BYTES);
        let mut largest = s.splat_b(0);
        for row in 0..window.rows {
            let row = window.first + row * window.row_step + first;
            for column in 0..window.columns {
                let codes = s.read(&image[row + column * window.column_step..][..len]);
                largest = s.max_b(largest, codes);
            }
        }
        s.write(&mut to[..len], largest);
    }
}

/// The average of a window, channel by channel.
#[inline(always)]
fn average<S: ByteSimd>(s: S, of: &Average, window: &Window, count: usize, image: &[u8], pixel: &mut [u8]) {
    // A window of codes summed in fours; codes missing from the last four are 0, and lowered like the others.
    let taps = (window.rows * window.columns.next_multiple_of(4)) as i32;
    let lowered = taps.wrapping_mul(S::LOWERED.into());
    let zeros = lowered.wrapping_sub((window.rows * window.columns) as i32 * i32::from(of.zero_x));
    let scale = s.splat(of.per_step(count));
    let (code, ones) = (CodeLanes::new(s, of.code), s.weights(s.splat_b(1)));
    for first in (0..pixel.len()).step_by(S::BYTES) {
        let to = &mut pixel[first..];
        let len = to.len().min(S::BYTES);
        let mut sums = [s.splat_i(zeros); 4];
        for row in 0..window.rows {
            let row = window.first + row * window.row_step + first;
            for column in (0..window.columns).step_by(4) {
                let mut four = [s.splat_b(0); 4];
                for (i, codes) in four.iter_mut().enumerate().take(window.columns - column) {
                    *codes = s.read(&image[row + (column + i) * window.column_step..][..len]);
                }
                let four = s.interleave(four);
                for v in 0..4 {
                    sums[v] = s.dot(sums[v], four[v], ones);
                }
            }
        }
        s.write(&mut to[..len], code.of_sums(s, sums, [scale; 4]));
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::testing::{bytes, most, pools};

    /// Every tap of every window.
    fn plain(of: &IntPool2d, image: &[u8], want: &mut [u8]) {
        let IntPool2d { pool, pooling, input, output, .. } = of;
        for (y, x) in (0..output.h).flat_map(|y| (0..output.w).map(move |x| (y, x))) {
            for c in 0..output.c {
                let (mut codes, mut padded) = (Vec::new(), 0);
                for (ky, kx) in (0..pool.kernel[0]).flat_map(|ky| (0..pool.kernel[1]).map(move |kx| (ky, kx)))
                {
                    let y = (y * pool.stride[0] + ky * pool.dilation[0]) as isize - pool.pads[0] as isize;
                    let x = (x * pool.stride[1] + kx * pool.dilation[1]) as isize - pool.pads[1] as isize;
                    let (h, w) = (pool.in_h as isize, pool.in_w as isize);
                    padded += usize::from(y < h + pool.pads[2] as isize && x < w + pool.pads[3] as isize);
                    if (0..h).contains(&y) && (0..w).contains(&x) && c < input.c {
                        codes.push(image[input.offset(y as usize, x as usize) + c]);
                    }
                }
                want[output.offset(y, x) + c] = match pooling {
                    IntPooling::Max(table) => {
                        let largest = codes.into_iter().max().unwrap_or(0);
                        table.as_ref().map_or(largest, |table| table[usize::from(largest)])
                    }
                    IntPooling::Average(_) if c >= input.c => 0,
                    IntPooling::Average(of) => {
                        let sum = codes.iter().map(|&code| i32::from(code) - i32::from(of.zero_x)).sum();
                        of.encode(sum, if of.count_pad { padded } else { codes.len() })
                    }
                };
            }
        }
    }

    fn assert_agrees(
        pool: &Pool2d,
        pooling: &IntPooling,
        border: [usize; 4],
        wider: [usize; 2],
        images: usize,
    ) {
        let plane = |h, w, wider: usize| {
            let plane = Plane::new(h, w, pool.channels).with_border(border);
            Plane { c: plane.c + 4 * wider, ..plane }
        };
        let input = plane(pool.in_h, pool.in_w, wider[0]);
        let output = plane(pool.out_h(), pool.out_w(), wider[1]);
        let codes = bytes(images * input.len(), 3);
        for isa in Isa::supported() {
            let of = IntPool2d::new(isa, pool, pooling.clone(), input, output).unwrap();
            let mut got = vec![77; images * output.len()];
            let mut want = got.clone();
            of.run(&codes, &mut got);
            for (image, want) in codes.chunks_exact(input.len()).zip(want.chunks_exact_mut(output.len())) {
                plain(&of, image, want);
            }
            assert_eq!(got, want, "{isa} {pool:?} {pooling:?}");
        }
    }

    proptest! {
        #[test]
        fn every_instruction_set_equals_the_plain_loops(
            pool in pools(1..most(150), 1..6),
            border in [0usize..3, 0usize..3, 0usize..3, 0usize..3],
            wider in [0usize..3, 0usize..3],
            images in 0usize..3,
            zeros: [u8; 2],
            scale in 0.1f32..3.0,
            flags: [bool; 2],
        ) {
            let code = Code { zero: zeros[0], lo: 3, hi: 251 };
            let average = Average { zero_x: zeros[1], scale, code, count_pad: flags[0] };
            let table = flags[1].then(|| Box::new(bytes(256, 8).try_into().unwrap()));
            for pooling in [IntPooling::Max(table), IntPooling::Average(average)] {
                assert_agrees(&pool, &pooling, border, wider, images);
            }
        }
    }

    #[test]
    #[cfg_attr(miri, ignore = "takes long there")]
    fn the_average_of_a_large_image_is_exact() {
        let input = Plane::new(500, 700, 4);
        let average =
            Average { zero_x: 0, scale: 1.0, code: Code { zero: 0, lo: 0, hi: 255 }, count_pad: false };
        let mut codes = vec![200; input.len()];
        // 350,000 pixels: a sum of f32 would have lost the ones long before.
        codes[..input.len() / 2].fill(201);
        codes[0] = 200;
        for isa in Isa::supported() {
            let of = IntPool2d::global_average(isa, 4, average, input, Plane::new(1, 1, 4)).unwrap();
            let mut got = [0; 4];
            of.run(&codes, &mut got);
            // A hair below 200.5, and in the other channels at it, which ties to even.
            assert_eq!(got, [200; 4], "{isa}");
        }
    }

    #[test]
    fn a_window_whose_sum_could_leave_32_bits_is_refused() {
        let input = Plane::new(3000, 3000, 4);
        let average =
            Average { zero_x: 0, scale: 1.0, code: Code { zero: 0, lo: 0, hi: 255 }, count_pad: false };
        let refused = IntPool2d::global_average(Isa::best(), 4, average, input, Plane::new(1, 1, 4));
        assert_eq!(refused.unwrap_err().to_string(), "window has more values than memory can hold");
    }
}
