//! The mean loss of the simulated network over some samples, as a function of the steps.

use super::cuts::{Cuts, Prefix};
use super::loss::Loss;
use super::variables::{Variable, scaled};
use crate::bias;
use crate::method::{Method, MethodError};
use crate::methods::bias_correction::BiasCorrection;
use crate::plan::Plan;
use crate::simulate::simulate;
use crate::workbench::Workbench;
use lowbit_graph::Graph;
use std::ops::Range;

/// What is measured, and how.
pub struct Measure<'a> {
    /// The network.
    pub bench: Workbench<'a>,
    /// Where it may be cut.
    pub cuts: &'a Cuts<'a>,
    /// Loss of a sample.
    pub loss: &'a Loss,
    /// Whether the shift that weight rounding causes is returned in every trial.
    pub correct_bias: bool,
}

/// The network under a plan, as the plan would leave the recipe.
///
/// # Errors
/// When biases cannot be corrected.
pub fn simulated(bench: &Workbench<'_>, plan: Plan, correct_bias: bool) -> Result<Graph, MethodError> {
    let sites = bench.sites;
    let mut plan = corrected(bench, plan, correct_bias)?;
    plan.follow(sites);
    bias::make_room(bench.graph, sites, &mut plan);
    Ok(simulate(bench.graph, sites, &plan))
}

/// The plan with the shift of weight rounding returned through the biases, if it is to be.
///
/// # Errors
/// When a weight has no code that this is known for.
pub fn corrected(bench: &Workbench<'_>, plan: Plan, correct_bias: bool) -> Result<Plan, MethodError> {
    if correct_bias { BiasCorrection::default().refine(plan, bench) } else { Ok(plan) }
}

impl Measure<'_> {
    /// The network under a plan.
    ///
    /// # Errors
    /// When biases cannot be corrected.
    pub fn simulated(&self, plan: Plan) -> Result<Graph, MethodError> {
        simulated(&self.bench, plan, self.correct_bias)
    }

    /// Mean loss of a plan over a range of samples.
    ///
    /// # Errors
    /// When the network cannot be run.
    pub fn of(&self, plan: Plan, samples: Range<usize>) -> Result<f64, MethodError> {
        self.behind(&self.simulated(plan)?, &self.cuts.input(samples))
    }

    /// Mean loss of a simulated network over the samples of a prefix.
    fn behind(&self, simulated: &Graph, prefix: &Prefix) -> Result<f64, MethodError> {
        let (mut sum, mut n) = (0.0, 0usize);
        self.cuts.scores(simulated, prefix, |i, scores| {
            sum += self.loss.of(i, scores);
            n += 1;
        })?;
        Ok(sum / n as f64)
    }
}

/// The mean loss at a point of the search. What no variable that changed since the last point can alter is not run again.
pub struct Objective<'a> {
    measure: &'a Measure<'a>,
    start: Plan,
    variables: Vec<Variable>,
    /// The cut before each variable, not descending.
    cuts: Vec<usize>,
    samples: Range<usize>,
    prefix: Option<Prefix>,
    last: Vec<f64>,
}

impl<'a> Objective<'a> {
    /// The loss around `start`; `placed` are variables with the cut before each.
    pub fn new(
        measure: &'a Measure<'a>,
        start: Plan,
        placed: &[(Variable, usize)],
        samples: Range<usize>,
    ) -> Objective<'a> {
        let (variables, cuts) = placed.iter().copied().unzip();
        Objective { measure, start, variables, cuts, samples, prefix: None, last: Vec::new() }
    }

    /// The plan at a point.
    pub fn plan(&self, point: &[f64]) -> Plan {
        scaled(&self.start, &self.variables, point)
    }

    /// The mean loss at a point.
    ///
    /// # Errors
    /// When the network cannot be run, or its values cannot be kept.
    pub fn loss(&mut self, point: &[f64]) -> Result<f64, MethodError> {
        let simulated = self.measure.simulated(self.plan(point))?;
        let changed = point.iter().zip(&self.last).position(|(x, y)| x.to_bits() != y.to_bits());
        let held = self.prefix.as_ref().map_or(0, |prefix| prefix.cut);
        let cut = match changed {
            Some(variable) => self.cuts[variable],
            None => held,
        };
        let cuts = self.measure.cuts;
        let prefix = self.prefix.take().filter(|prefix| prefix.cut <= cut);
        let prefix = prefix.unwrap_or_else(|| cuts.input(self.samples.clone()));
        let prefix = cuts.advance(&simulated, prefix, cut)?;
        let loss = self.measure.behind(&simulated, &prefix);
        (self.prefix, self.last) = (Some(prefix), point.to_vec());
        loss
    }
}
