//! The paper's search for the scale of a weight channel, on which reconstruction then builds.

use crate::plan::Plan;
use crate::recipe::Granularity;
use crate::workbench::{Workbench, channel};
use lowbit_tensor::{Code, Uniform};
use rayon::prelude::*;

/// Exponent of the rounding error.
const POWER: f64 = 2.4;

/// Scale, zero point and mean error `|x - x̂|^2.4` of the best of 80 affine codes of `bits` whose ranges are 1.00, 0.99 …
/// 0.21 of that of the values; of equals the widest.
///
/// The paper lets a range without zero have a zero point beyond the codes; here zero is always a code, as files need it.
pub(super) fn search(values: &[f32], bits: u8) -> (f32, i32, f64) {
    let top = f64::from((1u32 << bits) - 1);
    let ends = values.iter().fold([0f64; 2], |[lo, hi], &x| [lo.min(x.into()), hi.max(x.into())]);
    let mut best = (1.0, 0, f64::INFINITY);
    for i in 0..80 {
        let factor = 1.0 - 0.01 * f64::from(i);
        let scale = (factor * (ends[1] - ends[0]) / top).max(1e-30);
        let zero = (-factor * ends[0] / scale).round_ties_even();
        let error = |&x: &f32| {
            let x = f64::from(x);
            let code = ((x / scale).round_ties_even() + zero).clamp(0.0, top);
            ((code - zero) * scale - x).abs().powf(POWER)
        };
        let mean = values.iter().map(error).sum::<f64>() / values.len().max(1) as f64;
        if mean < best.2 {
            best = (scale as f32, zero as i32, mean);
        }
    }
    best
}

/// Searches the scales of every quantized weight anew.
pub(super) fn set(plan: &mut Plan, bench: &Workbench<'_>, step: &'static str) {
    let sites = bench.sites.weights.par_iter().zip(&plan.weights);
    let codes: Vec<Option<Uniform>> = sites
        .map(|(site, setting)| {
            let (tensor, values) = bench.weight(site);
            let per_channel = bench.recipe.weights.per == Granularity::Channel;
            let axis = site.channel_axis.filter(|_| per_channel);
            let channels = axis.map_or(1, |axis| tensor.shape()[axis]);
            let bits: Vec<u8> = (0..channels).map(|c| setting.bits_of(c)).collect();
            let of = |c: usize| match axis {
                None => search(&values, bits[c]),
                Some(axis) => {
                    search(&channel(&values, tensor.shape(), axis, c).collect::<Vec<f32>>(), bits[c])
                }
            };
            let found: Vec<(f32, i32, f64)> = (0..channels).map(of).collect();
            let scale = found.iter().map(|f| f.0).collect();
            let zero_point = found.iter().map(|f| f.1).collect();
            Some(Uniform { axis, bits, signed: false, scale, zero_point, shift: None })
        })
        .zip(&plan.weights)
        .map(|(code, setting)| code.filter(|_| setting.is_quantized()))
        .collect();
    for (setting, code) in plan.weights.iter_mut().zip(codes) {
        if let Some(code) = code {
            setting.set(Code::Uniform(code), step);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const W: [f32; 10] = [-1.30, -0.72, -0.41, -0.18, -0.05, 0.02, 0.11, 0.27, 0.55, 0.94];
    const X: [f32; 10] = [0.0, 0.0, 0.08, 0.13, 0.0, 0.31, 0.52, 0.0, 0.77, 2.40];

    /// Values, bits; scale, zero point, error and codes of the best.
    type Case = (&'static [f32], u8, f32, i32, f64, [i32; 10]);

    #[test]
    fn the_worked_example_is_found() {
        let cases: [Case; 6] = [
            (&W, 2, 0.657_066_67, 2, 0.015_458, [0, 1, 1, 2, 2, 2, 2, 2, 3, 3]),
            (&W, 3, 0.3168, 4, 0.002_397_76, [0, 2, 3, 3, 4, 4, 4, 5, 6, 7]),
            (&W, 4, 0.146_346_67, 9, 0.000_346_84, [0, 4, 6, 8, 9, 9, 10, 11, 13, 15]),
            (&X, 2, 0.76, 0, 0.010_868_63, [0, 0, 0, 0, 0, 0, 1, 0, 1, 3]),
            (&X, 3, 0.336, 0, 0.002_531_12, [0, 0, 0, 0, 0, 1, 2, 0, 2, 7]),
            (&X, 4, 0.16, 0, 0.000_323_04, [0, 0, 0, 1, 0, 2, 3, 0, 5, 15]),
        ];
        for (values, bits, scale, zero, score, codes) in cases {
            let found = search(values, bits);
            assert!((found.0 - scale).abs() < 1e-6 && found.1 == zero, "{bits}: {found:?}");
            assert!((found.2 - score).abs() < 1e-8, "{bits}: {found:?}");
            let code = Uniform::per_tensor(bits, false, found.0, found.1);
            assert_eq!(code.codes(values, &[10]), codes);
        }
    }

    #[test]
    fn a_channel_of_zeros_has_a_usable_scale() {
        let (scale, zero, error) = search(&[0.0; 4], 4);
        assert!(scale > 0.0 && zero == 0 && error == 0.0);
    }
}
