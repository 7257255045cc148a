//! Rounding to a few levels, wherever they lie: the level of a number is found by comparing it with thresholds.
//!
//! No division and no table: one comparison and one selection per level and vector, which for the 3 to 16 levels of learned
//! quantizers is less than rounding to an even grid takes. Every instruction set gives the same bits.

mod gradient;

pub use gradient::clipped_sums;

use crate::Isa;
use crate::simd::{Kernel, Simd};

/// `y = values[number of thresholds ≤ x]`; NaN counts as 0.
#[derive(Clone, Debug, PartialEq)]
pub struct Staircase {
    thresholds: Vec<f32>,
    values: Vec<f32>,
}

impl Staircase {
    /// With `thresholds` ascending and one more of `values`.
    ///
    /// # Panics
    /// Their numbers do not match, or thresholds do not ascend.
    pub fn new(thresholds: Vec<f32>, values: Vec<f32>) -> Staircase {
        assert_eq!(values.len(), thresholds.len() + 1, "a value on each side of every threshold");
        assert!(thresholds.is_sorted(), "thresholds ascend");
        Staircase { thresholds, values }
    }

    /// The value of `x`: the plain twin.
    pub fn value(&self, x: f32) -> f32 {
        let x = if x.is_nan() { 0.0 } else { x };
        self.values[self.thresholds.iter().filter(|&&t| t <= x).count()]
    }
}

/// `y[i] = stairs.value(x[i])`.
///
/// # Panics
/// The lengths differ.
pub fn staircase(isa: Isa, stairs: &Staircase, x: &[f32], y: &mut [f32]) {
    assert_eq!(x.len(), y.len(), "numbers in and out");
    isa.run(Climb { stairs, x, y });
}

/// Vectors that go through the thresholds together, so that one load of a threshold serves them all.
const TOGETHER: usize = 4;

struct Climb<'a> {
    stairs: &'a Staircase,
    x: &'a [f32],
    y: &'a mut [f32],
}

impl Kernel for Climb<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let block = TOGETHER * S::LANES;
        for (x, y) in self.x.chunks(block).zip(self.y.chunks_mut(block)) {
            let zero = s.splat(0.0);
            let (mut at, mut reached) = ([zero; TOGETHER], [s.splat(self.stairs.values[0]); TOGETHER]);
            for (at, x) in at.iter_mut().zip(x.chunks(S::LANES)) {
                let x = s.read(x);
                // NaN fails both comparisons and becomes 0.
                *at = s.select_lt(x, zero, x, s.max(x, zero));
            }
            for (&threshold, &value) in self.stairs.thresholds.iter().zip(&self.stairs.values[1..]) {
                let (threshold, value) = (s.splat(threshold), s.splat(value));
                for i in 0..TOGETHER {
                    reached[i] = s.select_lt(at[i], threshold, reached[i], value);
                }
            }
            for (y, reached) in y.chunks_mut(S::LANES).zip(reached) {
                s.write(y, reached);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::noise;

    #[test]
    fn every_instruction_set_gives_the_value_of_the_definition() {
        for levels in [1, 2, 3, 4, 15, 16, 40] {
            let mut thresholds = noise(levels - 1, levels as u64);
            thresholds.sort_by(f32::total_cmp);
            let stairs = Staircase::new(thresholds.clone(), noise(levels, 99));
            for len in [0, 1, 7, 16, 63, 64, 65, 1000] {
                let mut x = noise(len, 5);
                x.extend(&thresholds);
                x.extend([f32::NAN, -f32::NAN, f32::INFINITY, f32::NEG_INFINITY, -0.0]);
                let want: Vec<u32> = x.iter().map(|&x| stairs.value(x).to_bits()).collect();
                for isa in Isa::supported() {
                    let mut y = vec![0.5; x.len()];
                    staircase(isa, &stairs, &x, &mut y);
                    let got: Vec<u32> = y.iter().map(|y| y.to_bits()).collect();
                    assert_eq!(got, want, "{isa}, {levels} levels");
                }
            }
        }
    }

    #[test]
    #[should_panic(expected = "thresholds ascend")]
    fn thresholds_out_of_order_are_a_mistake() {
        Staircase::new(vec![1.0, 0.0], vec![0.0; 3]);
    }
}
