//! Between real tensors and planes of codes: where a network enters and leaves the integers.
//!
//! Codes are `clamp(round_half_even(x / step) + zero, lo, hi)`, by a true division, as ONNX and the simulation do; a NaN is
//! the code of zero, infinities are the ends. Reals are `(code − zero)·step`.

use super::bytes::{ByteKernel, ByteSimd, MAX_BYTES};
use super::{Code, Plane};
use crate::{Isa, ShapeError};

/// The codes of one edge and where they lie.
#[derive(Clone, Copy, Debug)]
pub struct Quantizer {
    isa: Isa,
    plane: Plane,
    channels: usize,
    step: f32,
    code: Code,
}

impl Quantizer {
    /// For an edge of `channels` stored in `plane`; `step` is in real units per code, positive and finite.
    ///
    /// # Errors
    /// The plane does not hold these channels, or has a size of zero.
    pub fn new(
        isa: Isa,
        plane: Plane,
        channels: usize,
        step: f32,
        code: Code,
    ) -> Result<Quantizer, ShapeError> {
        crate::error::nonzero(&[("channels", channels)])?;
        plane.check("edge's", [plane.h, plane.w, channels], [0; 4])?;
        Ok(Quantizer { isa, plane, channels, step, code })
    }

    /// How its codes lie in memory.
    pub fn plane(&self) -> &Plane {
        &self.plane
    }

    /// The definition: the code of a real number.
    pub fn encode(&self, x: f32) -> u8 {
        let steps = x / self.step;
        self.code.encode(if steps.is_nan() { 0.0 } else { steps })
    }

    /// The definition: the real number of a code.
    pub fn decode(&self, code: u8) -> f32 {
        (f32::from(code) - f32::from(self.code.zero)) * self.step
    }

    /// Encodes `reals: [n, channels, h, w]` into the interiors of n images. Stored channels beyond the edge's get the
    /// code of 0.
    ///
    /// # Panics
    /// The slices do not hold the same number of images.
    pub fn encode_nchw(&self, reals: &[f32], codes: &mut [u8]) {
        self.check(reals, codes);
        self.isa.run_bytes(Encode { of: self, reals, codes, channels_last: false });
    }

    /// The same from `[n, h, w, channels]`.
    ///
    /// # Panics
    /// The slices do not hold the same number of images.
    pub fn encode_nhwc(&self, reals: &[f32], codes: &mut [u8]) {
        self.check(reals, codes);
        self.isa.run_bytes(Encode { of: self, reals, codes, channels_last: true });
    }

    /// Decodes the interiors of n images into `reals: [n, channels, h, w]`.
    ///
    /// # Panics
    /// The slices do not hold the same number of images.
    pub fn decode_nchw(&self, codes: &[u8], reals: &mut [f32]) {
        self.check(reals, codes);
        let Plane { h, w, c, .. } = self.plane;
        let rows = self.plane.interiors(codes).enumerate();
        for (row, codes) in rows {
            let (image, y) = (row / h, row % h);
            for channel in 0..self.channels {
                let to = &mut reals[((image * self.channels + channel) * h + y) * w..][..w];
                for (real, code) in to.iter_mut().zip(codes[channel..].iter().step_by(c)) {
                    *real = self.decode(*code);
                }
            }
        }
    }

    /// The same into `[n, h, w, channels]`.
    ///
    /// # Panics
    /// The slices do not hold the same number of images.
    pub fn decode_nhwc(&self, codes: &[u8], reals: &mut [f32]) {
        self.check(reals, codes);
        self.isa.run_bytes(DecodeLast { of: self, codes, reals });
    }

    fn check(&self, reals: &[f32], codes: &[u8]) {
        let Plane { h, w, .. } = self.plane;
        let images = codes.len() / self.plane.len();
        assert_eq!(codes.len(), images * self.plane.len(), "codes of {self:?}");
        assert_eq!(reals.len(), images * h * w * self.channels, "reals of {self:?}");
    }
}

struct Encode<'a> {
    of: &'a Quantizer,
    reals: &'a [f32],
    codes: &'a mut [u8],
    channels_last: bool,
}

impl ByteKernel for Encode<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: ByteSimd>(self, s: S) {
        let Quantizer { plane, channels, .. } = *self.of;
        let Plane { h, w, c, .. } = plane;
        let encoder = Encoder::new(s, self.of);
        for (row, codes) in plane.interiors_mut(self.codes).enumerate() {
            if self.channels_last {
                let reals = &self.reals[row * w * channels..][..w * channels];
                if channels == c {
                    encoder.stretch(s, reals, codes);
                } else {
                    for (reals, codes) in reals.chunks_exact(channels).zip(codes.chunks_exact_mut(c)) {
                        let (codes, after) = codes.split_at_mut(channels);
                        encoder.stretch(s, reals, codes);
                        after.fill(encoder.zero_code);
                    }
                }
            } else {
                let (image, y) = (row / h, row % h);
                let channel = |channel: usize| match channel {
                    beyond if beyond >= channels => None,
                    _ => Some(&self.reals[((image * channels + channel) * h + y) * w..][..w]),
                };
                for four in (0..c).step_by(4) {
                    encoder.four(s, std::array::from_fn(|i| channel(four + i)), &mut codes[four..], c);
                }
            }
        }
    }
}

/// The constants of an edge as vectors.
#[derive(Clone, Copy)]
struct Encoder<S: ByteSimd> {
    step: S::F,
    bounds: [S::F; 2],
    zero: S::I,
    zero_code: u8,
}

impl<S: ByteSimd> Encoder<S> {
    #[inline(always)]
    fn new(s: S, of: &Quantizer) -> Encoder<S> {
        Encoder {
            step: s.splat(of.step),
            bounds: of.code.bounds().map(|bound| s.splat(bound)),
            zero: s.splat_i(of.code.zero.into()),
            zero_code: of.encode(0.0),
        }
    }

    #[inline(always)]
    fn lanes(&self, s: S, reals: S::F) -> S::I {
        let steps = s.zero_nan(s.div(reals, self.step));
        let [lo, hi] = self.bounds;
        s.add_i(s.round(s.min(s.max(steps, lo), hi)), self.zero)
    }

    /// The codes of neighbouring reals.
    #[inline(always)]
    fn stretch(&self, s: S, reals: &[f32], codes: &mut [u8]) {
        for (reals, codes) in reals.chunks(S::LANES).zip(codes.chunks_mut(S::LANES)) {
            let mut lanes = [0; MAX_BYTES / 4];
            // SAFETY: the array holds the widest vector.
            unsafe { s.store_i(lanes.as_mut_ptr(), self.lanes(s, read(s, reals))) }
            codes.iter_mut().zip(lanes).for_each(|(code, lane)| *code = lane as u8);
        }
    }

    /// Four channels of a row, `None` those that are not of the edge, as four neighbouring codes every `step`.
    #[inline(always)]
    fn four(&self, s: S, channels: [Option<&[f32]>; 4], codes: &mut [u8], step: usize) {
        let width = codes.len().div_ceil(step);
        for x in (0..width).step_by(S::LANES) {
            let lanes = channels.map(|channel| match channel {
                Some(reals) => self.lanes(s, read(s, &reals[x..])),
                None => s.splat_i(self.zero_code.into()),
            });
            let (pixels, codes) = (s.join(lanes), &mut codes[x * step..]);
            if step == 4 {
                s.write(codes, pixels);
            } else {
                let mut fours = [0; MAX_BYTES];
                s.write(&mut fours, pixels);
                let codes = codes.chunks_mut(step).take(S::LANES);
                codes.zip(fours.chunks_exact(4)).for_each(|(codes, four)| codes[..4].copy_from_slice(four));
            }
        }
    }
}

/// The vector at the start of `reals`; where they are fewer, the others are 0.
#[inline(always)]
fn read<S: ByteSimd>(s: S, reals: &[f32]) -> S::F {
    let mut whole = [0.0; MAX_BYTES / 4];
    let reals = match reals.len() {
        n if n >= S::LANES => reals,
        n => {
            whole[..n].copy_from_slice(reals);
            &whole
        }
    };
    // SAFETY: either slice holds `LANES` values.
    unsafe { s.load_f(reals.as_ptr()) }
}

struct DecodeLast<'a> {
    of: &'a Quantizer,
    codes: &'a [u8],
    reals: &'a mut [f32],
}

impl ByteKernel for DecodeLast<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: ByteSimd>(self, _: S) {
        let Quantizer { plane, channels, .. } = *self.of;
        let pixels = plane.interiors(self.codes).flat_map(|row| row.chunks_exact(plane.c));
        for (codes, reals) in pixels.zip(self.reals.chunks_exact_mut(channels)) {
            // Plain loops over equal lengths, which the compiler turns into vectors.
            for (real, &code) in reals.iter_mut().zip(&codes[..channels]) {
                *real = self.of.decode(code);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::testing::{bytes, noise};

    /// Reals around the codes of `quantizer`, with ties, and all that is not a number of its range.
    fn reals(quantizer: &Quantizer, len: usize) -> Vec<f32> {
        let special = [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, 0.0, -0.0, f32::MAX, f32::MIN_POSITIVE];
        let real = |(i, x): (usize, f32)| match i % 11 {
            0 => special[i / 11 % special.len()],
            1 | 2 => ((x * 300.0).round() + 0.5) * quantizer.step,
            _ => x * 300.0 * quantizer.step,
        };
        noise(len, 1).into_iter().enumerate().map(real).collect()
    }

    proptest! {
        #[test]
        fn every_instruction_set_equals_the_definition(
            [h, w, channels, images] in [1usize..5, 1usize..40, 1usize..40, 0usize..3],
            border in [0usize..2, 0usize..2, 0usize..2, 0usize..2],
            wider in 0usize..3,
            zero: u8,
            step in 1e-3f32..10.0,
            [lo, hi] in [0u8..=100, 100u8..=255],
        ) {
            let plane = Plane::new(h, w, channels).with_border(border);
            let plane = Plane { c: plane.c + 4 * wider, ..plane };
            for isa in Isa::supported() {
                let quantizer = Quantizer::new(isa, plane, channels, step, Code { zero, lo, hi }).unwrap();
                let reals = reals(&quantizer, images * h * w * channels);
                let mut by_channel = vec![77; images * plane.len()];
                let mut by_pixel = by_channel.clone();
                let mut want = [by_channel.clone(), by_channel.clone()];
                quantizer.encode_nchw(&reals, &mut by_channel);
                quantizer.encode_nhwc(&reals, &mut by_pixel);
                let codes = bytes(images * plane.len(), 2);
                let [mut from_channel, mut from_pixel] = [vec![0.0; reals.len()], vec![0.0; reals.len()]];
                quantizer.decode_nchw(&codes, &mut from_channel);
                quantizer.decode_nhwc(&codes, &mut from_pixel);
                for i in 0..images * h * w * plane.c {
                    let (c, x, y, n) = (i % plane.c, i / plane.c % w, i / plane.c / w % h, i / plane.c / w / h);
                    let at = n * plane.len() + plane.offset(y, x) + c;
                    let places = [((n * channels + c) * h + y) * w + x, ((n * h + y) * w + x) * channels + c];
                    for (want, place) in want.iter_mut().zip(places) {
                        want[at] = quantizer.encode(if c < channels { reals[place] } else { 0.0 });
                    }
                    if c < channels {
                        let real = quantizer.decode(codes[at]);
                        prop_assert_eq!([from_channel[places[0]], from_pixel[places[1]]], [real; 2]);
                    }
                }
                prop_assert_eq!(&[by_channel, by_pixel], &want, "{}", isa);
            }
        }
    }

    #[test]
    fn codes_divide_by_the_step_and_round_to_even() {
        let quantizer =
            Quantizer::new(Isa::best(), Plane::new(1, 1, 1), 1, 0.7, Code { zero: 10, lo: 0, hi: 255 })
                .unwrap();
        // 3.15 / 0.7 ties as a true quotient; the product with 1 / 0.7 is above it.
        let codes = [3.15, -0.35, f32::NAN, f32::INFINITY, -1e9].map(|x| quantizer.encode(x));
        assert_eq!(codes, [14, 10, 10, 255, 0]);
        assert_eq!(quantizer.decode(8), -2.0 * 0.7);
    }
}
