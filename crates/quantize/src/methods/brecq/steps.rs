//! The step size of a rounded edge as something that is learned.

use crate::method::MethodError;
use lowbit_engine::{Differentiable, Parameter};
use lowbit_graph::ValueId;

/// An edge whose step is learned.
#[derive(Clone, Copy, Debug)]
pub(super) struct Edge {
    /// Place among the activation sites.
    pub(super) site: usize,
    /// What its rounding computes.
    pub(super) rounded: ValueId,
    /// The step size.
    pub(super) step: f32,
}

impl Edge {
    /// The step as a parameter of the simulated network.
    pub(super) fn parameter(&self) -> Parameter {
        Parameter::Step(self.rounded)
    }
}

/// The steps of a block on their way, in f64, with Adam's averages.
pub(super) struct Steps {
    pub(super) edges: Vec<Edge>,
    now: Vec<f64>,
    averages: Vec<[f64; 2]>,
}

impl Steps {
    pub(super) fn new(edges: Vec<Edge>) -> Steps {
        let now = edges.iter().map(|edge| f64::from(edge.step)).collect();
        Steps { averages: vec![[0.0; 2]; edges.len()], now, edges }
    }

    /// Gives the network the steps as they are now; its parameters from `first` on are these.
    pub(super) fn show(&self, network: &mut Differentiable, first: usize) -> Result<(), MethodError> {
        self.now.iter().enumerate().try_for_each(|(i, &step)| Ok(network.set(first + i, &[step as f32])?))
    }

    /// Adam's step number `t`, from 1.
    pub(super) fn update(&mut self, gradients: &[Vec<f32>], rate: f64, t: i32) {
        const B1: f64 = 0.9;
        const B2: f64 = 0.999;
        const EPSILON: f64 = 1e-8;
        for (i, gradient) in gradients.iter().enumerate() {
            let g = f64::from(gradient[0]);
            let [first, second] = &mut self.averages[i];
            *first = B1 * *first + (1.0 - B1) * g;
            *second = B2 * *second + (1.0 - B2) * g * g;
            let (first, second) = (*first / (1.0 - B1.powi(t)), *second / (1.0 - B2.powi(t)));
            // A step of nothing has no gradient that would lead back.
            let least = 0.01 * f64::from(self.edges[i].step);
            self.now[i] = (self.now[i] - rate * first / (second.sqrt() + EPSILON)).max(least);
        }
    }

    /// Back to where they began.
    pub(super) fn reset(&mut self) {
        self.now = self.edges.iter().map(|edge| f64::from(edge.step)).collect();
    }

    /// Takes saved steps.
    pub(super) fn take(&mut self, steps: &[f32]) {
        self.now = steps.iter().map(|&step| f64::from(step)).collect();
    }

    /// The steps as they are now.
    pub(super) fn values(&self) -> Vec<f32> {
        self.now.iter().map(|&step| step as f32).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_step_of_adam_is_as_long_as_its_rate() {
        let edge = Edge { site: 0, rounded: ValueId(0), step: 0.5 };
        let mut steps = Steps::new(vec![edge, Edge { step: 1e-4, ..edge }]);
        steps.update(&[vec![3.0], vec![7.0]], 0.01, 1);
        let values = steps.values();
        assert!((values[0] - 0.49).abs() < 1e-6);
        assert_eq!(values[1], 1e-6, "held at a hundredth of what it was");
        steps.reset();
        assert_eq!(steps.values(), [0.5, 1e-4]);
    }
}
