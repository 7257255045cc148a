//! `mse`: the range whose rounding and clipping error is least, by search.
//!
//! Weights are searched element by element, activations on their histogram. With `p` other than 2 the error is
//! Σ|x − x̂|^p: smaller p cares less for outliers.

use super::minmax::extremes;
use super::range::{On, fit_activations, fit_weights, symmetric_scale};
use crate::method::{Entry, Method, MethodError};
use crate::observe::Needs;
use crate::plan::Plan;
use crate::workbench::Workbench;
use lowbit_tensor::number::{code_range, decode, encode};
use lowbit_tensor::{Histogram, Uniform};
use serde::Deserialize;

pub(super) const ENTRY: Entry = Entry::new::<Mse>(
    "mse",
    "range of least error Σ|x − x̂|^p, by search",
    &[("on", "weights | activations | both (default)"), ("p", "norm, 0.5 to 8 (default 2)")],
);

/// Options.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Mse {
    /// What the step acts on.
    pub on: On,
    /// Norm.
    pub p: f32,
}

impl Default for Mse {
    fn default() -> Mse {
        Mse { on: On::Both, p: 2.0 }
    }
}

impl Method for Mse {
    fn refine(&self, mut plan: Plan, bench: &Workbench<'_>) -> Result<Plan, MethodError> {
        if !(0.5..=8.0).contains(&self.p) {
            let message = format!("p is {}; accepted: 0.5 to 8", self.p);
            return Err(MethodError::Needs { step: ENTRY.id, message });
        }
        if self.on.weights() {
            fit_weights(&mut plan, bench, ENTRY.id, |values, bits, symmetric| {
                weight_range(values, bits, symmetric, self.p)
            });
        }
        if self.on.activations() {
            fit_activations(&mut plan, bench, ENTRY.id, |edge| {
                Some(histogram_range(&edge.whole.histogram, edge.observed(), edge.bits, self.p))
            });
        }
        Ok(plan)
    }

    fn needs(&self) -> Needs {
        Needs { histogram: self.on.activations(), ..Needs::default() }
    }
}

/// `|error|^p`.
pub(super) fn power(error: f32, p: f32) -> f64 {
    let error = f64::from(error.abs());
    if p == 2.0 { error * error } else { error.powf(f64::from(p)) }
}

/// The share of `full` (in (0, 1]) of least `error`: a grid, then a finer one around its best.
fn search(error: impl Fn(f32) -> f64) -> f32 {
    let best = |candidates: &mut dyn Iterator<Item = f32>| {
        candidates.map(|f| (error(f), f)).min_by(|a, b| a.0.total_cmp(&b.0)).map_or(1.0, |(_, f)| f)
    };
    let coarse = best(&mut (1..=25).rev().map(|i| i as f32 / 25.0));
    best(&mut (-8..=8).map(|i| coarse + i as f32 / 225.0).filter(|f| *f > 0.0 && *f <= 1.0))
}

/// The range of least error for some weights.
pub fn weight_range(values: &[f32], bits: u8, symmetric: bool, p: f32) -> [f32; 2] {
    let [lo, hi] = extremes(values);
    let share = search(|f| {
        let (scale, zero_point, range) = if symmetric {
            (symmetric_scale(f * hi.max(-lo), bits), 0, code_range(bits, true))
        } else {
            let code = Uniform::covering(f * lo, f * hi, bits);
            (code.scale[0], code.zero_point[0], code.range(0))
        };
        let error = |x: f32| power(decode(encode(x, scale, zero_point, range), scale, zero_point) - x, p);
        values.iter().map(|&x| error(x)).sum()
    });
    if symmetric { [-share * hi.max(-lo), share * hi.max(-lo)] } else { [share * lo, share * hi] }
}

/// The range of least error for a histogram, inside `[lo, hi]`: each end in turn.
pub fn histogram_range(histogram: &Histogram, [lo, hi]: [f32; 2], bits: u8, p: f32) -> [f32; 2] {
    let bins: Vec<(f32, f64)> = coarse_bins(histogram);
    let error = |lo: f32, hi: f32| -> f64 {
        let code = Uniform::covering(lo, hi, bits);
        let (scale, zero_point, range) = (code.scale[0], code.zero_point[0], code.range(0));
        bins.iter()
            .map(|&(x, n)| n * power(decode(encode(x, scale, zero_point, range), scale, zero_point) - x, p))
            .sum()
    };
    if lo >= 0.0 {
        return [0.0, hi * search(|f| error(0.0, f * hi))];
    }
    if hi <= 0.0 {
        return [lo * search(|f| error(f * lo, 0.0)), 0.0];
    }
    let both = search(|f| error(f * lo, f * hi));
    let (mut low, mut high) = (both * lo, both * hi);
    for _ in 0..2 {
        high = hi * search(|f| error(low, f * hi));
        low = lo * search(|f| error(f * lo, high));
    }
    [low, high]
}

/// (centre, count) of the non-empty bins, neighbours joined until at most about 1,500 remain: finer bins cost time and
/// move the result by less than calibration noise.
pub(super) fn coarse_bins(histogram: &Histogram) -> Vec<(f32, f64)> {
    let join = histogram.counts().len().div_ceil(1500).max(1);
    let (lo, width) = (histogram.lo(), histogram.width());
    let joined = histogram.counts().chunks(join).enumerate().map(|(i, counts)| {
        let n = counts.iter().sum::<u64>() as f64;
        let centre =
            counts.iter().enumerate().map(|(j, &n)| (j as f64 + 0.5) * n as f64).sum::<f64>() / n.max(1.0);
        (lo + ((i * join) as f32 + centre as f32) * width, n)
    });
    joined.filter(|&(_, n)| n > 0.0).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outlier_is_clipped_at_few_bits_and_kept_at_many() {
        let mut x: Vec<f32> = (0..1000).map(|i| (i as f32 - 500.0) / 500.0).collect();
        x.push(8.0);
        assert!(weight_range(&x, 3, true, 2.0)[1] < 4.0);
        assert!(weight_range(&x, 8, true, 2.0)[1] > 4.0);
    }

    #[test]
    fn the_search_never_loses_to_the_full_range() {
        let x: Vec<f32> = (0..300).map(|i| ((i * 37 % 101) as f32 / 50.0 - 1.0).powi(3)).collect();
        for bits in 2..=8 {
            for symmetric in [true, false] {
                let error = |[lo, hi]: [f32; 2]| -> f64 {
                    let scale = symmetric_scale(hi.max(-lo), bits);
                    let code = if symmetric {
                        Uniform::per_tensor(bits, true, scale, 0)
                    } else {
                        Uniform::covering(lo, hi, bits)
                    };
                    x.iter().map(|&x| power(code.decode(code.encode(x, 0), 0) - x, 2.0)).sum()
                };
                let found = error(weight_range(&x, bits, symmetric, 2.0));
                assert!(found <= error(extremes(&x)) * (1.0 + 1e-6), "{bits} {symmetric}");
            }
        }
    }

    #[test]
    fn histogram_search_matches_the_element_search() {
        let x: Vec<f32> = (0..4000).map(|i| ((i * 7919 % 4001) as f32 / 4001.0).powi(4) * 6.0).collect();
        let [lo, hi] = extremes(&x);
        let from_bins = histogram_range(&Histogram::of(&x, [lo, hi]), [0.0, hi], 4, 2.0)[1];
        let from_values = weight_range(&x, 4, false, 2.0)[1];
        assert!((from_bins / from_values - 1.0).abs() < 0.03, "{from_bins} {from_values}");
    }
}
