//! Stochastic quantization: in each step only some filters of a layer are quantized, rather those that lose little
//! (Dong et al. 2017).
//!
//! The share `r` that is quantized rises in stages to 1. Filters are drawn by a roulette without replacement, either as
//! the paper has it (the quantized ones, with a weight that falls with the error) or as its code has it (the float ones,
//! with a weight equal to the error). The gradient is that of what the network saw, for both kinds.

use super::binary::Filters;
use super::{Coded, WeightQuantizer};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use serde::{Deserialize, Serialize};

/// The randomness and the ratio of one forward pass of one layer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Draw {
    /// Share of the filters that is quantized, 0 to 1.
    pub ratio: f64,
    /// Of the run.
    pub seed: u64,
    /// Step of the run.
    pub step: u64,
    /// Layer of the network.
    pub layer: u64,
}

/// Which filters the roulette draws.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Form {
    /// Those that stay float, with their error as weight: what the authors ran.
    #[default]
    Code,
    /// Those that are quantized, with a weight of [`Probability`].
    Paper,
}

/// Weight of a filter in the paper's form, with `f = 1/(e + 1e-7)`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Probability {
    /// All the same.
    Constant,
    /// `f`.
    #[default]
    Linear,
    /// `exp(f)`.
    Softmax,
    /// `1/(1 + exp(-f))`.
    Sigmoid,
}

/// What is drawn.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Unit {
    /// Whole filters.
    #[default]
    Channel,
    /// Single weights.
    Element,
}

/// A quantizer of filters, for a share of them at a time.
#[derive(Debug)]
pub struct Stochastic<Q> {
    inner: Q,
    filter: usize,
    form: Form,
    probability: Probability,
    unit: Unit,
}

impl<Q> Stochastic<Q> {
    /// Wraps a quantizer whose filters have `filter` weights.
    pub fn new(inner: Q, filter: usize, form: Form, probability: Probability, unit: Unit) -> Stochastic<Q> {
        Stochastic { inner, filter, form, probability, unit }
    }

    /// Which units are quantized: exactly `m - floor((1 - r)·m)` of m (the code's count), `r·m` in the paper's form.
    fn selected(&self, errors: &[f64], draw: Draw) -> Vec<bool> {
        let m = errors.len();
        let mut rng = ChaCha8Rng::seed_from_u64(draw.seed);
        rng.set_stream(draw.layer);
        // A step draws less than 2^24 numbers per layer of filters; words of 32 bits.
        rng.set_word_pos(u128::from(draw.step) << 32);
        let mut next = move || (rng.next_u64() >> 11) as f64 / (1u64 << 53) as f64;
        match self.form {
            Form::Code => {
                let float = ((1.0 - draw.ratio) * m as f64).floor() as usize;
                let mut selected = vec![true; m];
                for i in roulette(errors.to_vec(), float, &mut next) {
                    selected[i] = false;
                }
                selected
            }
            Form::Paper => {
                let quantized = (draw.ratio * m as f64).floor() as usize;
                let mut selected = vec![false; m];
                for i in roulette(weights(errors, self.probability), quantized, &mut next) {
                    selected[i] = true;
                }
                selected
            }
        }
    }
}

/// Relative error of each unit: `‖W - Q‖₁/‖W‖₁`, 0 where the weight is 0.
fn errors(shadow: &[f32], quantized: &[f32], len: usize) -> Vec<f64> {
    let l1 = |values: &mut dyn Iterator<Item = f64>| values.map(f64::abs).sum::<f64>();
    let units = shadow.chunks(len).zip(quantized.chunks(len));
    units
        .map(|(w, q)| {
            let size = l1(&mut w.iter().map(|&w| f64::from(w)));
            let lost = l1(&mut w.iter().zip(q).map(|(&w, &q)| f64::from(w) - f64::from(q)));
            if size > 0.0 { lost / size } else { 0.0 }
        })
        .collect()
}

/// Weights of the paper's roulette; their sum is 1.
fn weights(errors: &[f64], probability: Probability) -> Vec<f64> {
    let f: Vec<f64> = errors.iter().map(|e| 1.0 / (e + 1e-7)).collect();
    let largest = f.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let raw: Vec<f64> = match probability {
        Probability::Constant => vec![1.0; f.len()],
        Probability::Linear => f,
        // f can be 1e7: only differences count.
        Probability::Softmax => f.iter().map(|f| libm::exp(f - largest)).collect(),
        Probability::Sigmoid => f.iter().map(|f| 1.0 / (1.0 + libm::exp(-f))).collect(),
    };
    let sum: f64 = raw.iter().sum();
    raw.into_iter().map(|p| p / sum).collect()
}

/// Draws `count` places without repetition, each with a probability proportional to its weight among those left. Places
/// of weight 0 are not drawn: fewer may come back. `next` gives numbers in `[0, 1)`.
fn roulette(mut weights: Vec<f64>, count: usize, next: &mut impl FnMut() -> f64) -> Vec<usize> {
    let mut drawn = Vec::with_capacity(count);
    for _ in 0..count {
        // Summed anew each time: a running difference drifts, and a draw could then fall off the end.
        let sum: f64 = weights.iter().sum();
        if sum.is_nan() || sum <= 0.0 {
            break;
        }
        // From (0, 1]: a place of weight 0 is never reached first.
        let target = (1.0 - next()) * sum;
        let mut reached = 0.0;
        let hit = weights.iter().position(|w| {
            reached += w;
            *w > 0.0 && reached >= target
        });
        // Rounding may leave the last sum below the target.
        let Some(hit) = hit.or_else(|| weights.iter().rposition(|w| *w > 0.0)) else { break };
        weights[hit] = 0.0;
        drawn.push(hit);
    }
    drawn
}

impl<Q: WeightQuantizer + Filters> WeightQuantizer for Stochastic<Q> {
    fn len(&self) -> usize {
        self.inner.len()
    }

    fn start(&self, shadow: &[f32]) -> Vec<f32> {
        self.inner.start(shadow)
    }

    fn forward(&self, parameters: &[f32], shadow: &[f32], draw: Option<Draw>, out: &mut [f32]) {
        self.inner.forward(parameters, shadow, None, out);
        let Some(draw) = draw.filter(|draw| draw.ratio < 1.0) else { return };
        let len = if self.unit == Unit::Channel { self.filter } else { 1 };
        let selected = self.selected(&errors(shadow, out, len), draw);
        let units = out.chunks_mut(len).zip(shadow.chunks(len)).zip(selected);
        for ((out, shadow), _) in units.filter(|(_, selected)| !selected) {
            out.copy_from_slice(shadow);
        }
    }

    fn backward(&self, parameters: &[f32], shadow: &[f32], grad: &mut [f32], by: &mut [f32]) {
        self.inner.backward(parameters, shadow, grad, by);
    }

    fn code(&self, parameters: &[f32], shadow: &[f32]) -> Coded {
        self.inner.code(parameters, shadow)
    }
}

#[cfg(test)]
mod tests {
    use super::super::binary::tests::W;
    use super::super::{Binary, Ternary, Threshold};
    use super::*;
    use proptest::prelude::*;

    const TWN: Ternary = Ternary { filter: 4, threshold: Threshold::LayerCentered };

    fn errors_of(quantizer: &dyn WeightQuantizer) -> Vec<f64> {
        let mut out = [0.0; 16];
        quantizer.forward(&[], &W, None, &mut out);
        errors(&W, &out, 4)
    }

    fn near(found: &[f64], expected: &[f64], by: f64) {
        assert_eq!(found.len(), expected.len());
        assert!(found.iter().zip(expected).all(|(f, e)| (f - e).abs() < by), "{found:?}, {expected:?}");
    }

    #[test]
    fn errors_and_probabilities_are_the_worked_ones() {
        let (bwn, twn) = (errors_of(&Binary { filter: 4 }), errors_of(&TWN));
        near(&bwn, &[0.117647, 0.676471, 0.083333, 0.785714], 1e-6);
        near(&twn, &[0.117647, 0.411765, 0.263889, 0.285714], 1e-6);
        near(&weights(&bwn, Probability::Linear), &[0.365576, 0.063578, 0.516107, 0.054739], 1e-6);
        near(&weights(&bwn, Probability::Softmax), &[0.029311, 0.000026, 0.970642, 0.000021], 1e-6);
        near(&weights(&bwn, Probability::Sigmoid), &[0.278084, 0.226492, 0.278138, 0.217286], 1e-6);
        near(&weights(&twn, Probability::Linear), &[0.466570, 0.133306, 0.208007, 0.192117], 1e-6);
        near(&weights(&twn, Probability::Constant), &[0.25; 4], 1e-12);
    }

    /// Draws given from outside, as numbers u in (0, 1].
    fn given(draws: &[f64]) -> impl FnMut() -> f64 {
        let mut draws = draws.iter();
        move || 1.0 - draws.next().unwrap()
    }

    #[test]
    fn the_roulette_trace_is_the_worked_one() {
        let (bwn, twn) = (errors_of(&Binary { filter: 4 }), errors_of(&TWN));
        let u = [0.30, 0.80];
        assert_eq!(roulette(weights(&twn, Probability::Linear), 2, &mut given(&u)), [0, 3]);
        assert_eq!(roulette(twn, 2, &mut given(&u)), [1, 3]);
        assert_eq!(roulette(weights(&bwn, Probability::Linear), 2, &mut given(&u)), [0, 2]);
        assert_eq!(roulette(bwn, 2, &mut given(&u)), [1, 3]);
    }

    #[test]
    fn filters_are_drawn_as_often_as_the_sums_say() {
        type Case = (Form, f64, [f64; 4]);
        let bwn: [Case; 4] = [
            (Form::Paper, 0.5, [0.801480, 0.171707, 0.878433, 0.148380]),
            (Form::Paper, 0.75, [0.969198, 0.559896, 0.985258, 0.485648]),
            (Form::Code, 0.5, [0.813694, 0.176634, 0.866862, 0.142810]),
            (Form::Code, 0.75, [0.929263, 0.593263, 0.949895, 0.527579]),
        ];
        let errors = errors_of(&Binary { filter: 4 });
        let draws = 20_000;
        for (form, ratio, expected) in bwn {
            let layer = Stochastic::new(Binary { filter: 4 }, 4, form, Probability::Linear, Unit::Channel);
            let mut counts = [0.0; 4];
            for step in 0..draws {
                let selected = layer.selected(&errors, Draw { ratio, seed: 1, step, layer: 0 });
                assert_eq!(selected.iter().filter(|s| **s).count() as f64, ratio * 4.0);
                counts.iter_mut().zip(selected).for_each(|(c, s)| *c += f64::from(u8::from(s)));
            }
            // Four standard errors at most.
            near(&counts.map(|c| c / draws as f64), &expected, 4.0 * 0.5 / (draws as f64).sqrt());
        }
    }

    #[test]
    fn a_hybrid_layer_shows_quantized_and_float_rows() {
        let layer = Stochastic::new(TWN, 4, Form::Code, Probability::Linear, Unit::Channel);
        let draw = |ratio| Some(Draw { ratio, seed: 3, step: 5, layer: 1 });
        let (mut half, mut whole, mut none) = ([0.0; 16], [0.0; 16], [0.0; 16]);
        layer.forward(&[], &W, draw(0.5), &mut half);
        layer.forward(&[], &W, draw(1.0), &mut whole);
        layer.forward(&[], &W, draw(0.0), &mut none);
        assert_eq!(none, W);
        let mut plain = [0.0; 16];
        layer.forward(&[], &W, None, &mut plain);
        assert_eq!(whole, plain);
        let rows = half.chunks(4).zip(W.chunks(4)).zip(plain.chunks(4));
        let kinds: Vec<bool> = rows
            .map(|((h, w), q)| {
                h == q && h != w || {
                    assert_eq!(h, w);
                    false
                }
            })
            .collect();
        assert_eq!(kinds.iter().filter(|quantized| **quantized).count(), 2);
    }

    #[test]
    fn the_ends_of_the_random_numbers_are_safe() {
        for u in [0.0, 1.0 - f64::EPSILON] {
            assert_eq!(roulette(vec![0.2, 0.0, 0.3], 3, &mut || u).len(), 2);
        }
        assert!(roulette(vec![0.0; 3], 2, &mut || 0.5).is_empty());
    }

    proptest! {
        #[test]
        fn as_many_are_quantized_as_the_ratio_says_and_the_seed_decides_which(
            m in 1usize..40,
            ratio in 0.0..=1.0,
            seed: u64,
            element: bool,
        ) {
            let w: Vec<f32> = (0..4 * m).map(|i| ((i * 37 % 23) as f32 - 11.3) / 9.0).collect();
            let unit = if element { Unit::Element } else { Unit::Channel };
            let layer = Stochastic::new(Binary { filter: 4 }, 4, Form::Code, Probability::Linear, unit);
            let draw = Draw { ratio, seed, step: 2, layer: 7 };
            let mut errors = vec![0.5; m];
            errors[0] = 0.1;
            let selected = layer.selected(&errors, draw);
            let float = ((1.0 - ratio) * m as f64).floor() as usize;
            prop_assert_eq!(selected.iter().filter(|s| !**s).count(), float);
            prop_assert_eq!(&selected, &layer.selected(&errors, draw));
            let mut out = vec![0.0; w.len()];
            layer.forward(&[], &w, Some(draw), &mut out);
            prop_assert!(out.iter().all(|x| x.is_finite()));
        }
    }
}
