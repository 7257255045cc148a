//! The loops of [`Quantizer`], row by row.

use super::Quantizer;
use crate::integer::bytes::{ByteKernel, ByteSimd, CodeLanes, MAX_BYTES};

/// Codes that wait for their pixels: of as many whole pixels as fit.
const WAITING: usize = 256;

pub(super) struct Encode<'a> {
    pub(super) of: &'a Quantizer,
    pub(super) reals: &'a [f32],
    pub(super) codes: &'a mut [u8],
    pub(super) channels_last: bool,
}

impl ByteKernel for Encode<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: ByteSimd>(self, s: S) {
        let Quantizer { plane, channels, .. } = *self.of;
        let (row_len, step) = (plane.w * channels, s.splat(self.of.step));
        let encoder = Encoder { step, code: CodeLanes::new(s, self.of.code), zero: self.of.encode(0.0) };
        for (row, codes) in plane.interiors_mut(self.codes).enumerate() {
            if self.channels_last {
                encoder.pixels(s, &self.reals[row * row_len..][..row_len], channels, codes, plane.c);
            } else {
                let (image, y) = (row / plane.h, row % plane.h);
                let rows = &self.reals[(image * channels * plane.h + y) * plane.w..];
                for four in (0..plane.c).step_by(4) {
                    let mut of_row: [&[f32]; 4] = [&[]; 4];
                    for (channel, reals) in (four..channels).zip(&mut of_row) {
                        *reals = &rows[channel * plane.h * plane.w..][..plane.w];
                    }
                    encoder.four(s, of_row, &mut codes[four..], plane.c);
                }
            }
        }
    }
}

/// The constants of an edge.
#[derive(Clone, Copy)]
struct Encoder<S: ByteSimd> {
    step: S::F,
    code: CodeLanes<S>,
    /// The code of stored channels beyond the edge's.
    zero: u8,
}

impl<S: ByteSimd> Encoder<S> {
    #[inline(always)]
    fn lanes(&self, s: S, reals: &[f32]) -> S::I {
        self.code.encode(s, s.zero_nan(s.div(read(s, reals), self.step)))
    }

    /// A row of pixels of `channels` reals, stored in `step` codes each.
    #[inline(always)]
    fn pixels(&self, s: S, reals: &[f32], channels: usize, codes: &mut [u8], step: usize) {
        if channels == step {
            self.stretch(s, reals, codes);
        } else if channels > WAITING {
            for (reals, codes) in reals.chunks_exact(channels).zip(codes.chunks_exact_mut(step)) {
                self.stretch(s, reals, &mut codes[..channels]);
                codes[channels..].fill(self.zero);
            }
        } else {
            let pixels = WAITING / channels;
            for (reals, codes) in reals.chunks(pixels * channels).zip(codes.chunks_mut(pixels * step)) {
                let mut waiting = [0; WAITING];
                self.stretch(s, reals, &mut waiting[..reals.len()]);
                for (from, to) in waiting.chunks_exact(channels).zip(codes.chunks_exact_mut(step)) {
                    to[..channels].copy_from_slice(from);
                    to[channels..].fill(self.zero);
                }
            }
        }
    }

    /// The codes of neighbouring reals.
    #[inline(always)]
    fn stretch(&self, s: S, reals: &[f32], codes: &mut [u8]) {
        for (reals, codes) in reals.chunks(S::LANES).zip(codes.chunks_mut(S::LANES)) {
            let mut lanes = [0; MAX_BYTES / 4];
            // SAFETY: the array holds the widest vector.
            unsafe { s.store_i(lanes.as_mut_ptr(), self.lanes(s, reals)) }
            codes.iter_mut().zip(lanes).for_each(|(code, lane)| *code = lane as u8);
        }
    }

    /// Four channels of a row, without reals those that are not of the edge, as four neighbouring codes every `step`.
    #[inline(always)]
    fn four(&self, s: S, channels: [&[f32]; 4], codes: &mut [u8], step: usize) {
        let width = codes.len().div_ceil(step);
        for x in (0..width).step_by(S::LANES) {
            let mut lanes = [s.splat_i(self.zero.into()); 4];
            for (reals, lanes) in channels.iter().zip(&mut lanes) {
                if !reals.is_empty() {
                    *lanes = self.lanes(s, &reals[x..]);
                }
            }
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
    let reals = if reals.len() >= S::LANES {
        reals
    } else {
        whole[..reals.len()].copy_from_slice(reals);
        &whole
    };
    // SAFETY: either slice holds `LANES` values.
    unsafe { s.load_f(reals.as_ptr()) }
}

pub(super) struct Decode<'a> {
    pub(super) of: &'a Quantizer,
    pub(super) codes: &'a [u8],
    pub(super) reals: &'a mut [f32],
    pub(super) channels_last: bool,
}

impl ByteKernel for Decode<'_> {
    type Output = ();

    /// Plain loops over equal lengths, which the compiler turns into vectors of the instruction set.
    #[inline(always)]
    fn run<S: ByteSimd>(self, _: S) {
        let Quantizer { plane, channels, .. } = *self.of;
        for (row, codes) in plane.interiors(self.codes).enumerate() {
            if self.channels_last {
                let reals = &mut self.reals[row * plane.w * channels..][..plane.w * channels];
                for (codes, reals) in codes.chunks_exact(plane.c).zip(reals.chunks_exact_mut(channels)) {
                    for (real, &code) in reals.iter_mut().zip(codes) {
                        *real = self.of.decode(code);
                    }
                }
            } else {
                let (image, y) = (row / plane.h, row % plane.h);
                for channel in 0..channels {
                    let at = ((image * channels + channel) * plane.h + y) * plane.w;
                    let pixels = codes.chunks_exact(plane.c);
                    for (real, codes) in self.reals[at..][..plane.w].iter_mut().zip(pixels) {
                        *real = self.of.decode(codes[channel]);
                    }
                }
            }
        }
    }
}
