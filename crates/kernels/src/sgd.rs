//! Stochastic gradient descent with momentum, one fused step over a slice, as PyTorch defines it.

pub mod reference;

use crate::Isa;
use crate::simd::{Kernel, Simd};

/// What a step needs beside its tensors.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sgd {
    /// Step length.
    pub learning_rate: f32,
    /// How much of its velocity a parameter keeps, in 0..1; 0 is plain descent.
    pub momentum: f32,
    /// Times the parameter, added to its gradient.
    pub weight_decay: f32,
    /// Whether the gradient is looked at one step ahead (Nesterov).
    pub nesterov: bool,
}

impl Sgd {
    /// Moves `parameters` against `gradients`, and `velocity` (zeros before the first step) along.
    ///
    /// `g += decay·p`, `v = momentum·v + g`, `p -= rate·v`, or with Nesterov `p -= rate·(g + momentum·v)`.
    ///
    /// # Panics
    /// The lengths differ.
    pub fn step(&self, isa: Isa, parameters: &mut [f32], gradients: &[f32], velocity: &mut [f32]) {
        assert_eq!([gradients.len(), velocity.len()], [parameters.len(); 2], "gradients and velocity");
        isa.run(Step { sgd: *self, parameters, gradients, velocity });
    }
}

struct Step<'a> {
    sgd: Sgd,
    parameters: &'a mut [f32],
    gradients: &'a [f32],
    velocity: &'a mut [f32],
}

impl Kernel for Step<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let Sgd { learning_rate, momentum, weight_decay, nesterov } = self.sgd;
        let [back, momentum, decay] = [-learning_rate, momentum, weight_decay].map(|x| s.splat(x));
        for at in (0..self.parameters.len()).step_by(S::LANES) {
            let parameter = s.read(&self.parameters[at..]);
            let gradient = s.fma(decay, parameter, s.read(&self.gradients[at..]));
            let velocity = s.fma(momentum, s.read(&self.velocity[at..]), gradient);
            let direction = if nesterov { s.fma(momentum, velocity, gradient) } else { velocity };
            s.write(&mut self.velocity[at..], velocity);
            s.write(&mut self.parameters[at..], s.fma(back, direction, parameter));
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::testing::{assert_close, noise};

    #[test]
    fn velocity_gathers_and_nesterov_looks_ahead() {
        for isa in Isa::supported() {
            let plain = Sgd { learning_rate: 0.1, momentum: 0.5, weight_decay: 0.0, nesterov: false };
            let ahead = Sgd { nesterov: true, ..plain };
            let (mut p, mut v) = ([1.0], [0.0]);
            (0..2).for_each(|_| plain.step(isa, &mut p, &[1.0], &mut v));
            assert_close(&[p[0], v[0]], &[0.75, 1.5], |_| 1e-6, isa);
            let (mut p, mut v) = ([1.0], [0.0]);
            (0..2).for_each(|_| ahead.step(isa, &mut p, &[1.0], &mut v));
            assert_close(&[p[0], v[0]], &[1.0 - 0.15 - 0.175, 1.5], |_| 1e-6, isa);
        }
    }

    proptest! {
        #[test]
        fn every_instruction_set_agrees_with_the_reference(len in 0usize..70, nesterov: bool, seed: u64) {
            let sgd = Sgd { learning_rate: 0.1, momentum: 0.9, weight_decay: 0.01, nesterov };
            let [p, g, v] = [0, 1, 2].map(|i| noise(len, seed ^ i));
            let want: Vec<[f32; 2]> =
                (0..len).map(|i| reference::step(&sgd, p[i], g[i], v[i])).collect();
            for isa in Isa::supported() {
                let (mut p, mut v) = (p.clone(), v.clone());
                sgd.step(isa, &mut p, &g, &mut v);
                for (which, got) in [p, v].iter().enumerate() {
                    let want: Vec<f32> = want.iter().map(|w| w[which]).collect();
                    assert_close(got, &want, |_| 1e-6, (isa, which));
                }
            }
        }
    }
}
