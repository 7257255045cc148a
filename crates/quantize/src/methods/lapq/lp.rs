//! The clip of least error `Σ|x − x̂|^p` of one tensor by itself: where the joint search starts from.
//!
//! Small `p` clips more than large `p`. The best clip may lie beyond the largest value (rounding upwards moves a whole
//! grid), so the search goes up to 1.2 times as far.

use crate::methods::mse::power;
use crate::methods::range::symmetric_scale;
use lowbit_tensor::Uniform;
use lowbit_tensor::number::{decode, encode};

/// How far beyond the largest magnitude clips are tried.
const BEYOND: f64 = 1.2;
/// Clips tried before the best one is refined: the error has several minima.
const GRID: usize = 32;
/// Golden sections of the two intervals around the best clip of the grid: to 2e-4 of the largest magnitude.
const SECTIONS: usize = 12;

/// The clip of least `error(clip)` in `(0, 1.2 · reach]`: a grid, then golden sections around its best.
pub fn best_clip(reach: f64, error: impl Fn(f64) -> f64) -> f64 {
    const GOLDEN: f64 = 0.618_033_988_749_894_9;
    let at = |k: usize| reach * BEYOND * k as f64 / GRID as f64;
    let sample = |clip: f64| (error(clip), clip);
    let least = |a: (f64, f64), b: (f64, f64)| if b.0 < a.0 { b } else { a };
    let (mut best, mut place) = ((f64::INFINITY, reach), GRID);
    // From the largest, so that of equals the larger clip stays.
    for k in (1..=GRID).rev() {
        let found = sample(at(k));
        if found.0 < best.0 {
            (best, place) = (found, k);
        }
    }
    let (mut lo, mut hi) = (at(place - 1), at((place + 1).min(GRID)));
    let inner = |lo: f64, hi: f64| (sample(hi - GOLDEN * (hi - lo)), sample(lo + GOLDEN * (hi - lo)));
    let (mut a, mut b) = inner(lo, hi);
    for _ in 0..SECTIONS {
        if a.0 <= b.0 {
            hi = b.1;
            b = a;
            a = sample(hi - GOLDEN * (hi - lo));
        } else {
            lo = a.1;
            a = b;
            b = sample(lo + GOLDEN * (hi - lo));
        }
        best = least(best, least(a, b));
    }
    best.1
}

/// `Σ n·|x − x̂|^p` over values `x` that occur `n` times.
fn error(code: &Uniform, population: &[(f32, f64)], p: f32) -> f64 {
    let (scale, zero_point, range) = (code.scale[0], code.zero_point[0], code.range(0));
    let of = |&(x, n): &(f32, f64)| {
        n * power(decode(encode(x, scale, zero_point, range), scale, zero_point) - x, p)
    };
    population.iter().map(of).sum()
}

/// The range of least error for some weights, around zero if `symmetric`.
pub fn weight_range(values: &[f32], bits: u8, symmetric: bool, p: f32) -> [f32; 2] {
    let population: Vec<(f32, f64)> = values.iter().map(|&x| (x, 1.0)).collect();
    if !symmetric {
        return range(&population, bits, p);
    }
    let reach = values.iter().fold(0f32, |m, x| m.max(x.abs()));
    let clip = best_clip(f64::from(reach), |clip| {
        error(&Uniform::per_tensor(bits, true, symmetric_scale(clip as f32, bits), 0), &population, p)
    }) as f32;
    [-clip, clip]
}

/// The range of least error for values with their counts, of an affine code that holds zero: both ends together, then
/// each in turn.
pub fn range(population: &[(f32, f64)], bits: u8, p: f32) -> [f32; 2] {
    let ends = |[lo, hi]: [f32; 2], &(x, _): &(f32, f64)| [lo.min(x), hi.max(x)];
    let [lo, hi] = population.iter().fold([0.0; 2], ends);
    let share = |ends: &dyn Fn(f32) -> [f32; 2]| {
        best_clip(1.0, |share| {
            let [lo, hi] = ends(share as f32);
            error(&Uniform::covering(lo, hi, bits), population, p)
        }) as f32
    };
    let both = share(&|s| [s * lo, s * hi]);
    let (mut low, mut high) = (both * lo, both * hi);
    if lo < 0.0 && hi > 0.0 {
        for _ in 0..2 {
            high = hi * share(&|s| [low, s * hi]);
            low = lo * share(&|s| [s * lo, high]);
        }
    }
    [low, high]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_least_of_several_minima_is_found() {
        let clip = best_clip(2.0, |c| (c - 0.3).abs().min((c - 2.2).abs() - 0.05));
        assert!((clip - 2.2).abs() < 1e-3, "{clip}");
    }

    #[test]
    fn smaller_p_clips_more_and_no_range_reaches_below_zero_without_cause() {
        let mut x: Vec<f32> = (0..2000).map(|i| (i as f32 / 2000.0).powi(3)).collect();
        x.push(3.0);
        let population: Vec<(f32, f64)> = x.iter().map(|&x| (x, 1.0)).collect();
        let clips = [2.0, 3.0, 4.0].map(|p| range(&population, 4, p));
        assert!(clips[0][1] < clips[1][1] && clips[1][1] < clips[2][1], "{clips:?}");
        assert!(clips.iter().all(|c| c[0] == 0.0));
    }

    #[test]
    fn constant_tensors_have_a_range() {
        assert_eq!(weight_range(&[0.0; 4], 4, true, 2.0), [0.0, 0.0]);
        assert_eq!(range(&[(0.0, 9.0)], 4, 2.0), [0.0, 0.0]);
        assert_eq!(range(&[], 4, 2.0), [0.0, 0.0]);
    }
}
