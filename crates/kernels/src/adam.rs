//! Adam (Kingma and Ba 2015, arXiv 1412.6980), one fused step over a slice, as PyTorch defines it.

pub mod reference;

use crate::Isa;
use crate::simd::{Kernel, Simd};

/// What a step needs beside its tensors.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Adam {
    /// Step length.
    pub learning_rate: f64,
    /// How much of the averages of the gradient and of its square a step keeps, each in 0..1.
    pub betas: [f64; 2],
    /// Added to the root of the second average, after its correction.
    pub epsilon: f64,
}

impl Default for Adam {
    fn default() -> Adam {
        Adam { learning_rate: 1e-3, betas: [0.9, 0.999], epsilon: 1e-8 }
    }
}

impl Adam {
    /// Step number `t`, from 1: moves `parameters` against `gradients`, and the two averages `first` and `second` (zeros
    /// before step 1) along.
    ///
    /// `first = β₁·first + (1-β₁)·g`, `second = β₂·second + (1-β₂)·g²`,
    /// `p -= rate/(1-β₁ᵗ) · first / (√second/√(1-β₂ᵗ) + ε)`.
    ///
    /// # Panics
    /// The lengths differ, or `t` is 0.
    pub fn step(
        &self,
        isa: Isa,
        t: u32,
        parameters: &mut [f32],
        gradients: &[f32],
        [first, second]: [&mut [f32]; 2],
    ) {
        assert!(t > 0, "steps count from 1");
        let lengths = [gradients.len(), first.len(), second.len()];
        assert_eq!(lengths, [parameters.len(); 3], "gradients and averages");
        let [step, root] = self.corrected(t);
        isa.run(Step { adam: *self, step, root, parameters, gradients, first, second });
    }

    /// `rate/(1-β₁ᵗ)` and `√(1-β₂ᵗ)`.
    fn corrected(&self, t: u32) -> [f64; 2] {
        let [first, second] = self.betas.map(|beta| 1.0 - beta.powf(f64::from(t)));
        [self.learning_rate / first, second.sqrt()]
    }
}

struct Step<'a> {
    adam: Adam,
    step: f64,
    root: f64,
    parameters: &'a mut [f32],
    gradients: &'a [f32],
    first: &'a mut [f32],
    second: &'a mut [f32],
}

impl Kernel for Step<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let [keep_first, keep_second] = self.adam.betas.map(|beta| s.splat(beta as f32));
        let [take_first, take_second] = self.adam.betas.map(|beta| s.splat((1.0 - beta) as f32));
        let [step, unroot, epsilon] =
            [-self.step, 1.0 / self.root, self.adam.epsilon].map(|x| s.splat(x as f32));
        for at in (0..self.parameters.len()).step_by(S::LANES) {
            let gradient = s.read(&self.gradients[at..]);
            let first = s.fma(keep_first, s.read(&self.first[at..]), s.mul(take_first, gradient));
            let square = s.mul(s.mul(take_second, gradient), gradient);
            let second = s.fma(keep_second, s.read(&self.second[at..]), square);
            let size = s.fma(s.sqrt(second), unroot, epsilon);
            let moved = s.fma(step, s.div(first, size), s.read(&self.parameters[at..]));
            s.write(&mut self.first[at..], first);
            s.write(&mut self.second[at..], second);
            s.write(&mut self.parameters[at..], moved);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::testing::{assert_close, noise};

    #[test]
    fn the_first_step_is_the_learning_rate_whatever_the_size_of_the_gradient() {
        for isa in Isa::supported() {
            let (mut p, mut first, mut second) = ([1.0; 3], [0.0; 3], [0.0; 3]);
            Adam::default().step(isa, 1, &mut p, &[1e-4, -3.0, 0.0], [&mut first, &mut second]);
            assert_close(&p, &[0.999, 1.001, 1.0], |_| 2e-7, isa);
        }
    }

    /// The published definition in scalar f64, ten steps of the gradients 0.1, 0.2, .. on one parameter.
    #[test]
    fn steps_follow_the_definition() {
        let adam = Adam { learning_rate: 0.01, ..Adam::default() };
        let [mut p, mut m, mut v] = [0.5f64, 0.0, 0.0];
        for t in 1..=10 {
            let g = 0.1 * f64::from(t);
            m = 0.9 * m + 0.1 * g;
            v = 0.999 * v + 0.001 * g * g;
            p -= 0.01 * (m / (1.0 - 0.9f64.powi(t))) / ((v / (1.0 - 0.999f64.powi(t))).sqrt() + 1e-8);
        }
        for isa in Isa::supported() {
            let (mut got, mut first, mut second) = ([0.5f32], [0.0], [0.0]);
            (1..=10).for_each(|t| adam.step(isa, t, &mut got, &[0.1 * t as f32], [&mut first, &mut second]));
            assert!((f64::from(got[0]) - p).abs() < 1e-6, "{isa}: {got:?}, not {p}");
        }
    }

    proptest! {
        #[test]
        fn every_instruction_set_agrees_with_the_reference(len in 0usize..70, t in 1u32..30_000, seed: u64) {
            let adam = Adam { learning_rate: 0.1, betas: [0.8, 0.99], epsilon: 1e-3 };
            let tensors: [Vec<f32>; 3] = [0, 1, 2].map(|i| noise(len, seed ^ i));
            let second: Vec<f32> = noise(len, seed ^ 3).iter().map(|x| x.abs()).collect();
            let want: Vec<[f32; 3]> = (0..len)
                .map(|i| reference::step(&adam, t, tensors[0][i], tensors[1][i], [tensors[2][i], second[i]]))
                .collect();
            for isa in Isa::supported() {
                let [mut p, g, mut m] = tensors.clone();
                let mut v = second.clone();
                adam.step(isa, t, &mut p, &g, [&mut m, &mut v]);
                for (which, got) in [p, m, v].iter().enumerate() {
                    let want: Vec<f32> = want.iter().map(|w| w[which]).collect();
                    assert_close(got, &want, |_| 2e-6, (isa, which));
                }
            }
        }
    }
}
