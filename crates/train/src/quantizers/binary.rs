//! Weights of one bit (BWN, Rastegari et al. 2016) and of three values (TWN, Li et al. 2016), with a scale per filter.
//!
//! BWN: `Q = α·sign(W)`, `α_i = mean_j |W_ij|`. TWN: `Q = α·T`, `T = sign(W)` where `|W| > Δ`, else 0, with `Δ` 0.7 times
//! a mean magnitude and `α_i` the mean of `|W_ij|` over the non-zero positions. Neither learns anything but the weight,
//! whose gradient is that of what the network saw.

use super::{Coded, Draw, WeightQuantizer};
use serde::{Deserialize, Serialize};

/// Writes the values of the code of all filters, and gives each filter's scale. Filters are equally long and follow one
/// another.
pub(super) trait Filters: Send + Sync {
    /// Signs (-1, 0, 1) of all weights, and the scale of each filter of `len` weights.
    fn signs(&self, shadow: &[f32], len: usize) -> (Vec<i8>, Vec<f32>);

    /// The integers that a code can be.
    fn levels(&self) -> Vec<i32>;
}

/// BWN for filters of so many weights.
#[derive(Clone, Copy, Debug)]
pub struct Binary {
    /// Weights of a filter.
    pub filter: usize,
}

/// TWN for filters of so many weights.
#[derive(Clone, Copy, Debug)]
pub struct Ternary {
    /// Weights of a filter.
    pub filter: usize,
    /// Whose mean makes the threshold.
    pub threshold: Threshold,
}

/// `Δ = 0.7·mean(…)` of what.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Threshold {
    /// `|W - mean(W)|` over the layer, compared with the weights as they are: the code of stochastic quantization.
    #[default]
    LayerCentered,
    /// `|W|` over the layer: the paper on TWN.
    Layer,
    /// `|W|` over the filter.
    Filter,
}

/// Mean of some numbers in f64; 0 of none.
fn mean(values: impl Iterator<Item = f64>) -> f64 {
    let (sum, n) = values.fold((0.0, 0usize), |(sum, n), x| (sum + x, n + 1));
    if n == 0 { 0.0 } else { sum / n as f64 }
}

fn magnitudes(values: &[f32]) -> impl Iterator<Item = f64> {
    values.iter().map(|w| f64::from(w.abs()))
}

impl Filters for Binary {
    fn signs(&self, shadow: &[f32], len: usize) -> (Vec<i8>, Vec<f32>) {
        let signs = shadow.iter().map(|w| if *w < 0.0 { -1 } else { 1 }).collect();
        (signs, shadow.chunks(len).map(|filter| mean(magnitudes(filter)) as f32).collect())
    }

    fn levels(&self) -> Vec<i32> {
        vec![-1, 1]
    }
}

impl Filters for Ternary {
    fn signs(&self, shadow: &[f32], len: usize) -> (Vec<i8>, Vec<f32>) {
        let layer = match self.threshold {
            Threshold::LayerCentered => {
                let middle = mean(shadow.iter().map(|&w| f64::from(w)));
                mean(shadow.iter().map(|&w| (f64::from(w) - middle).abs()))
            }
            Threshold::Layer => mean(magnitudes(shadow)),
            Threshold::Filter => 0.0,
        };
        let mut signs = Vec::with_capacity(shadow.len());
        let scale = |filter: &[f32]| {
            let base = if self.threshold == Threshold::Filter { mean(magnitudes(filter)) } else { layer };
            let delta = 0.7 * base;
            signs.extend(filter.iter().map(|&w| match f64::from(w) {
                w if w > delta => 1i8,
                w if w < -delta => -1,
                _ => 0,
            }));
            mean(magnitudes(filter).filter(|w| *w > delta)) as f32
        };
        let scales = shadow.chunks(len).map(scale).collect();
        (signs, scales)
    }

    fn levels(&self) -> Vec<i32> {
        vec![-1, 0, 1]
    }
}

/// What is common to both: no parameters, straight through.
macro_rules! quantizer {
    ($name:ty) => {
        impl WeightQuantizer for $name {
            fn len(&self) -> usize {
                0
            }

            fn start(&self, _shadow: &[f32]) -> Vec<f32> {
                Vec::new()
            }

            fn forward(&self, _parameters: &[f32], shadow: &[f32], _draw: Option<Draw>, out: &mut [f32]) {
                let (signs, scales) = self.signs(shadow, self.filter);
                let filters = out.chunks_mut(self.filter).zip(signs.chunks(self.filter));
                for ((out, signs), scale) in filters.zip(scales) {
                    out.iter_mut().zip(signs).for_each(|(out, s)| *out = f32::from(*s) * scale);
                }
            }

            fn backward(&self, _parameters: &[f32], _shadow: &[f32], _grad: &mut [f32], _by: &mut [f32]) {}

            fn code(&self, _parameters: &[f32], shadow: &[f32]) -> Coded {
                let (signs, scales) = self.signs(shadow, self.filter);
                // A filter without any weight left still needs a scale that divides.
                let scale = scales.into_iter().map(|s| if s > 0.0 { s } else { 1.0 }).collect();
                Coded { codes: signs.into_iter().map(i32::from).collect(), scale, levels: self.levels() }
            }
        }
    };
}

quantizer!(Binary);
quantizer!(Ternary);

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The specification's layer: four filters of four weights.
    pub(in crate::quantizers) const W: [f32; 16] =
        [0.9, -0.8, 1.0, -0.7, 0.5, -0.1, 0.05, -0.2, -0.3, 0.35, -0.25, 0.3, 0.02, -0.6, 0.1, 0.4];

    fn near(found: &[f32], expected: &[f32]) {
        assert_eq!(found.len(), expected.len());
        assert!(found.iter().zip(expected).all(|(f, e)| (f - e).abs() < 2e-6), "{found:?}, {expected:?}");
    }

    #[test]
    fn the_worked_examples_have_their_values() {
        let (signs, scales) = Binary { filter: 4 }.signs(&W, 4);
        assert_eq!(signs[4..8], [1, -1, 1, -1]);
        near(&scales, &[0.85, 0.2125, 0.3, 0.28]);
        for threshold in [Threshold::LayerCentered, Threshold::Layer] {
            let (signs, scales) = Ternary { filter: 4, threshold }.signs(&W, 4);
            assert_eq!(signs, [1, -1, 1, -1, 1, 0, 0, 0, -1, 1, 0, 1, 0, -1, 0, 1]);
            near(&scales, &[0.85, 0.5, 0.316667, 0.5]);
        }
        let (_, scales) = Ternary { filter: 4, threshold: Threshold::Filter }.signs(&W, 4);
        near(&scales, &[0.85, 0.35, 0.3, 0.5]);
    }

    #[test]
    fn zero_is_positive_for_one_bit_and_zero_for_three_values() {
        let mut out = [9.0; 2];
        Binary { filter: 2 }.forward(&[], &[0.0, -1.0], None, &mut out);
        assert_eq!(out, [0.5, -0.5]);
        let ternary = Ternary { filter: 2, threshold: Threshold::Layer };
        ternary.forward(&[], &[0.0, 0.0], None, &mut out);
        assert_eq!(out, [0.0, 0.0]);
        assert_eq!(ternary.code(&[], &[0.0, 0.0]).scale, [1.0]);
    }

    proptest! {
        #[test]
        fn scales_are_those_of_least_squares(w in prop::collection::vec(-1f32..1.0, 12)) {
            // The error is orthogonal to the signs: <W - Q, T> = 0.
            let all: [(&dyn WeightQuantizer, &dyn Filters); 2] = [
                (&Binary { filter: 4 }, &Binary { filter: 4 }),
                (&Ternary { filter: 4, threshold: Threshold::Filter }, &Ternary { filter: 4, threshold: Threshold::Filter }),
            ];
            for (quantizer, filters) in all {
                let (signs, _) = filters.signs(&w, 4);
                let mut out = vec![0.0; 12];
                quantizer.forward(&[], &w, None, &mut out);
                for i in 0..3 {
                    let dot: f32 = (4 * i..4 * i + 4).map(|j| (w[j] - out[j]) * f32::from(signs[j])).sum();
                    prop_assert!(dot.abs() < 1e-5);
                }
                let coded = quantizer.code(&[], &w);
                let decoded: Vec<f32> = (0..12).map(|j| coded.codes[j] as f32 * coded.scale[j / 4]).collect();
                prop_assert!(decoded.iter().zip(&out).all(|(d, o)| (d - o).abs() < 1e-6));
            }
        }
    }
}
