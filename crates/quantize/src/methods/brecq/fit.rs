//! Fitting one block to its float outputs: rounding variables of its weights, steps of its edges, or both.

use super::draw::Draw;
use super::objective::{Objective, feed};
use super::part::Part;
use super::rounding::SoftWeight;
use super::schedule;
use super::steps::{Edge, Steps};
use crate::method::MethodError;
use crate::rows::Rows;
use lowbit_engine::{Differentiable, Parameter};
use lowbit_kernels::adam::Adam;
use lowbit_kernels::rounding::Regularizer;
use std::ops::Range;
use std::sync::Arc;

/// How a block is fitted.
#[derive(Clone, Copy, Debug)]
pub(super) struct Learning {
    pub(super) iterations: usize,
    pub(super) batch: usize,
    /// Weight of the regulariser.
    pub(super) lambda: f64,
    /// Adam's rate for rounding variables.
    pub(super) rate: f64,
    /// Adam's first rate for steps.
    pub(super) step_rate: f64,
}

/// A block being fitted.
pub(super) struct Fit {
    network: Differentiable,
    pub(super) weights: Vec<SoftWeight>,
    pub(super) steps: Steps,
    inputs: Vec<Arc<Rows>>,
    objective: Objective,
    learning: Learning,
    /// Iterations done.
    done: usize,
}

impl Fit {
    /// At the start, where soft weights equal the trained ones.
    pub(super) fn new(
        part: &Part,
        weights: Vec<SoftWeight>,
        edges: Vec<Edge>,
        inputs: Vec<Arc<Rows>>,
        objective: Objective,
        learning: Learning,
    ) -> Result<Fit, MethodError> {
        let parameters = weights.iter().map(SoftWeight::parameter).chain(edges.iter().map(Edge::parameter));
        let parameters: Vec<Parameter> = parameters.collect();
        let network = part.compile(learning.batch, &parameters)?;
        Ok(Fit { network, weights, steps: Steps::new(edges), inputs, objective, learning, done: 0 })
    }

    /// One iteration on these samples: forward, loss, backward, update. Returns the data part of the loss.
    pub(super) fn step(&mut self, samples: &[usize]) -> Result<f64, MethodError> {
        let Learning { iterations, lambda, rate, step_rate, .. } = self.learning;
        for (i, weight) in self.weights.iter_mut().enumerate() {
            self.network.set(i, weight.soften())?;
        }
        self.steps.show(&mut self.network, self.weights.len())?;
        let found = self.network.gradients(
            samples.len(),
            |rows, buffers| feed(&self.inputs, &samples[rows], buffers),
            |rows, outputs, gradients| self.objective.measure(samples, rows, outputs, gradients),
        )?;
        let step_rate = schedule::cosine(step_rate, self.done, iterations);
        self.done += 1;
        let beta = schedule::beta(self.done, iterations);
        let regularizer = beta.map(|beta| Regularizer { lambda: lambda as f32, beta: beta as f32 });
        let adam = Adam { learning_rate: rate, ..Adam::default() };
        let (of_weights, of_steps) = found.parameters.split_at(self.weights.len());
        for (weight, gradient) in self.weights.iter_mut().zip(of_weights) {
            weight.update(gradient, regularizer, &adam, self.done as u32);
        }
        self.steps.update(of_steps, step_rate, self.done as i32);
        Ok(found.loss)
    }

    /// All iterations; then every weight is rounded for good.
    pub(super) fn learn(
        &mut self,
        (step, place): (&'static str, &str),
        draw: &mut Draw,
        advance: impl Fn(),
    ) -> Result<(), MethodError> {
        for iteration in 0..self.learning.iterations {
            let loss = self.step(draw.next(self.learning.batch))?;
            if !loss.is_finite() {
                return Err(MethodError::NotANumber { step, place: place.to_owned(), iteration });
            }
            advance();
        }
        self.weights.iter_mut().for_each(SoftWeight::decide);
        Ok(())
    }

    /// The loss over those samples with weights and steps as they are.
    pub(super) fn loss(&mut self, samples: Range<usize>) -> Result<f64, MethodError> {
        self.show()?;
        self.objective.over(&self.network, &self.inputs, samples)
    }

    /// Nearest rounding, and the steps it began with.
    pub(super) fn reset(&mut self) {
        self.weights.iter_mut().for_each(SoftWeight::reset);
        self.steps.reset();
    }

    /// Share of the weights that did not settle at 0 or 1.
    pub(super) fn undecided(&self) -> f64 {
        let (all, open): (Vec<usize>, Vec<usize>) =
            self.weights.iter().map(|w| (w.len(), w.undecided())).unzip();
        open.iter().sum::<usize>() as f64 / all.iter().sum::<usize>().max(1) as f64
    }

    /// The block as it was decided.
    pub(super) fn network(&mut self) -> Result<&Differentiable, MethodError> {
        self.show()?;
        Ok(&self.network)
    }

    fn show(&mut self) -> Result<(), MethodError> {
        for (i, weight) in self.weights.iter().enumerate() {
            self.network.set(i, weight.values())?;
        }
        self.steps.show(&mut self.network, self.weights.len())
    }
}
