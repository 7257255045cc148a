//! A better grid for a row in less time than the greedy search: few candidates, each judged by the best grid that its codes
//! allow.
//!
//! For codes `q` the best scale and bias are a line through `(q, x)` by least squares, and its error is known from three sums:
//! with `x` centred, `scale = Σqx / (Σq² − (Σq)²/d)` and the error is `Σx² − scale·Σqx`. So one look at a row judges a range
//! *after* its refit. The search begins at the whole range and three narrower ones, then twice looks at the eight
//! neighbours of the best, each time half as far away, then refits twice more, which is Lloyd's algorithm with evenly
//! spaced centres. What is kept is compared in half precision with the whole range, so that no row is worse than
//! with its minimum and maximum.

use super::greedy::{errors, grid, if_zero};
use super::half::round_half;
use super::lanes::{extremes, transpose};
use crate::simd::{Kernel, Simd};
use crate::{AlignedVec, Isa};

/// Where to look around the best range so far, in steps of each end.
const AROUND: [[f32; 2]; 8] =
    [[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0], [0.0, -1.0], [1.0, 1.0], [-1.0, -1.0], [1.0, -1.0], [-1.0, 1.0]];

/// Share of the range that the first candidates give up at an end: the fewer levels, the more is gained by cutting.
pub(super) fn first_step(bits: u32) -> f32 {
    match bits {
        0..=2 => 0.16,
        3 => 0.1,
        4 => 0.06,
        5..=6 => 0.02,
        _ => 0.004,
    }
}

/// Times that the distance is halved.
const HALVINGS: usize = 2;
/// Refits of the best.
const REFITS: usize = 2;

/// A good bias and scale, both rounded to half precision, for each row of `x: [rows, columns]`, to `bias` and `scale`,
/// each `[rows]`.
///
/// # Panics
/// The lengths do not fit together.
pub fn fit_rows(isa: Isa, bits: u32, x: &[f32], columns: usize, [bias, scale]: [&mut [f32]; 2]) {
    assert!(columns > 0 && x.len() == columns * bias.len() && bias.len() == scale.len(), "grids of rows");
    isa.run(Fit { bits, x, columns, bias, scale });
}

struct Fit<'a> {
    bits: u32,
    x: &'a [f32],
    columns: usize,
    bias: &'a mut [f32],
    scale: &'a mut [f32],
}

impl Kernel for Fit<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let mut plain = AlignedVec::zeroed(self.columns * S::LANES);
        let mut centred = AlignedVec::zeroed(self.columns * S::LANES);
        let blocks = self.x.chunks(self.columns * S::LANES);
        for ((x, bias), scale) in
            blocks.zip(self.bias.chunks_mut(S::LANES)).zip(self.scale.chunks_mut(S::LANES))
        {
            transpose(s, x, self.columns, &mut plain);
            let [b, a] = fit(s, self.bits, &plain, &mut centred);
            s.write(bias, b);
            s.write(scale, a);
        }
    }
}

/// Best so far: the error after the refit, that refit, and the range it came from, in shares given up at each end.
#[derive(Clone, Copy)]
struct Best<V> {
    error: V,
    bias: V,
    scale: V,
    cut: [V; 2],
}

/// What is known of the rows before the search.
#[derive(Clone, Copy)]
struct Known<V> {
    /// Highest code.
    levels: V,
    /// One over the number of columns.
    per_row: V,
    /// Sum of squares of the centred values.
    squares: V,
    /// Least centred value.
    low: V,
    /// From the least value to the greatest.
    range: V,
    /// Step of the whole range.
    step: V,
}

/// What the codes on a grid allow: the error, bias and scale of their best line through the centred values.
#[inline(always)]
fn refit<S: Simd>(s: S, block: &[f32], known: &Known<S::V>, [bias, scale]: [S::V; 2]) -> [S::V; 3] {
    let zero = s.splat(0.0);
    let inverse = s.div(s.splat(1.0), scale);
    let shift = s.mul(bias, inverse);
    let (mut q1, mut q2, mut qx) = (zero, zero, zero);
    for x in block.chunks_exact(S::LANES) {
        let x = s.read(x);
        let code = s.max(s.min(s.round(s.sub(s.mul(x, inverse), shift)), known.levels), zero);
        q1 = s.add(q1, code);
        q2 = s.add(q2, s.mul(code, code));
        qx = s.add(qx, s.mul(code, x));
    }
    let mean = s.mul(q1, known.per_row);
    let spread = s.sub(q2, s.mul(q1, mean));
    // All values on one code have no line.
    let fitted = if_zero(s, spread, scale, s.div(qx, spread));
    let gained = if_zero(s, spread, zero, s.mul(fitted, qx));
    let bias = if_zero(s, spread, bias, s.sub(zero, s.mul(fitted, mean)));
    [s.sub(known.squares, gained), bias, fitted]
}

/// Judges the range that gives up `cut` of the whole at its ends.
#[inline(always)]
fn look<S: Simd>(s: S, block: &[f32], known: &Known<S::V>, best: Best<S::V>, cut: [S::V; 2]) -> Best<S::V> {
    let bias = s.add(known.low, s.mul(cut[0], known.range));
    let scale = s.mul(s.sub(s.sub(s.splat(1.0), cut[0]), cut[1]), known.step);
    let [error, bias, scale] = refit(s, block, known, [bias, scale]);
    Best {
        bias: s.select_lt(error, best.error, bias, best.bias),
        scale: s.select_lt(error, best.error, scale, best.scale),
        cut: [
            s.select_lt(error, best.error, cut[0], best.cut[0]),
            s.select_lt(error, best.error, cut[1], best.cut[1]),
        ],
        error: s.select_lt(error, best.error, error, best.error),
    }
}

/// A grid of centred values in half precision, in the row's own place, with its inverse step.
#[inline(always)]
fn rounded<S: Simd>(s: S, mean: S::V, [bias, scale]: [S::V; 2]) -> [S::V; 3] {
    let one = s.splat(1.0);
    let scale = round_half(s, scale);
    let scale = if_zero(s, scale, one, scale);
    [round_half(s, s.add(bias, mean)), scale, s.div(one, scale)]
}

#[inline(always)]
fn fit<S: Simd>(s: S, bits: u32, plain: &[f32], centred: &mut [f32]) -> [S::V; 2] {
    let levels = s.splat(((1u32 << bits) - 1) as f32);
    let (zero, one) = (s.splat(0.0), s.splat(1.0));
    let per_row = s.splat(1.0 / (plain.len() / S::LANES) as f32);
    let [min, max] = extremes(s, plain);
    let mut sum = zero;
    for x in plain.chunks_exact(S::LANES) {
        sum = s.add(sum, s.read(x));
    }
    let mean = s.mul(sum, per_row);
    let mut squares = zero;
    for (to, x) in centred.chunks_exact_mut(S::LANES).zip(plain.chunks_exact(S::LANES)) {
        let x = s.sub(s.read(x), mean);
        squares = s.add(squares, s.mul(x, x));
        s.write(to, x);
    }
    let range = s.sub(max, min);
    let step = if_zero(s, range, one, s.div(range, levels));
    let known = Known { levels, per_row, squares, low: s.sub(min, mean), range, step };
    let mut best = Best { error: s.splat(f32::INFINITY), bias: known.low, scale: step, cut: [zero; 2] };
    let mut distance = first_step(bits);
    for [a, b] in [[0.0, 0.0], [1.0, 0.0], [0.0, 1.0], [1.0, 1.0]] {
        best = look(s, centred, &known, best, [s.splat(a * distance), s.splat(b * distance)]);
    }
    for _ in 0..HALVINGS {
        distance *= 0.5;
        let centre = best.cut;
        for [a, b] in AROUND {
            let cut = [s.add(centre[0], s.splat(a * distance)), s.add(centre[1], s.splat(b * distance))];
            best = look(s, centred, &known, best, cut);
        }
    }
    let mut fits = [[best.bias, best.scale]; 1 + REFITS];
    for nth in 1..fits.len() {
        let [_, bias, scale] = refit(s, centred, &known, fits[nth - 1]);
        fits[nth] = [bias, scale];
    }
    let bottom = round_half(s, min);
    let [_, whole, _] = grid(s, bottom, max, levels);
    let whole = if_zero(s, whole, one, whole);
    let mut kept = [bottom, whole];
    let mut pair = [[bottom, whole, s.div(one, whole)], rounded(s, mean, fits[0])];
    let mut least = errors(s, plain, levels, pair);
    kept = [
        s.select_lt(least[1], least[0], pair[1][0], kept[0]),
        s.select_lt(least[1], least[0], pair[1][1], kept[1]),
    ];
    let so_far = s.min(least[1], least[0]);
    pair = [rounded(s, mean, fits[1]), rounded(s, mean, fits[2])];
    least = errors(s, plain, levels, pair);
    let better = s.select_lt(least[1], least[0], one, zero);
    let last = s.min(least[1], least[0]);
    for (kept, nth) in kept.iter_mut().zip(0..) {
        let new = s.select_lt(zero, better, pair[1][nth], pair[0][nth]);
        *kept = s.select_lt(last, so_far, new, *kept);
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::embedding::{Greedy, reference};
    use crate::testing::noise;

    #[test]
    fn every_instruction_set_finds_the_same_grids_and_none_is_worse_than_the_whole_range() {
        for (bits, columns, rows) in [(4, 8, 37), (4, 64, 21), (2, 16, 40), (8, 100, 9), (2, 33, 5)] {
            let mut x = noise(rows * columns, columns as u64);
            x[..columns].fill(0.25);
            x[columns..2 * columns].iter_mut().for_each(|v| *v *= 1e-7);
            let mut all: Vec<[Vec<f32>; 2]> = Vec::new();
            for isa in Isa::supported() {
                let mut found = [vec![0.0; rows], vec![0.0; rows]];
                let [bias, scale] = &mut found;
                fit_rows(isa, bits, &x, columns, [bias, scale]);
                all.push(found);
            }
            assert!(all.iter().all(|found| found == &all[0]), "{bits} bits, {columns} columns");
            let levels = Greedy::new(bits).levels();
            for ((row, bias), scale) in x.chunks(columns).zip(&all[0][0]).zip(&all[0][1]) {
                let [low, high] = reference::extremes(row);
                let whole = reference::grid(low, high, levels);
                let [ours, plain] = [[*bias, *scale], whole].map(|grid| reference::error(row, grid, levels));
                assert!(ours <= plain, "{ours} {plain}");
            }
        }
    }

    #[test]
    fn the_worked_example_is_better_than_the_greedy_range() {
        let row = [0.9, -0.6, 0.1, 0.35, -0.2, 0.75, -0.45, 0.05];
        let (mut bias, mut scale) = ([0.0], [0.0]);
        fit_rows(Isa::best(), 4, &row, 8, [&mut bias, &mut scale]);
        let error = reference::error(&row, [bias[0], scale[0]], 15.0);
        let norm = row.iter().map(|x| x * x).sum::<f32>().sqrt();
        assert!(error / norm < 0.052_145_9, "{}", error / norm);
    }
}
