//! Where to clip at first: the clip of least squared error, by the table for a Gaussian or by search on values.

/// `α/σ` of least squared error for a Gaussian cut into `s` levels on each side of zero (spec of LCQ, 3.6).
const GAUSSIAN: [(usize, f32); 6] =
    [(1, 1.2240), (3, 1.9523), (7, 2.4739), (15, 2.8987), (127, 3.9205), (255, 4.2145)];

/// The clip for values of deviation 1 and `s` levels beyond zero: the table's, or that of the next number of levels.
pub fn gaussian_clip(s: usize) -> f32 {
    GAUSSIAN.iter().find(|(levels, _)| *levels >= s).unwrap_or(&GAUSSIAN[GAUSSIAN.len() - 1]).1
}

/// Points of the search.
const POINTS: usize = 40;

/// The clip among 40 between 0 and the largest magnitude at which `rounded(clip, x)` is nearest to `x` in squares.
/// Never 0: all-zero values get 1.
pub fn search_clip(values: &[f32], rounded: impl Fn(f32, f32) -> f32) -> f32 {
    let largest = values.iter().filter(|x| x.is_finite()).fold(0.0f32, |m, x| m.max(x.abs()));
    if largest <= 0.0 {
        return 1.0;
    }
    let clips = (1..=POINTS).map(|i| largest * i as f32 / POINTS as f32);
    let error =
        |clip: f32| -> f64 { values.iter().map(|&x| f64::from(rounded(clip, x) - x)).map(|d| d * d).sum() };
    clips.map(|clip| (clip, error(clip))).min_by(|a, b| a.1.total_cmp(&b.1)).map_or(1.0, |best| best.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Quantiles of a Gaussian by its inverse distribution, roughly: sums of uniform numbers are near enough here.
    fn gaussian() -> Vec<f32> {
        let mut state = 7u64;
        let mut uniform = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 40) as f32 / (1u64 << 24) as f32 - 0.5
        };
        (0..20_000).map(|_| (0..12).map(|_| uniform()).sum()).collect()
    }

    #[test]
    fn the_search_finds_the_gaussian_table() {
        let values = gaussian();
        for (s, expected) in &GAUSSIAN[..4] {
            let steps = *s as f32;
            let found = search_clip(&values, |clip, x| {
                let step = clip / steps;
                (x / step).round_ties_even().clamp(-steps, steps) * step
            });
            assert!((found - expected).abs() < 0.15, "{s} levels: {found}, table {expected}");
        }
    }

    #[test]
    fn zeros_have_a_clip_too() {
        assert_eq!(search_clip(&[0.0; 4], |_, x| x), 1.0);
    }
}
