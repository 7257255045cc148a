//! How gradients move parameters.

use lowbit_kernels::{Adam, Isa, Sgd};
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
        beta1: f64,
        /// Decay of the mean square.
        #[serde(default = "beta2")]
        beta2: f64,
        /// Added to the root.
        #[serde(default = "epsilon")]
        epsilon: f64,
    },
}

fn momentum() -> f32 {
    0.9
}
fn yes() -> bool {
    true
}
fn beta1() -> f64 {
    0.9
}
fn beta2() -> f64 {
    0.999
}
fn epsilon() -> f64 {
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

    /// Moves `values` against `gradient`, to which `decay · values` is added first (it may be used up). `time` counts updates from 1 since
    /// the memories were zero.
    pub fn update(
        &self,
        isa: Isa,
        [rate, decay]: [f64; 2],
        time: u64,
        values: &mut [f32],
        gradient: &mut [f32],
        memories: &mut [Vec<f32>],
    ) {
        match (*self, memories) {
            (Optimizer::Sgd { momentum, nesterov }, [velocity]) => {
                let (learning_rate, weight_decay) = (rate as f32, decay as f32);
                Sgd { learning_rate, momentum, weight_decay, nesterov }.step(isa, values, gradient, velocity);
            }
            (Optimizer::Adam { beta1, beta2, epsilon }, [mean, square]) => {
                gradient.iter_mut().zip(&*values).for_each(|(g, w)| *g += decay as f32 * w);
                let adam = Adam { learning_rate: rate, betas: [beta1, beta2], epsilon };
                let time = u32::try_from(time).unwrap_or(u32::MAX);
                adam.step(isa, time, values, gradient, [mean, square]);
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
                optimizer.update(Isa::best(), [0.1, 0.0], time as u64 + 1, &mut w, &mut [1.0], &mut memory);
                assert!((w[0] - expected).abs() < 1e-6, "{w:?} {expected}");
            }
        }
    }

    #[test]
    fn decay_pulls_towards_zero() {
        let optimizer = Optimizer::Sgd { momentum: 0.0, nesterov: false };
        let mut w = [2.0];
        optimizer.update(Isa::best(), [0.1, 0.5], 1, &mut w, &mut [0.0], &mut [vec![0.0]]);
        assert_eq!(w, [1.9]);
    }

    #[test]
    fn adam_moves_by_the_rate_at_first_whatever_the_gradient() {
        let optimizer = Optimizer::Adam { beta1: 0.9, beta2: 0.999, epsilon: 1e-8 };
        for g in [1e-3, 5.0] {
            let mut w = [1.0];
            optimizer.update(Isa::best(), [0.01, 0.0], 1, &mut w, &mut [g], &mut [vec![0.0], vec![0.0]]);
            assert!((w[0] - 0.99).abs() < 1e-5, "{w:?}");
        }
    }
}
