//! How hard the regulariser presses, and how fast steps are learned, over the iterations.

use std::f64::consts::PI;

/// Share of the iterations without a regulariser.
pub(super) const WARM_UP: f64 = 0.2;
/// Exponent at first and at last.
const BETA: [f64; 2] = [20.0, 2.0];

/// Exponent of the regulariser in iteration `t` of 1..=`total`: `None` before the warm-up is over, then falling linearly
/// from 20 to 2.
pub(super) fn beta(t: usize, total: usize) -> Option<f64> {
    let start = WARM_UP * total as f64;
    let t = t as f64;
    (t >= start).then(|| {
        let left = 1.0 - (t - start) / (total as f64 - start);
        BETA[1] + (BETA[0] - BETA[1]) * left.max(0.0)
    })
}

/// Learning rate after `t` of `total` iterations: falls from `rate` to 0 along a cosine.
pub(super) fn cosine(rate: f64, t: usize, total: usize) -> f64 {
    0.5 * rate * (1.0 + (PI * t as f64 / total as f64).cos())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_exponent_falls_linearly_once_warm() {
        let expected =
            [(4000, 20.0), (4001, 19.998875), (8000, 15.5), (12000, 11.0), (16000, 6.5), (20000, 2.0)];
        for (t, value) in expected {
            assert!((beta(t, 20_000).unwrap() - value).abs() < 1e-9, "{t}");
        }
        assert_eq!([beta(1, 20_000), beta(3999, 20_000)], [None, None]);
    }

    #[test]
    fn the_learning_rate_falls_along_a_cosine() {
        let expected = [(0, 4e-4), (1250, 3.414214e-4), (2500, 2e-4), (3750, 5.857864e-5), (5000, 0.0)];
        for (t, value) in expected {
            assert!((cosine(4e-4, t, 5000) - value).abs() < 1e-10, "{t}");
        }
    }
}
