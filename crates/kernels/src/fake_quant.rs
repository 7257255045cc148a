//! Fake quantization: a value to its code and back, in one pass.
//!
//! `code = clamp(round_half_even(x / scale) + zero_point, lo, hi)`, `y = (code - zero_point)·scale`. Divides: the
//! product with a reciprocal lands on another code near some ties. NaN becomes the zero point, so 0.
//! Every instruction set gives the same bits.

mod gradient;
pub mod reference;
#[cfg(test)]
mod tests;

pub use gradient::{backward, backward_in_place, backward_rows_in_place, clipped_backward_in_place};

use crate::Isa;
use crate::simd::{Kernel, Simd};

/// An affine quantizer of a whole tensor.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FakeQuant {
    /// Real units per step; positive and finite.
    pub scale: f32,
    /// The code of real zero, in `lo..=hi`.
    pub zero_point: i32,
    /// Smallest code.
    pub lo: i32,
    /// Largest code; all steps `lo - zero_point ..= hi - zero_point` are within ±2^24.
    pub hi: i32,
}

impl FakeQuant {
    /// The codes as steps from the zero point.
    fn steps(&self) -> [f32; 2] {
        [self.lo, self.hi].map(|code| code.saturating_sub(self.zero_point) as f32)
    }
}

/// `y[i] = quant(x[i])`.
///
/// # Panics
/// The lengths differ.
pub fn fake_quant(isa: Isa, quant: &FakeQuant, x: &[f32], y: &mut [f32]) {
    y.copy_from_slice(x);
    fake_quant_in_place(isa, quant, y);
}

/// `y[i] = quant(y[i])`.
pub fn fake_quant_in_place(isa: Isa, quant: &FakeQuant, y: &mut [f32]) {
    isa.run(TensorKernel(quant, y));
}

/// `y[.., c] = quant_c(y[.., c])` along the last axis; all channels share the range of codes `[lo, hi]`.
///
/// # Panics
/// `scales` is empty, differs in length from `zero_points`, or does not divide the length of `y`.
pub fn fake_quant_channel_in_place(
    isa: Isa,
    scales: &[f32],
    zero_points: &[i32],
    [lo, hi]: [i32; 2],
    y: &mut [f32],
) {
    assert!(!scales.is_empty() && y.len().is_multiple_of(scales.len()), "{} channels", scales.len());
    assert_eq!(scales.len(), zero_points.len(), "scales and zero points");
    isa.run(ChannelKernel { scales, zero_points, codes: [lo, hi], y });
}

/// Clamping before rounding gives the same codes, since the ends are integers, and keeps the rounding in range.
#[inline(always)]
fn round_trip<S: Simd>(s: S, x: S::V, scale: S::V, lo: S::V, hi: S::V) -> S::V {
    let zero = s.splat(0.0);
    let steps = s.div(x, scale);
    // NaN fails both comparisons and becomes 0.
    let steps = s.select_lt(steps, zero, steps, s.max(steps, zero));
    let steps = s.round(s.min(s.max(steps, lo), hi));
    // A code knows no negative zero: adding 0 makes it positive.
    s.mul(s.add(steps, zero), scale)
}

struct TensorKernel<'a>(&'a FakeQuant, &'a mut [f32]);

impl Kernel for TensorKernel<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let scale = s.splat(self.0.scale);
        let [lo, hi] = self.0.steps();
        let (lo, hi) = (s.splat(lo), s.splat(hi));
        let mut vectors = self.1.chunks_exact_mut(S::LANES);
        for at in &mut vectors {
            s.write(at, round_trip(s, s.read(at), scale, lo, hi));
        }
        let rest = vectors.into_remainder();
        s.write(rest, round_trip(s, s.read(rest), scale, lo, hi));
    }
}

struct ChannelKernel<'a> {
    scales: &'a [f32],
    zero_points: &'a [i32],
    codes: [i32; 2],
    y: &'a mut [f32],
}

impl Kernel for ChannelKernel<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let channels = self.scales.len();
        let mut ends = [[0.0; 16]; 2];
        for first in (0..channels).step_by(S::LANES) {
            let lanes = S::LANES.min(channels - first);
            for (lane, &zero) in self.zero_points[first..first + lanes].iter().enumerate() {
                for (end, code) in ends.iter_mut().zip(self.codes) {
                    end[lane] = code.saturating_sub(zero) as f32;
                }
            }
            let scale = s.read(&self.scales[first..first + lanes]);
            let [lo, hi] = [s.read(&ends[0]), s.read(&ends[1])];
            for row in self.y.chunks_exact_mut(channels) {
                let at = &mut row[first..first + lanes];
                s.write(at, round_trip(s, s.read(at), scale, lo, hi));
            }
        }
    }
}
