//! What the weights of an integer layer are, before they are packed.

use std::ops::RangeInclusive;

use crate::ShapeError;
use crate::error::length;

/// Bits that a weight takes in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum WeightBits {
    /// Four weights to a byte, −2 to 1.
    Two,
    /// Two weights to a byte, −8 to 7.
    Four,
    /// One weight to a byte, −128 to 127.
    Eight,
}

impl WeightBits {
    /// 2, 4 or 8.
    pub fn bits(self) -> usize {
        match self {
            WeightBits::Two => 2,
            WeightBits::Four => 4,
            WeightBits::Eight => 8,
        }
    }

    /// The weights that it holds.
    pub fn range(self) -> RangeInclusive<i8> {
        let half = 1i16 << (self.bits() - 1);
        (-half) as i8..=(half - 1) as i8
    }

    /// The fewest bits that hold all `weights`.
    pub fn narrowest(weights: &[i8]) -> WeightBits {
        let holds = |bits: WeightBits| weights.iter().all(|w| bits.range().contains(w));
        [WeightBits::Two, WeightBits::Four].into_iter().find(|&bits| holds(bits)).unwrap_or(WeightBits::Eight)
    }
}

/// The constants of a layer whose sum for output `o` is `bias[o] + Σ (x − zero_x)·codes[o, …]`.
#[derive(Clone, Copy, Debug)]
pub struct Weights<'a> {
    /// `[out, in/groups, kh, kw]`, or `[out, in]`.
    pub codes: &'a [i8],
    /// Bits that they are stored in.
    pub bits: WeightBits,
    /// `[out]`, in units of the sum.
    pub bias: &'a [i32],
    /// Code of zero of the input.
    pub zero_x: u8,
    /// The largest code that the input holds, 255 if nothing is known: instructions that would saturate are used only
    /// where it rules that out.
    pub max_x: u8,
}

impl Weights<'_> {
    /// Whether there are `len` codes for `outputs` outputs, all of them in the range of `bits`.
    ///
    /// # Errors
    /// They are not.
    pub(crate) fn check(&self, outputs: usize, len: usize) -> Result<(), ShapeError> {
        length("weights", self.codes.len(), len)?;
        length("bias", self.bias.len(), outputs)?;
        let range = self.bits.range();
        match self.codes.iter().find(|code| !range.contains(code)) {
            Some(&found) => Err(ShapeError::Weight {
                found,
                lo: *range.start(),
                hi: *range.end(),
                bits: self.bits.bits(),
            }),
            None => Ok(()),
        }
    }

    /// What is added to `Σ (x − lowered)·w`: `bias − (zero_x − lowered)·Σ w` of output `o`. Wraps, as all sums do.
    pub(crate) fn offset(&self, o: usize, lowered: u8) -> i32 {
        let terms = self.codes.len() / self.bias.len();
        let sum = self.codes[o * terms..][..terms].iter().fold(0i32, |sum, &w| sum.wrapping_add(w.into()));
        self.bias[o].wrapping_sub(sum.wrapping_mul(i32::from(self.zero_x) - i32::from(lowered)))
    }

    /// Whether no two codes times these weights add up to more than 16 bits.
    pub(crate) fn pair_fits(&self, pair: [i8; 2]) -> bool {
        let [lo, hi] = self.pair_range(pair);
        hi <= i16::MAX.into() && lo >= i16::MIN.into()
    }

    /// The least and greatest sum of two codes times these weights.
    pub(crate) fn pair_range(&self, pair: [i8; 2]) -> [i32; 2] {
        let max = i32::from(self.max_x.max(self.zero_x));
        let sum = |of: fn(i32) -> i32| max * pair.iter().map(|&w| of(w.into())).sum::<i32>();
        [sum(|w| w.min(0)), sum(|w| w.max(0))]
    }

    /// The smallest and largest sum that any input of codes `0..=max_x` gives at output `o`. Kernels are right where
    /// all outputs' ranges are within i32.
    ///
    /// # Panics
    /// There is no output `o`.
    pub fn sum_range(&self, o: usize) -> RangeInclusive<i64> {
        let terms = self.codes.len() / self.bias.len();
        let (zero, max) = (i64::from(self.zero_x), i64::from(self.max_x));
        let (mut lo, mut hi) = (i64::from(self.bias[o]), i64::from(self.bias[o]));
        for w in self.codes[o * terms..][..terms].iter().map(|&w| i64::from(w)) {
            let ends = [-zero * w, (max - zero) * w];
            lo += ends[0].min(ends[1]);
            hi += ends[0].max(ends[1]);
        }
        lo..=hi
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn storage_is_as_narrow_as_the_weights_allow() {
        assert_eq!(WeightBits::narrowest(&[-2, 1]), WeightBits::Two);
        assert_eq!(WeightBits::narrowest(&[-2, 2]), WeightBits::Four);
        assert_eq!(WeightBits::narrowest(&[-9]), WeightBits::Eight);
        assert_eq!(WeightBits::Eight.range(), -128..=127);
    }

    #[test]
    fn a_weight_beyond_its_bits_is_refused() {
        let weights = Weights { codes: &[7, -9], bits: WeightBits::Four, bias: &[0], zero_x: 0, max_x: 255 };
        let refusal = weights.check(1, 2).unwrap_err().to_string();
        assert_eq!(refusal, "a weight is -9, expected -8 to 7 at 4 bits");
    }

    #[test]
    fn sums_reach_their_range_and_no_further() {
        let weights =
            Weights { codes: &[3, -2, 1, 1], bits: WeightBits::Eight, bias: &[10, -1], zero_x: 4, max_x: 9 };
        // 10 + 3·(x − 4) − 2·(y − 4): least at x = 0, y = 9.
        assert_eq!(weights.sum_range(0), 10 - 12 - 10..=10 + 15 + 8);
        assert_eq!(weights.sum_range(1), -1 - 8..=-1 + 10);
        assert_eq!([weights.offset(0, 0), weights.offset(1, 0)], [10 - 4, -1 - 8]);
        assert_eq!([weights.offset(0, 128), weights.offset(1, 128)], [10 + 124, -1 + 248]);
    }
}
