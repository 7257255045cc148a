//! How gradients move parameters.

use serde::{Deserialize, Serialize};

/// The rule, with its constants.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "method", deny_unknown_fields)]
pub enum Optimizer {
    /// Gradient descent with momentum: `v ← μ·v + g`, `w ← w - η·v`, or `w - η·(g + μ·v)` if Nesterov.
    Sgd {
        /// μ.
        #[serde(default = "momentum")]
        momentum: f32,
        /// Whether the step looks ahead.
        #[serde(default = "yes")]
        nesterov: bool,
    },
    /// Kingma and Ba 2015.
    Adam {
        /// Decay of the mean.
        #[serde(default = "beta1")]
        beta1: f32,
        /// Decay of the mean square.
        #[serde(default = "beta2")]
        beta2: f32,
        /// Added to the root.
        #[serde(default = "epsilon")]
        epsilon: f32,
    },
}

fn momentum() -> f32 {
    0.9
}
fn yes() -> bool {
    true
}
fn beta1() -> f32 {
    0.9
}
fn beta2() -> f32 {
    0.999
}
fn epsilon() -> f32 {
    1e-8
}

impl Default for Optimizer {
    fn default() -> Optimizer {
        Optimizer::Sgd { momentum: momentum(), nesterov: true }
    }
}

impl Optimizer {
    /// Vectors that it keeps per parameter.
    pub fn memories(&self) -> usize {
        match self {
            Optimizer::Sgd { .. } => 1,
            Optimizer::Adam { .. } => 2,
        }
    }

    /// Moves `values` against `gradient`, to which `decay · values` is added first. `time` counts updates from 1 since
    /// the memories were zero.
    pub fn update(
        &self,
        rate: f32,
        decay: f32,
        time: u64,
        values: &mut [f32],
        gradient: &[f32],
        memories: &mut [Vec<f32>],
    ) {
        match (*self, memories) {
            (Optimizer::Sgd { momentum, nesterov }, [velocity]) => {
                for ((w, g), v) in values.iter_mut().zip(gradient).zip(velocity) {
                    let g = g + decay * *w;
                    *v = momentum * *v + g;
                    *w -= rate * if nesterov { g + momentum * *v } else { *v };
                }
            }
            (Optimizer::Adam { beta1, beta2, epsilon }, [mean, square]) => {
                let time = i32::try_from(time).unwrap_or(i32::MAX);
                let (one, two) = (1.0 - beta1.powi(time), 1.0 - beta2.powi(time));
                for (((w, g), m), s) in values.iter_mut().zip(gradient).zip(mean).zip(square) {
                    let g = g + decay * *w;
                    *m = beta1 * *m + (1.0 - beta1) * g;
                    *s = beta2 * *s + (1.0 - beta2) * g * g;
                    *w -= rate * (*m / one) / ((*s / two).sqrt() + epsilon);
                }
            }
            _ => unreachable!("memories are made by `memories`"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn momentum_carries_on_and_nesterov_looks_ahead() {
        // Two steps by hand: μ = 0.5, η = 0.1, g = 1.
        for (nesterov, expected) in [(false, [0.9, 0.75]), (true, [0.85, 0.675])] {
            let optimizer = Optimizer::Sgd { momentum: 0.5, nesterov };
            let (mut w, mut memory) = ([1.0], vec![vec![0.0]]);
            for (time, expected) in expected.into_iter().enumerate() {
                optimizer.update(0.1, 0.0, time as u64 + 1, &mut w, &[1.0], &mut memory);
                assert!((w[0] - expected).abs() < 1e-6, "{w:?} {expected}");
            }
        }
    }

    #[test]
    fn decay_pulls_towards_zero() {
        let optimizer = Optimizer::Sgd { momentum: 0.0, nesterov: false };
        let mut w = [2.0];
        optimizer.update(0.1, 0.5, 1, &mut w, &[0.0], &mut [vec![0.0]]);
        assert_eq!(w, [1.9]);
    }

    #[test]
    fn adam_moves_by_the_rate_at_first_whatever_the_gradient() {
        let optimizer = Optimizer::Adam { beta1: 0.9, beta2: 0.999, epsilon: 1e-8 };
        for g in [1e-3, 5.0] {
            let mut w = [1.0];
            optimizer.update(0.01, 0.0, 1, &mut w, &[g], &mut [vec![0.0], vec![0.0]]);
            assert!((w[0] - 0.99).abs() < 1e-5, "{w:?}");
        }
    }
}
