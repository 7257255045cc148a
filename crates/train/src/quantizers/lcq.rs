//! LCQ of a weight: normalized, clipped, companded, rounded, expanded (Yamamoto 2021).
//!
//! `u = (w - μ)/σ`, `v = |u|/α`, `Q(u) = sgn(u)·α·f⁻¹(round(s·f(v))/s)`, `ŵ = σ·Q(u)` with `s = 2^(b-1) - 1`: limited
//! weight normalization, whose σ outside leaves the layer's scale alone. Levels are rounded to 8 bits (the outer
//! quantizer), so that integer kernels multiply them.

use super::companding::Sums;
use super::{Coded, Companding, Draw, WeightQuantizer, gaussian_clip, search_clip};
use serde::{Deserialize, Serialize};

/// Smallest clip.
pub(super) const LEAST_CLIP: f32 = 1e-3;

/// Mean and deviation of a layer that is not normalized.
const PLAIN: [f64; 2] = [0.0, 1.0];

/// How the gradient of the input passes a rounding.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StraightThrough {
    /// Past the whole quantizer: factor 1 below the clip.
    #[default]
    Paper,
    /// Past the rounding alone: factor `γ_i/γ_j`, the slope of compressing over that of expanding.
    Rounding,
}

/// The weight quantizer. Parameters: α, then θ if levels are learned.
#[derive(Clone, Debug)]
pub struct Lcq {
    /// Levels beyond zero.
    s: usize,
    /// Length of θ; 0 for evenly spaced levels.
    intervals: usize,
    rule: StraightThrough,
    normalize: bool,
    /// Steps of the outer grid; `None` leaves levels as they are.
    outer: Option<f64>,
    /// Of the gradient of α.
    factor: f32,
    /// Of the gradient of θ.
    shape_rate: f32,
}

impl Lcq {
    /// For `elements` weights of `bits` bits; `intervals` of 0 keeps levels evenly spaced. At 2 bits there are none
    /// to move: the levels are -α, 0 and α.
    pub fn new(bits: u8, elements: usize, intervals: usize, rule: StraightThrough) -> Lcq {
        let s = (1usize << (bits - 1)) - 1;
        Lcq {
            s,
            intervals: if s == 1 { 0 } else { intervals },
            rule,
            normalize: true,
            outer: Some(127.0),
            shape_rate: 1.0,
            factor: (s as f64 / elements.max(1) as f64).sqrt() as f32,
        }
    }

    /// With the learning rate of θ multiplied.
    pub fn shaped(self, shape_rate: f32) -> Lcq {
        Lcq { shape_rate, ..self }
    }

    fn shape(&self, parameters: &[f32]) -> Companding {
        if self.intervals == 0 { Companding::new(&[0.0]) } else { Companding::new(&parameters[1..]) }
    }

    fn levels(&self, f: &Companding) -> Vec<f64> {
        let levels = f.levels(self.s);
        match self.outer {
            Some(steps) => levels.into_iter().map(|z| (z * steps).round_ties_even() / steps).collect(),
            None => levels,
        }
    }

    /// Mean and deviation (divisor n - 1) of the layer; `None` where it is not normalized or has no deviation.
    fn moments(&self, shadow: &[f32]) -> Option<[f64; 2]> {
        let n = shadow.len() as f64;
        let mean = shadow.iter().map(|&w| f64::from(w)).sum::<f64>() / n;
        let squares: f64 = shadow.iter().map(|&w| (f64::from(w) - mean).powi(2)).sum();
        let sigma = (squares / (n - 1.0)).sqrt();
        (self.normalize && sigma.is_finite() && sigma > 0.0).then_some([mean, sigma])
    }

    /// Code (`sgn·m`) of a normalized weight.
    fn encode(thresholds: &[f64], v: f64) -> usize {
        if v >= 1.0 { thresholds.len() } else { thresholds.partition_point(|&t| t <= v) }
    }
}

impl WeightQuantizer for Lcq {
    fn len(&self) -> usize {
        1 + self.intervals
    }

    fn start(&self, shadow: &[f32]) -> Vec<f32> {
        let alpha = if self.normalize {
            gaussian_clip(self.s)
        } else {
            let s = self.s as f32;
            search_clip(shadow, |clip, x| (x * s / clip).clamp(-s, s).round_ties_even() * clip / s)
        };
        let mut parameters = vec![0.0; self.len()];
        parameters[0] = alpha;
        parameters
    }

    fn forward(&self, parameters: &[f32], shadow: &[f32], _draw: Option<Draw>, out: &mut [f32]) {
        let f = self.shape(parameters);
        let (levels, thresholds) = (self.levels(&f), f.thresholds(self.s));
        let ([mean, sigma], alpha) = (self.moments(shadow).unwrap_or(PLAIN), f64::from(parameters[0]));
        for (out, &w) in out.iter_mut().zip(shadow) {
            let u = (f64::from(w) - mean) / sigma;
            let level = levels[Lcq::encode(&thresholds, u.abs() / alpha)];
            // Zero has no sign.
            *out = if level == 0.0 { 0.0 } else { (sigma * alpha * level).copysign(u) as f32 };
        }
    }

    fn backward(&self, parameters: &[f32], shadow: &[f32], grad: &mut [f32], by_parameter: &mut [f32]) {
        let f = self.shape(parameters);
        let (levels, thresholds) = (self.levels(&f), f.thresholds(self.s));
        let moments = self.moments(shadow);
        let ([mean, sigma], alpha) = (moments.unwrap_or(PLAIN), f64::from(parameters[0]));
        let mut sums = Sums::new(f.intervals(), self.s + 1);
        let (mut by_alpha, mut passed, mut pull) = (0.0, 0.0, 0.0);
        for (g, &w) in grad.iter_mut().zip(shadow) {
            let u = (f64::from(w) - mean) / sigma;
            let (v, signed) = (u.abs() / alpha, f64::from(*g) * sigma * sign(u));
            let m = Lcq::encode(&thresholds, v);
            let level = levels[m] * sign(u) * alpha;
            if v >= 1.0 {
                by_alpha += signed;
                pull += f64::from(*g) * level;
                *g = 0.0;
                continue;
            }
            by_alpha += signed * (levels[m] - v);
            let i = f.interval(v);
            sums.add(i, m, [signed * alpha, signed * alpha * v]);
            let slope = match self.rule {
                StraightThrough::Paper => 1.0,
                StraightThrough::Rounding => f.slope_ratio(i, m as f64 / self.s as f64),
            };
            pull += f64::from(*g) * (level - slope * u);
            *g = (f64::from(*g) * slope) as f32;
            passed += f64::from(*g);
        }
        if moments.is_some() {
            let n = shadow.len() as f64;
            for (g, &w) in grad.iter_mut().zip(shadow) {
                let u = (f64::from(w) - mean) / sigma;
                *g = (f64::from(*g) - passed / n + u * pull / (n - 1.0)) as f32;
            }
        }
        by_parameter[0] = by_alpha as f32 * self.factor;
        if self.intervals > 0 {
            let shape = f.gradient(&sums);
            by_parameter[1..].iter_mut().zip(shape).for_each(|(p, g)| *p = g as f32 * self.shape_rate);
        }
    }

    fn constrain(&self, parameters: &mut [f32]) {
        parameters[0] = parameters[0].max(LEAST_CLIP);
    }

    fn code(&self, parameters: &[f32], shadow: &[f32]) -> Coded {
        let f = self.shape(parameters);
        let thresholds = f.thresholds(self.s);
        let steps = self.outer.unwrap_or(127.0);
        // One level beyond zero is one step, whatever the grid: small integers cannot saturate anywhere.
        let (steps, magnitudes): (f64, Vec<i32>) = if self.s == 1 {
            (1.0, vec![0, 1])
        } else {
            (steps, f.levels(self.s).iter().map(|z| (z * steps).round_ties_even() as i32).collect())
        };
        let ([mean, sigma], alpha) = (self.moments(shadow).unwrap_or(PLAIN), f64::from(parameters[0]));
        let code = |&w: &f32| {
            let u = (f64::from(w) - mean) / sigma;
            magnitudes[Lcq::encode(&thresholds, u.abs() / alpha)] * sign(u) as i32
        };
        let mut levels: Vec<i32> =
            magnitudes[1..].iter().rev().map(|m| -m).chain(magnitudes.iter().copied()).collect();
        levels.dedup();
        Coded {
            codes: shadow.iter().map(code).collect(),
            scale: vec![(sigma * alpha / steps) as f32],
            levels,
        }
    }
}

/// -1, 0 or 1.
fn sign(x: f64) -> f64 {
    if x == 0.0 { 0.0 } else { x.signum() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const THETA: [f32; 4] = [0.8, 0.3, -0.2, -0.9];
    const W: [f32; 8] = [-1.8, -1.2, -0.7, -0.2, 0.05, 0.3, 0.9, 1.45];
    const G: [f32; 8] = [1.0, 0.5, -1.0, 2.0, -0.5, 1.0, -2.0, 1.0];

    /// As the worked examples have it: no outer grid, gradients as they are.
    fn plain(normalize: bool) -> Lcq {
        Lcq { outer: None, normalize, factor: 1.0, ..Lcq::new(3, 8, 4, StraightThrough::Paper) }
    }

    fn parameters(alpha: f32, theta: &[f32]) -> Vec<f32> {
        std::iter::once(alpha).chain(theta.iter().copied()).collect()
    }

    fn run(lcq: &Lcq, parameters: &[f32], w: &[f32], g: &[f32]) -> [Vec<f32>; 3] {
        let (mut out, mut grad) = (vec![0.0; w.len()], g.to_vec());
        let mut by_parameter = vec![0.0; parameters.len()];
        lcq.forward(parameters, w, None, &mut out);
        lcq.backward(parameters, w, &mut grad, &mut by_parameter);
        [out, grad, by_parameter]
    }

    fn near(found: &[f32], expected: &[f32]) {
        assert_eq!(found.len(), expected.len());
        assert!(found.iter().zip(expected).all(|(f, e)| (f - e).abs() < 3e-6), "{found:?}, {expected:?}");
    }

    #[test]
    fn the_signed_example_has_its_values() {
        let [out, grad, by] = run(&plain(false), &parameters(1.5, &THETA), &W, &G);
        near(&out, &[-1.5, -1.5, -0.645841, -0.269637, 0.0, 0.269637, 0.645841, 1.5]);
        near(&grad, &[0.0, 0.5, -1.0, 2.0, -0.5, 1.0, -2.0, 1.0]);
        near(&by, &[-0.860319, 0.187046, -0.128436, -0.166358, 0.107748]);
        let [out, _, by] = run(&plain(false), &parameters(1.5, &[0.0; 4]), &W, &G);
        near(&out, &[-1.5, -1.0, -0.5, 0.0, 0.0, 0.5, 1.0, 1.5]);
        near(&by, &[-0.75, -0.406250, 0.168750, 0.231250, 0.006250]);
    }

    #[test]
    fn the_normalized_example_has_its_values() {
        let w = [0.12, -0.05, 0.30, -0.22, 0.02, 0.08, -0.15, 0.06];
        let [out, grad, by] = run(&plain(true), &parameters(1.5, &THETA), &w, &G);
        near(&out, &[0.104994, -0.104994, 0.243853, -0.243853, 0.0, 0.043834, -0.243853, 0.043834]);
        near(&grad, &[0.555439, 0.173692, -0.569770, 1.791946, -0.875, 0.583264, -2.256747, 0.597176]);
        near(&by, &[-0.085792, 0.077836, 0.052234, -0.027816, -0.102254]);
    }

    #[test]
    fn levels_of_the_outer_grid_are_the_tables() {
        let lcq = Lcq { factor: 1.0, normalize: false, ..Lcq::new(3, 8, 4, StraightThrough::Paper) };
        let coded = lcq.code(&parameters(1.5, &THETA), &W);
        assert_eq!(coded.levels, [-127, -55, -23, 0, 23, 55, 127]);
        assert_eq!(coded.codes, [-127, -127, -55, -23, 0, 23, 55, 127]);
        let mut out = [0.0; 8];
        lcq.forward(&parameters(1.5, &THETA), &W, None, &mut out);
        let decoded: Vec<f32> = coded.codes.iter().map(|&q| q as f32 * coded.scale[0]).collect();
        near(&decoded, &out);
    }

    #[test]
    fn two_bits_are_minus_one_nothing_and_one() {
        let lcq = Lcq::new(2, 8, 16, StraightThrough::Paper);
        assert_eq!(lcq.len(), 1);
        let coded = lcq.code(&lcq.start(&W), &W);
        assert_eq!(coded.levels, [-1, 0, 1]);
    }

    #[test]
    fn equal_weights_are_not_normalized() {
        let lcq = Lcq::new(4, 3, 4, StraightThrough::Paper);
        let [out, grad, by] = run(&lcq, &parameters(1.0, &[0.0; 4]), &[0.5; 3], &[1.0; 3]);
        assert!(out.iter().chain(&grad).chain(&by).all(|x| x.is_finite()));
        assert!(out.iter().all(|x| (x - 0.5).abs() < 0.1), "{out:?}");
    }

    proptest! {
        #[test]
        fn scaling_and_shifting_the_weight_scales_what_the_network_sees(
            w in prop::collection::vec(-1f32..1.0, 8..40),
            factor in 0.5f32..4.0,
            shift in -1f32..1.0,
        ) {
            let lcq = Lcq::new(3, w.len(), 4, StraightThrough::Paper);
            let parameters = parameters(1.7, &THETA);
            let seen = |w: &[f32]| {
                let mut out = vec![0.0; w.len()];
                lcq.forward(&parameters, w, None, &mut out);
                out
            };
            let (plain, moved) = (seen(&w), seen(&w.iter().map(|w| w * factor + shift).collect::<Vec<_>>()));
            // A weight on a threshold may fall on either side.
            let off = plain.iter().zip(&moved).filter(|(p, m)| (**p * factor - **m).abs() > 1e-3).count();
            prop_assert!(off <= 1, "{plain:?} {moved:?}");
        }

        #[test]
        fn levels_are_fixed_points_and_signs_symmetric(u in -2f32..2.0) {
            let lcq = Lcq { normalize: false, ..Lcq::new(3, 1, 4, StraightThrough::Paper) };
            let parameters = parameters(1.5, &THETA);
            let at = |u: f32| {
                let mut out = [0.0];
                lcq.forward(&parameters, &[u], None, &mut out);
                out[0]
            };
            prop_assert_eq!(at(-u), -at(u));
            prop_assert_eq!(at(at(u)), at(u));
        }
    }
}
