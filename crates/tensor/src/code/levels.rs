//! A few levels of an 8-bit grid: `x ≈ (level − zero_point) · scale`, unevenly spaced where that serves the data better.
//!
//! A real number is first rounded to the [`Uniform`] grid, and the grid code then to a level: a table of 256 entries, which is
//! what integer runtimes execute. Learned companding (LCQ, Yamamoto 2021) has 3 to 16 levels, ternary and binary weights
//! are the levels `-1, 0, 1` and `-1, 1` of a grid whose scale is the filter's magnitude.

use super::Uniform;
use serde::{Deserialize, Serialize};

/// A grid of 8 bits and the codes of it that are used.
///
/// [`Levels::new`] checks what the fields promise; who writes them calls [`Levels::check`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Levels {
    /// Rounds first. 8 bits, no shift; a scale and zero point per tensor or per channel. The levels are the same in all channels.
    pub grid: Uniform,
    /// Used codes of the grid, ascending, 2 to 256 of them. The zero point need not be one.
    pub levels: Vec<i32>,
    /// The lowest grid code of each level after the first: code `g` has the level whose index is the number of bounds `<= g`.
    /// `levels[k] < bounds[k] <= levels[k + 1]`, so that a level belongs to itself.
    pub bounds: Vec<i32>,
}

/// Why numbers are no [`Levels`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LevelsError {
    /// The grid is not one of 8 bits.
    #[error("the grid of levels has channels of {bits} bits{}; expected 8 bits without a shift", if *.shift { " and a shift" } else { "" })]
    Grid {
        /// Bits of the first channel that has others than 8, or 8.
        bits: u8,
        /// Whether it has a shift.
        shift: bool,
    },
    /// There are too few levels, or not one bound between each two.
    #[error("{levels} levels with {bounds} bounds; expected 2 to 256 levels and a bound between each two")]
    Count {
        /// Levels found.
        levels: usize,
        /// Bounds found.
        bounds: usize,
    },
    /// A level is no code of the grid.
    #[error("level {level} is no code of the grid, which has {lo} to {hi}")]
    Range {
        /// The level.
        level: i32,
        /// Lowest code of the grid.
        lo: i32,
        /// Highest code of the grid.
        hi: i32,
    },
    /// A bound does not lie between its levels.
    #[error(
        "bound {bound} between levels {below} and {above}; expected above the first and at most the second"
    )]
    Bound {
        /// The bound.
        bound: i32,
        /// Level below it.
        below: i32,
        /// Level that it begins.
        above: i32,
    },
}

impl Levels {
    /// The code of these levels and bounds.
    ///
    /// # Errors
    /// As [`Levels::check`].
    pub fn new(grid: Uniform, levels: Vec<i32>, bounds: Vec<i32>) -> Result<Levels, LevelsError> {
        let code = Levels { grid, levels, bounds };
        code.check().map(|()| code)
    }

    /// The code whose grid codes go to the nearest level, to the higher of two that are equally near.
    ///
    /// # Errors
    /// As [`Levels::check`].
    pub fn nearest(grid: Uniform, levels: Vec<i32>) -> Result<Levels, LevelsError> {
        let middle = |pair: &[i32]| (pair[0] + pair[1]).div_euclid(2) + (pair[0] + pair[1]).rem_euclid(2);
        let bounds = levels.windows(2).map(middle).collect();
        Levels::new(grid, levels, bounds)
    }

    /// The code whose [`Levels::table`] this is.
    ///
    /// # Errors
    /// As [`Levels::check`], of a table that is not ascending or moves a level.
    pub fn of_table(grid: Uniform, table: &[i32; 256]) -> Result<Levels, LevelsError> {
        let [lo, _] = grid.bits.first().map_or([0; 2], |_| grid.range(0));
        let mut levels = table.to_vec();
        levels.dedup();
        let begins = (1..256).filter(|&i| table[i] != table[i - 1]);
        let bounds = begins.map(|i| lo + i as i32).collect();
        Levels::new(grid, levels, bounds)
    }

    /// Whether the fields are what they promise.
    ///
    /// # Errors
    /// The first that is not.
    pub fn check(&self) -> Result<(), LevelsError> {
        let bits = self.grid.bits.iter().copied().find(|&bits| bits != 8).unwrap_or(8);
        if bits != 8 || self.grid.bits.is_empty() || self.grid.shift.is_some() {
            return Err(LevelsError::Grid { bits, shift: self.grid.shift.is_some() });
        }
        let (levels, bounds) = (self.levels.len(), self.bounds.len());
        if !(2..=256).contains(&levels) || bounds + 1 != levels {
            return Err(LevelsError::Count { levels, bounds });
        }
        let [lo, hi] = self.grid.range(0);
        if let Some(&level) = self.levels.iter().find(|level| !(lo..=hi).contains(level)) {
            return Err(LevelsError::Range { level, lo, hi });
        }
        for (pair, &bound) in self.levels.windows(2).zip(&self.bounds) {
            if bound <= pair[0] || bound > pair[1] {
                return Err(LevelsError::Bound { bound, below: pair[0], above: pair[1] });
            }
        }
        Ok(())
    }

    /// Bits of an index among the levels, 1 to 8.
    pub fn bits(&self) -> u8 {
        self.levels.len().next_power_of_two().trailing_zeros() as u8
    }

    /// Index of the level of a grid code.
    pub fn index(&self, code: i32) -> usize {
        self.bounds.partition_point(|&bound| bound <= code)
    }

    /// The level of `x` in channel `c`, as a grid code.
    pub fn encode(&self, x: f32, c: usize) -> i32 {
        self.levels[self.index(self.grid.encode(x, c))]
    }

    /// Real value of a grid code in channel `c`.
    pub fn decode(&self, code: i32, c: usize) -> f32 {
        self.grid.decode(code, c)
    }

    /// The level of every grid code, the lowest code first.
    pub fn table(&self) -> [i32; 256] {
        let [lo, _] = self.grid.range(0);
        std::array::from_fn(|i| self.levels[self.index(lo + i as i32)])
    }

    /// The smallest real number of each level after the first in channel `c`: number `x` has the level whose index is the
    /// number of thresholds `<= x`, exactly as [`Levels::encode`] says it. NaN counts as 0. Infinite where no finite
    /// number reaches a level.
    pub fn thresholds(&self, c: usize) -> Vec<f32> {
        self.bounds.iter().map(|&bound| smallest(|x| self.grid.encode(x, c) >= bound)).collect()
    }

    /// Index of the level of each element of a tensor, in its order.
    pub fn indices(&self, values: &[f32], shape: &[usize]) -> Vec<u8> {
        self.grid.codes(values, shape).into_iter().map(|code| self.index(code) as u8).collect()
    }

    /// The level of each element of a tensor as a grid code, in its order.
    pub fn codes(&self, values: &[f32], shape: &[usize]) -> Vec<i32> {
        self.indices(values, shape).into_iter().map(|k| self.levels[usize::from(k)]).collect()
    }

    /// Replaces each value by the level it is coded to.
    pub fn fake_quantize(&self, values: &mut [f32], shape: &[usize]) {
        self.grid.for_each_run(values, shape, |c, run| {
            run.iter_mut().for_each(|x| *x = self.decode(self.encode(*x, c), c));
        });
    }

    /// The uniform code that is the same, where the levels are all codes of fewer bits.
    pub fn uniform(&self) -> Option<Uniform> {
        let bits = self.bits();
        let [lo, hi] = crate::number::code_range(bits, self.grid.signed);
        (self.levels.iter().copied().eq(lo..=hi))
            .then(|| Uniform { bits: vec![bits; self.grid.bits.len()], ..self.grid.clone() })
    }

    /// Bytes of a tensor of `shape`: packed indices, scales, and a byte for each level.
    pub fn stored_bytes(&self, shape: &[usize]) -> usize {
        let indices = (shape.iter().product::<usize>() * usize::from(self.bits())).div_ceil(8);
        indices + 4 * self.grid.scale.len() + self.levels.len()
    }
}

/// The smallest number, infinities included, that a condition holds for; it holds for all numbers from there on.
fn smallest(holds: impl Fn(f32) -> bool) -> f32 {
    // Floats in their order as integers: those of negative numbers run backwards. The same map leads back.
    let ordered = |bits: i32| bits ^ ((bits >> 31) as u32 >> 1) as i32;
    let float = |at: i32| f32::from_bits(ordered(at) as u32);
    let [mut below, mut found] =
        [f32::NEG_INFINITY, f32::INFINITY].map(|x| i64::from(ordered(x.to_bits() as i32)));
    if holds(f32::NEG_INFINITY) {
        return f32::NEG_INFINITY;
    }
    while below + 1 < found {
        let middle = below.midpoint(found);
        if holds(float(middle as i32)) { found = middle } else { below = middle }
    }
    float(found as i32)
}

#[cfg(test)]
mod tests;
