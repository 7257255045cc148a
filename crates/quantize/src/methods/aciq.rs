//! `aciq`: closed-form clipping of activations (Banner, Nahshan, Soudry 2019, arXiv:1810.05723, step A).
//!
//! Rounding noise grows with the clip, clipping error falls with it; for a Laplace or Gauss density the best clip is a
//! number that depends on the bits alone, times the density's width:
//!
//! * Laplace, signed: `α = b·t` with `t·eᵗ = 3·4^M`; after ReLU `t·eᵗ = 12·4^M` (half the range, so one bit more);
//! * Gauss, signed: `α = σ·t` with `t·erfc(t/√2) − √(2/π)·exp(−t²/2) + t/(3·4^M) = 0`; after ReLU with `M + 1`.
//!
//! `b` is the mean absolute deviation from the mean and `σ` the standard deviation, both measured *before* a folded
//! ReLU. Where an edge has no ReLU of its own but holds no negative value (a pool of rectified values), `b` is the mean of
//! what is positive.
//!
//! Edges of 8 bits keep the range an earlier step gave them, as in the paper. Bit allocation and bias correction, its
//! other two parts, are steps of their own.

use super::range::{Edge, fit_activations};
use crate::method::{Entry, Method, MethodError};
use crate::observe::Needs;
use crate::plan::Plan;
use crate::workbench::Workbench;
use lowbit_tensor::Uniform;
use serde::Deserialize;

pub(super) const ENTRY: Entry = Entry::new::<Aciq>(
    "aciq",
    "closed-form activation clip from tensor statistics",
    &[
        (
            "prior",
            "laplace (default) | gauss | best: of laplace, gauss and min-max, the one of least measured error",
        ),
        ("tight", "do not reach beyond what was seen (default true; the paper's code: false)"),
        ("eight_bit", "also clip edges of 8 bits (default false)"),
    ],
);

/// Density that the closed form assumes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Prior {
    /// Double exponential.
    #[default]
    Laplace,
    /// Normal.
    Gauss,
    /// Whichever of both or min-max has the least error on the histogram.
    Best,
}

/// Options.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Aciq {
    /// Density assumed.
    pub prior: Prior,
    /// Whether the range ends at what was seen.
    pub tight: bool,
    /// Whether edges of 8 bits are clipped too.
    pub eight_bit: bool,
}

impl Default for Aciq {
    fn default() -> Aciq {
        Aciq { prior: Prior::Laplace, tight: true, eight_bit: false }
    }
}

impl Method for Aciq {
    fn refine(&self, mut plan: Plan, bench: &Workbench<'_>) -> Result<Plan, MethodError> {
        fit_activations(&mut plan, bench, ENTRY.id, |edge| {
            if edge.bits >= 8 && !self.eight_bit {
                return None;
            }
            Some(match self.prior {
                Prior::Laplace => self.range(edge, laplace_coefficient, |w| w.deviation),
                Prior::Gauss => self.range(edge, gauss_coefficient, |w| w.std),
                Prior::Best => self.best(edge),
            })
        });
        Ok(plan)
    }

    fn needs(&self) -> Needs {
        Needs { spread: true, before: true, histogram: true, ..Needs::default() }
    }
}

/// Centre and width of the density of an edge.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Width {
    /// Mean.
    pub mean: f64,
    /// Mean absolute deviation from the mean.
    pub deviation: f64,
    /// Standard deviation.
    pub std: f64,
}

impl Aciq {
    fn range(&self, edge: &Edge<'_>, coefficient: fn(f64) -> f64, width: fn(&Width) -> f64) -> [f32; 2] {
        let observed = edge.observed();
        let moments = edge.before.unwrap_or(edge.moments);
        let mut stats = Width { mean: moments.mean(), deviation: moments.deviation(), std: moments.std() };
        let rectified = observed[0] >= 0.0;
        if rectified && edge.before.is_none() {
            // For a Laplace density of mean 0, b is the mean of what is positive.
            let (sum, n) = edge
                .whole
                .histogram
                .centres()
                .filter(|c| c.0 > edge.whole.histogram.width())
                .fold((0.0, 0u64), |(sum, n), (x, count)| (sum + f64::from(x) * count as f64, n + count));
            let b = sum / n.max(1) as f64;
            stats = Width { mean: 0.0, deviation: b, std: b * std::f64::consts::SQRT_2 };
        }
        let bits = f64::from(edge.bits);
        let alpha = width(&stats) * coefficient(if rectified { bits + 1.0 } else { bits });
        let [lo, hi] = clip_range(alpha, stats.mean, f64::from(observed[0]), rectified);
        let range = [lo as f32, hi as f32];
        if self.tight { [range[0].max(observed[0]), range[1].min(observed[1])] } else { range }
    }

    fn best(&self, edge: &Edge<'_>) -> [f32; 2] {
        let error = |[lo, hi]: [f32; 2]| -> f64 {
            let code = Uniform::covering(lo, hi, edge.bits);
            let square = |x: f32| f64::from(code.decode(code.encode(x, 0), 0) - x).powi(2);
            edge.whole.histogram.centres().map(|(x, n)| n as f64 * square(x)).sum()
        };
        let laplace = self.range(edge, laplace_coefficient, |w| w.deviation);
        let gauss = self.range(edge, gauss_coefficient, |w| w.std);
        let candidates = [laplace, gauss, edge.observed()];
        candidates.into_iter().min_by(|a, b| error(*a).total_cmp(&error(*b))).unwrap_or(laplace)
    }
}

/// The real range that a clip of half width `alpha` gives: `[0, max(mean, 0) + α]` after ReLU, else
/// `max(min, mean − α)` and `2α` upwards from there.
pub fn clip_range(alpha: f64, mean: f64, min: f64, rectified: bool) -> [f64; 2] {
    if rectified {
        return [0.0, mean.max(0.0) + alpha];
    }
    let offset = min.max(mean - alpha);
    [offset, offset + 2.0 * alpha]
}

/// `α/b` of a signed Laplace density for `bits`: `t·eᵗ = 3·4^bits`. After ReLU: `bits + 1`.
pub fn laplace_coefficient(bits: f64) -> f64 {
    omega_coefficient(bits.exp2())
}

/// `α/b` of a signed Laplace density for a number of levels `omega`: `t·eᵗ = 3·omega²`.
pub fn omega_coefficient(omega: f64) -> f64 {
    // Newton on t + ln t = ln k converges from any start above 0; k ≥ 3, so t > 1.
    let ln_k = (3.0 * omega * omega).ln();
    (0..12).fold(ln_k.max(1.0), |t, _| t * (1.0 + ln_k - t.ln()) / (1.0 + t))
}

/// `α/σ` of a signed Gauss density for `bits`. After ReLU: `bits + 1`.
pub fn gauss_coefficient(bits: f64) -> f64 {
    let slope = 1.0 / (3.0 * (2.0 * bits).exp2());
    let gradient = |t: f64| {
        t * libm::erfc(t / std::f64::consts::SQRT_2)
            - (2.0 / std::f64::consts::PI).sqrt() * (-t * t / 2.0).exp()
            + t * slope
    };
    // Negative at 0, positive at 20, with one crossing.
    let (mut lo, mut hi) = (0.0, 20.0);
    for _ in 0..80 {
        let middle = (lo + hi) / 2.0;
        if gradient(middle) < 0.0 { lo = middle } else { hi = middle }
    }
    (lo + hi) / 2.0
}

/// Model error of a signed Laplace density (`b = 1`) clipped at `t`: `2e^−t + t²/(3·4^bits)`.
pub fn laplace_error(t: f64, bits: f64) -> f64 {
    2.0 * (-t).exp() + t * t / (3.0 * (2.0 * bits).exp2())
}

/// Model error of a signed Gauss density (`σ = 1`) clipped at `t`.
pub fn gauss_error(t: f64, bits: f64) -> f64 {
    (t * t + 1.0) * libm::erfc(t / std::f64::consts::SQRT_2)
        - (2.0 / std::f64::consts::PI).sqrt() * t * (-t * t / 2.0).exp()
        + t * t / (3.0 * (2.0 * bits).exp2())
}

#[cfg(test)]
mod tests {
    use super::*;
    use lowbit_tensor::Statistics;

    /// Coefficients of section 3.2 of the method's description, M = 0..=8 (Gauss from 1).
    const LAPLACE: [f64; 10] =
        [1.049909, 1.862817, 2.830683, 3.897229, 5.028640, 6.204766, 7.413126, 8.645620, 9.896760, 11.162685];
    const GAUSS: [f64; 9] =
        [1.239905, 1.710635, 2.151593, 2.559136, 2.936201, 3.286914, 3.615114, 3.924035, 4.216330];

    #[test]
    fn coefficients_are_the_tables() {
        for (bits, expected) in LAPLACE.iter().enumerate() {
            assert!((laplace_coefficient(bits as f64) / expected - 1.0).abs() < 1e-6, "Laplace {bits}");
        }
        for (i, expected) in GAUSS.iter().enumerate() {
            assert!((gauss_coefficient(i as f64 + 1.0) / expected - 1.0).abs() < 1e-6, "Gauss {}", i + 1);
        }
    }

    #[test]
    fn laplace_coefficients_solve_their_equation() {
        for bits in 0..=12 {
            let t = laplace_coefficient(f64::from(bits));
            assert!((t * t.exp() / (3.0 * 4f64.powi(bits)) - 1.0).abs() < 1e-12, "{bits}");
            let rectified = laplace_coefficient(f64::from(bits) + 1.0);
            assert!((rectified * rectified.exp() / (12.0 * 4f64.powi(bits)) - 1.0).abs() < 1e-12, "{bits}");
        }
    }

    #[test]
    fn real_level_counts_have_their_own_coefficients() {
        for (omega, expected) in [
            (3.0, 2.414390),
            (5.0, 3.165255),
            (6.0, 3.445161),
            (10.0, 4.255557),
            (15.0, 4.921167),
            (24.0, 5.712128),
            (100.0, 8.204295),
        ] {
            assert!((omega_coefficient(omega) / expected - 1.0).abs() < 1e-6, "{omega}");
        }
    }

    #[test]
    fn model_errors_at_the_optimum_are_the_tables() {
        for (bits, expected) in [(2.0, 0.28487775), (3.0, 0.11970238), (4.0, 0.04602149), (8.0, 0.00059885)] {
            assert!((laplace_error(laplace_coefficient(bits), bits) - expected).abs() < 1e-8, "{bits}");
        }
        for (bits, expected) in [(2.0, 0.08714848), (3.0, 0.03142944), (4.0, 0.01049325), (8.0, 0.00008708)] {
            assert!((gauss_error(gauss_coefficient(bits), bits) - expected).abs() < 1e-8, "{bits}");
        }
        let rectified = laplace_coefficient(5.0);
        let error = (-rectified).exp() + rectified * rectified / (24.0 * 256.0);
        assert!((error - 0.00828591).abs() < 1e-8);
    }

    #[test]
    fn more_bits_never_increase_the_model_error() {
        for bits in 1..=9 {
            let (m, more) = (f64::from(bits), f64::from(bits) + 1.0);
            assert!(
                laplace_error(laplace_coefficient(more), more) < laplace_error(laplace_coefficient(m), m)
            );
            assert!(gauss_error(gauss_coefficient(more), more) < gauss_error(gauss_coefficient(m), m));
        }
    }

    const X: [f32; 12] = [-2.1, -0.9, -0.6, -0.35, -0.2, -0.1, 0.05, 0.15, 0.3, 0.45, 0.8, 4.6];

    /// Codes and mean squared error of quantizing `x` (rectified if asked) to the range of a clip.
    fn quantize(x: &[f32], alpha: f64, bits: u8, rectified: bool) -> (Uniform, Vec<i32>, f64) {
        let moments = Statistics::of(x, 1, (1, 1)).tensor;
        let [lo, hi] = clip_range(alpha, moments.mean(), f64::from(moments.min), rectified);
        let code = Uniform::covering(lo as f32, hi as f32, bits);
        let codes = code.codes(x, &[x.len()]);
        let target = |x: f32| if rectified { x.max(0.0) } else { x };
        let error = x
            .iter()
            .zip(&codes)
            .map(|(&x, &q)| f64::from(code.decode(q, 0) - target(x)).powi(2))
            .sum::<f64>();
        (code, codes, error / x.len() as f64)
    }

    #[test]
    fn worked_example_signed() {
        let stats = Statistics::of(&X, 1, (1, 1)).tensor;
        let cases: [(f64, u8, f64, i32, [i32; 12], f64); 4] = [
            (5.03 * stats.deviation(), 4, 0.60918889, 3, [0, 2, 2, 2, 3, 3, 3, 3, 3, 4, 4, 11], 0.04396772),
            (3.89 * stats.deviation(), 3, 1.00954762, 2, [0, 1, 1, 2, 2, 2, 2, 2, 2, 2, 3, 7], 0.07672126),
            (2.83 * stats.deviation(), 2, 1.71372222, 1, [0, 0, 1, 1, 1, 1, 1, 1, 1, 1, 1, 3], 0.30635341),
            (2.55 * stats.std(), 4, 0.53761164, 4, [0, 2, 3, 3, 4, 4, 4, 4, 5, 5, 5, 13], 0.02810048),
        ];
        for (alpha, bits, scale, zero_point, expected, mse) in cases {
            let (code, codes, error) = quantize(&X, alpha, bits, false);
            assert!((f64::from(code.scale[0]) - scale).abs() < 1e-6, "{} {scale}", code.scale[0]);
            assert_eq!((code.zero_point[0], codes), (zero_point, expected.to_vec()));
            assert!((error - mse).abs() < 1e-6, "{error} {mse}");
        }
        let min_max = Uniform::covering(-2.1, 4.6, 4);
        assert_eq!(min_max.codes(&X, &[12]), [0, 3, 4, 4, 5, 5, 5, 5, 6, 6, 7, 15]);
        assert_eq!(min_max.zero_point[0], 5);
    }

    #[test]
    fn worked_example_with_the_lower_bound_active() {
        let mut x = X;
        (x[0], x[11]) = (-12.0, 1.2);
        let stats = Statistics::of(&x, 1, (1, 1)).tensor;
        assert!((stats.mean() + 0.933333).abs() < 1e-5 && (stats.deviation() - 1.844444).abs() < 1e-5);
        let (code, codes, _) = quantize(&x, 2.83 * stats.deviation(), 2, false);
        assert!((f64::from(code.scale[0]) - 3.47985185).abs() < 1e-5);
        assert_eq!((code.zero_point[0], codes[0], &codes[1..]), (2, 0, &[2; 11][..]));
        assert!((code.decode(0, 0) + 6.959704).abs() < 1e-5);
    }

    #[test]
    fn worked_example_rectified() {
        let stats = Statistics::of(&X, 1, (1, 1)).tensor;
        let cases: [(f64, u8, f64, [i32; 12], f64); 3] = [
            (6.20, 4, 0.38711111, [0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 2, 12], 0.00327191),
            (5.02, 3, 0.67640476, [0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 7], 0.01664291),
            (3.89, 2, 1.23613889, [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 3], 0.10855316),
        ];
        for (coefficient, bits, scale, expected, mse) in cases {
            let (code, codes, error) = quantize(&X, coefficient * stats.deviation(), bits, true);
            assert!((f64::from(code.scale[0]) - scale).abs() < 1e-6, "{} {scale}", code.scale[0]);
            assert_eq!((code.zero_point[0], codes), (0, expected.to_vec()));
            assert!((error - mse).abs() < 1e-6, "{error} {mse}");
        }
    }

    #[test]
    fn scaling_the_data_scales_the_clip_and_keeps_the_codes() {
        let scaled: Vec<f32> = X.iter().map(|x| x * 4.0).collect();
        let alpha = |x: &[f32]| 5.03 * Statistics::of(x, 1, (1, 1)).tensor.deviation();
        let (_, codes, _) = quantize(&X, alpha(&X), 4, false);
        let (_, scaled_codes, _) = quantize(&scaled, alpha(&scaled), 4, false);
        assert!((alpha(&scaled) / alpha(&X) - 4.0).abs() < 1e-9);
        assert_eq!(codes, scaled_codes);
    }

    #[test]
    fn shifting_signed_data_moves_the_offset() {
        let shifted: Vec<f32> = X.iter().map(|x| x + 0.5).collect();
        let range = |x: &[f32]| {
            let s = Statistics::of(x, 1, (1, 1)).tensor;
            clip_range(2.0 * s.deviation(), s.mean(), f64::from(s.min), false)
        };
        let (a, b) = (range(&X), range(&shifted));
        assert!((b[0] - a[0] - 0.5).abs() < 1e-6 && (b[1] - a[1] - 0.5).abs() < 1e-6);
    }
}
