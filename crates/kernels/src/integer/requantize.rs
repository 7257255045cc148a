//! From sums to codes: scale, edges in between, residual addition, rounding, clipping.
//!
//! The order of operations is part of the contract, since it decides ties: f32 multiplications and additions, each
//! rounded (none fused), and rounding half to even. [`Requantize::encode`] is the definition, vectors repeat it.

mod encoder;

pub(crate) use encoder::Encoder;

use super::{Plane, Table};
use crate::{AlignedVec, ShapeError};

/// How a real number in steps of an edge becomes its code: `clamp(round_half_even(v) + zero, lo, hi)`.
///
/// ReLU is `lo = zero`; 4-bit activations are `lo..hi = 0..15`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Code {
    /// Code of zero.
    pub zero: u8,
    /// Smallest code.
    pub lo: u8,
    /// Largest code, at least `lo`.
    pub hi: u8,
}

impl Code {
    /// `lo − zero` and `hi − zero`: bounds in steps.
    pub(crate) fn bounds(self) -> [f32; 2] {
        [self.lo, self.hi].map(|end| f32::from(end) - f32::from(self.zero))
    }

    /// `code − zero` of the code of `v`. NaN (`∞ − ∞` of absurd scales) gives `lo`.
    fn steps(self, v: f32) -> f32 {
        let [lo, hi] = self.bounds();
        // Bounds are whole, so clipping first gives the same.
        let v = if v > lo { v } else { lo };
        let v = if v < hi { v } else { hi };
        v.round_ties_even()
    }

    /// The code of `v`.
    pub fn encode(self, v: f32) -> u8 {
        (self.steps(v) as i32 + i32::from(self.zero)) as u8
    }
}

/// An edge of its own between a layer's sum and the addition after it: rounded to codes and back.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Inner {
    /// Codes of that edge.
    pub code: Code,
    /// Steps of the output per step of that edge.
    pub scale: f32,
}

/// Codes added to the sum before the last rounding.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Residual {
    /// How they lie in memory; the interior is as large as that of the output, with at least as many stored channels.
    pub plane: Plane,
    /// Their code of zero.
    pub zero: u8,
    /// Steps of the output per step of theirs.
    pub scale: f32,
}

/// Codes of which few are used: a code becomes `levels[number of bounds ≤ code]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Steps {
    first: u8,
    /// Of each bound: how much further the next level is, modulo 256.
    rises: Vec<(u8, u8)>,
}

impl Steps {
    /// With `bounds` ascending and one more of `levels`.
    ///
    /// # Panics
    /// Their numbers do not match, or bounds do not ascend.
    pub fn new(bounds: &[u8], levels: &[u8]) -> Steps {
        assert_eq!(levels.len(), bounds.len() + 1, "a level on each side of every bound");
        assert!(bounds.is_sorted(), "bounds ascend");
        let rises =
            bounds.iter().zip(levels.windows(2)).map(|(&bound, pair)| (bound, pair[1].wrapping_sub(pair[0])));
        Steps { first: levels[0], rises: rises.collect() }
    }

    /// The level of a code.
    pub fn level(&self, code: u8) -> u8 {
        let passed = self.rises.iter().filter(|(bound, _)| *bound <= code);
        passed.fold(self.first, |level, (_, rise)| level.wrapping_add(*rise))
    }

    /// The level of every code.
    pub fn table(&self) -> Table {
        std::array::from_fn(|code| self.level(code as u8))
    }

    /// The bounds.
    pub fn bounds(&self) -> impl Iterator<Item = u8> {
        self.rises.iter().map(|&(bound, _)| bound)
    }

    /// The levels, one more than bounds.
    pub fn levels(&self) -> impl Iterator<Item = u8> {
        let above = self.rises.iter().scan(self.first, |level, &(_, rise)| {
            *level = level.wrapping_add(rise);
            Some(*level)
        });
        std::iter::once(self.first).chain(above)
    }
}

/// How a layer's sums become the codes of its output edge.
///
/// `v = sum·scale[c]`, through `inner` if there is one, plus the residual if there is one; then `code`, and `steps` of that code
/// if there are any.
#[derive(Clone, Debug)]
pub struct Requantize {
    /// `[channels]`, then zeros up to a multiple of [`LANES`].
    scale: AlignedVec,
    channels: usize,
    /// The largest of them, without its sign.
    largest: f32,
    /// The output's codes.
    pub code: Code,
    /// An edge between sum and addition.
    pub inner: Option<Inner>,
    /// What is added.
    pub residual: Option<Residual>,
    /// What becomes of the code.
    pub steps: Option<Steps>,
}

/// Lanes of the widest vector: scales can be read in whole vectors.
const LANES: usize = 16;

impl Requantize {
    /// `code(sum·scale[c])` with `scale: [channels]`, finite, in output steps per unit of the sum. Other parts are
    /// added through the fields.
    pub fn new(scale: &[f32], code: Code) -> Requantize {
        let mut padded = AlignedVec::zeroed(scale.len().next_multiple_of(LANES));
        padded[..scale.len()].copy_from_slice(scale);
        let largest = scale.iter().fold(0f32, |largest, scale| largest.max(scale.abs()));
        Requantize {
            scale: padded,
            channels: scale.len(),
            largest,
            code,
            inner: None,
            residual: None,
            steps: None,
        }
    }

    /// Scales of all channels, and zeros up to whole vectors.
    pub(crate) fn scales(&self) -> &[f32] {
        &self.scale
    }

    /// Channels that have a scale.
    pub fn channels(&self) -> usize {
        self.channels
    }

    /// Whether no sum and residual make a value that an i32 could not hold.
    pub(crate) fn is_tame(&self) -> bool {
        const SUM: f32 = (1u64 << 31) as f32;
        let sum = self.inner.map_or(self.largest * SUM, |inner| 255.0 * inner.scale.abs());
        let added = self.residual.map_or(0.0, |added| 255.0 * added.scale.abs());
        // The rest is room for roundings.
        1.25 * (sum + added) < SUM
    }

    /// Whether it fits a layer whose output is `output` with `channels` channels.
    ///
    /// # Errors
    /// The number of scales or the residual's plane does not.
    pub fn check(&self, output: &Plane, channels: usize) -> Result<(), ShapeError> {
        crate::error::length("scales", self.channels, channels)?;
        if let Some(residual) = &self.residual {
            residual.plane.check("residual", [output.h, output.w, output.c], [0; 4])?;
        }
        Ok(())
    }

    /// The code of channel `c` for a sum and, if there is a residual, its code: the definition.
    ///
    /// Stored channels from [`Requantize::channels`] on have scale zero.
    pub fn encode(&self, c: usize, sum: i32, residual: u8) -> u8 {
        let mut v = sum as f32 * self.scale.get(c).copied().unwrap_or(0.0);
        if let Some(inner) = &self.inner {
            v = inner.code.steps(v) * inner.scale;
        }
        if let Some(added) = &self.residual {
            v += (f32::from(residual) - f32::from(added.zero)) * added.scale;
        }
        let code = self.code.encode(v);
        self.steps.as_ref().map_or(code, |steps| steps.level(code))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BYTE: Code = Code { zero: 3, lo: 0, hi: 255 };

    #[test]
    fn ties_go_to_even_before_the_zero_point_is_added() {
        let requantize = Requantize::new(&[0.5], BYTE);
        assert_eq!([1, 3, 5, -1].map(|sum| requantize.encode(0, sum, 0)), [3, 5, 5, 3]);
    }

    #[test]
    fn any_size_of_sum_and_scale_saturates() {
        let requantize = Requantize::new(&[f32::MAX, -f32::MAX], BYTE);
        for sum in [i32::MIN, i32::MAX] {
            let want = if sum > 0 { [255, 0] } else { [0, 255] };
            assert_eq!([0, 1].map(|c| requantize.encode(c, sum, 0)), want);
        }
    }

    #[test]
    fn an_inner_edge_is_rounded_and_clipped_before_the_addition() {
        let plane = Plane::new(1, 1, 4);
        let mut requantize = Requantize::new(&[0.3], BYTE);
        requantize.inner = Some(Inner { code: Code { zero: 8, lo: 0, hi: 15 }, scale: 2.0 });
        requantize.residual = Some(Residual { plane, zero: 10, scale: 0.5 });
        // round(0.3·5) = 2, doubled 4, plus (13 − 10)/2: 5.5 to even is 6, plus the zero point.
        assert_eq!(requantize.encode(0, 5, 13), 9);
        // 0.3·100 is held to 15 − 8 = 7.
        assert_eq!(requantize.encode(0, 100, 10), 17);
    }

    #[test]
    fn steps_count_bounds_up_to_the_code() {
        let mut requantize = Requantize::new(&[1.0], BYTE);
        let steps = Steps::new(&[2, 5], &[9, 4, 7]);
        assert!(steps.bounds().eq([2, 5]) && steps.levels().eq([9, 4, 7]));
        requantize.steps = Some(steps);
        // Sums are three below their codes.
        assert_eq!([-2, -1, 1, 2].map(|sum| requantize.encode(0, sum, 0)), [9, 4, 4, 7]);
    }
}
