//! The greedy search for a row's range as production code does it: the same f32 and half-precision steps in the same
//! order, so that its result is that of PyTorch's `choose_qparams_optimized` in every bit.

use super::half::round_half;
use super::lanes::{MOST, extremes, transpose};
use crate::simd::{Kernel, Simd};
use crate::{AlignedVec, Isa};

/// What the search is told.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Greedy {
    /// Width of the codes.
    pub bits: u32,
    /// Parts that a row's range is cut into: one is given up per round.
    pub bins: u32,
    /// Share of the range that may be given up.
    pub ratio: f32,
}

impl Greedy {
    /// PyTorch's defaults: 200 bins, of which 16 % may go.
    pub fn new(bits: u32) -> Greedy {
        Greedy { bits, bins: 200, ratio: 0.16 }
    }

    /// Highest code.
    pub(super) fn levels(&self) -> f32 {
        ((1u32 << self.bits) - 1) as f32
    }

    /// Bins that stay in any case.
    pub(super) fn kept(&self) -> f32 {
        (f64::from(self.bins) * (1.0 - f64::from(self.ratio))) as u32 as f32
    }
}

/// The range found for each row of `x: [rows, columns]`, to `low` and `high`, each `[rows]`.
///
/// # Panics
/// The lengths do not fit together.
pub fn greedy_rows(isa: Isa, options: Greedy, x: &[f32], columns: usize, [low, high]: [&mut [f32]; 2]) {
    assert!(columns > 0 && x.len() == columns * low.len() && low.len() == high.len(), "ranges of rows");
    isa.run(Search { options, x, columns, low, high });
}

struct Search<'a> {
    options: Greedy,
    x: &'a [f32],
    columns: usize,
    low: &'a mut [f32],
    high: &'a mut [f32],
}

impl Kernel for Search<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let mut scratch = AlignedVec::zeroed(self.columns * S::LANES);
        let blocks = self.x.chunks(self.columns * S::LANES);
        for ((x, low), high) in blocks.zip(self.low.chunks_mut(S::LANES)).zip(self.high.chunks_mut(S::LANES))
        {
            transpose(s, x, self.columns, &mut scratch);
            let [lo, hi] = search(s, &self.options, &scratch);
            s.write(low, lo);
            s.write(high, hi);
        }
    }
}

/// Offset, step and inverse step of a range from a rounded low end.
#[inline(always)]
pub(super) fn grid<S: Simd>(s: S, low: S::V, high: S::V, levels: S::V) -> [S::V; 3] {
    let one = s.splat(1.0);
    let range = s.sub(high, low);
    let step = if_zero(s, range, one, round_half(s, s.div(range, levels)));
    // A step is zero where the range is too small for half precision.
    [low, step, if_zero(s, step, one, s.div(one, step))]
}

/// `x` where `a` is zero, else `y`; `y` where it is NaN too.
#[inline(always)]
pub(super) fn if_zero<S: Simd>(s: S, a: S::V, x: S::V, y: S::V) -> S::V {
    s.select_lt(s.abs(a), s.splat(f32::from_bits(1)), x, y)
}

/// Errors of two grids at once: the sums of each depend on their last term, and two chains hide one another's wait.
#[inline(always)]
pub(super) fn errors<S: Simd>(s: S, block: &[f32], levels: S::V, [a, b]: [[S::V; 3]; 2]) -> [S::V; 2] {
    let zero = s.splat(0.0);
    let mut sums = [zero; 2];
    for x in block.chunks_exact(S::LANES) {
        let x = s.read(x);
        for (sum, [low, step, inverse]) in sums.iter_mut().zip([a, b]) {
            let code = s.max(s.min(s.round(s.mul(s.sub(x, low), inverse)), levels), zero);
            let error = s.sub(x, s.add(s.mul(code, step), low));
            *sum = s.add(*sum, s.mul(error, error));
        }
    }
    sums.map(|sum| s.sqrt(sum))
}

#[inline(always)]
fn search<S: Simd>(s: S, options: &Greedy, block: &[f32]) -> [S::V; 2] {
    let levels = s.splat(options.levels());
    let (zero, one) = (s.splat(0.0), s.splat(1.0));
    let [min, max] = extremes(s, block);
    let step = s.div(s.sub(max, min), s.splat(options.bins as f32));
    let kept = s.mul(s.splat(options.kept()), step);
    let (mut lo, mut hi) = (min, max);
    let mut found = [min, max];
    let first = grid(s, round_half(s, min), max, levels);
    let mut loss = errors(s, block, levels, [first; 2])[0];
    let mut best = loss;
    let mut lanes = [0f32; MOST];
    loop {
        // One where a lane still searches: rounding makes it 32 rounds in some and 33 in others.
        let active = s.select_lt(s.add(lo, kept), hi, one, zero);
        s.write(&mut lanes[..S::LANES], active);
        if lanes.iter().all(|&lane| lane == 0.0) {
            return found;
        }
        let (raised, lowered) = (s.add(lo, step), s.sub(hi, step));
        let grids = [grid(s, round_half(s, raised), hi, levels), grid(s, round_half(s, lo), lowered, levels)];
        let [up, down] = errors(s, block, levels, grids);
        // What is recorded is where the search stands, and only where both ways on are worse.
        let stands =
            s.select_lt(loss, up, s.select_lt(loss, down, s.select_lt(loss, best, active, zero), zero), zero);
        found = [s.select_lt(zero, stands, lo, found[0]), s.select_lt(zero, stands, hi, found[1])];
        best = s.select_lt(zero, stands, loss, best);
        let raise = s.select_lt(up, down, active, zero);
        let lower = s.sub(active, raise);
        lo = s.select_lt(zero, raise, raised, lo);
        hi = s.select_lt(zero, lower, lowered, hi);
        loss = s.select_lt(zero, raise, up, s.select_lt(zero, lower, down, loss));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::embedding::reference;
    use crate::testing::noise;

    #[test]
    fn every_instruction_set_finds_the_ranges_of_the_plain_search() {
        for (bits, columns, rows) in [(4, 8, 37), (4, 64, 21), (2, 16, 40), (4, 100, 9), (2, 33, 5)] {
            let mut x = noise(rows * columns, columns as u64);
            x[..columns].fill(0.25);
            x[columns..2 * columns].iter_mut().for_each(|v| *v *= 1e-7);
            x[2 * columns..3 * columns].iter_mut().for_each(|v| *v = v.abs() * 1e-5);
            let options = Greedy::new(bits);
            let want: Vec<[f32; 2]> = x.chunks(columns).map(|row| reference::greedy(&options, row)).collect();
            for isa in Isa::supported() {
                let (mut low, mut high) = (vec![0.0; rows], vec![0.0; rows]);
                greedy_rows(isa, options, &x, columns, [&mut low, &mut high]);
                let got: Vec<[f32; 2]> = low.into_iter().zip(high).map(|(a, b)| [a, b]).collect();
                assert_eq!(got, want, "{isa}: {bits} bits, {columns} columns");
            }
        }
    }
}
