//! Between real tensors and planes of codes: where a network enters and leaves the integers.
//!
//! Codes are `clamp(round_half_even(x / step) + zero, lo, hi)`, by a true division, as ONNX and the simulation do; a NaN is
//! the code of zero, infinities are the ends. Reals are `(code − zero)·step`.

mod convert;
#[cfg(test)]
mod tests;

use super::{Code, Plane};
use crate::{Isa, ShapeError};
use convert::{Decode, Encode};

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
        self.isa.run_bytes(Decode { of: self, codes, reals, channels_last: false });
    }

    /// The same into `[n, h, w, channels]`.
    ///
    /// # Panics
    /// The slices do not hold the same number of images.
    pub fn decode_nhwc(&self, codes: &[u8], reals: &mut [f32]) {
        self.check(reals, codes);
        self.isa.run_bytes(Decode { of: self, codes, reals, channels_last: true });
    }

    fn check(&self, reals: &[f32], codes: &[u8]) {
        let Plane { h, w, .. } = self.plane;
        let images = codes.len() / self.plane.len();
        assert_eq!(codes.len(), images * self.plane.len(), "codes of {self:?}");
        assert_eq!(reals.len(), images * h * w * self.channels, "reals of {self:?}");
    }
}
