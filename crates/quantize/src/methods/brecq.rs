//! `brecq`: learned rounding of weights and learned steps of activations, block by block (Li et al. 2021).
//!
//! In the paper's two phases, the first decides for each weight whether it is rounded up or down, so that a block's output
//! matches that of the float block on what the quantized blocks before it leave; edges stay float. The second learns one
//! step size per rounded edge with the same aim, on float inputs. `phases = "joint"` goes beyond: one pass learns both at
//! once on what quantized blocks with rounded edges leave, so that weights learn to make up for the rounding of edges.
//!
//! Scales of weights and zero points are those of earlier steps and stay. What a block began with stays wherever
//! learning did not lower its loss over all samples, and so do the steps of 8-bit edges.

mod block_step;
mod draw;
mod effort;
mod fisher;
mod fit;
mod objective;
pub(super) mod part;
mod pass;
mod rounding;
mod scale;
mod schedule;
mod steps;
#[cfg(test)]
mod twin;
pub(super) mod walk;

use super::range::On;
use crate::method::{Entry, Method, MethodError};
use crate::observe::Needs;
use crate::plan::Plan;
use crate::workbench::Workbench;
pub use block_step::BlockStep;
use lowbit_engine::EngineError;
use lowbit_graph::passes::Block;
use lowbit_kernels::Isa;
pub use objective::Loss;
use pass::{Pass, Work};
use serde::Deserialize;

/// Name in recipes, messages and saved state.
const ID: &str = "brecq";

pub(super) const ENTRY: Entry = Entry::new::<Brecq>(
    ID,
    "learns rounding and steps block by block against the float outputs; needs samples, no labels",
    &[
        ("on", "weights | activations | both (default)"),
        ("scales", "plan (default): of earlier steps | search: the paper's, for affine weights"),
        ("phases", "joint (default): rounding and steps at once | separate: as in the paper"),
        ("iterations", "per block; without it --effort chooses from a measured loss curve"),
        ("activation_iterations", "per block of the paper's second phase (default: half as many)"),
        ("batch", "samples per iteration (default 32)"),
        ("lambda", "weight of the rounding regulariser (default 0.01)"),
        ("learning_rate", "of rounding variables (default: 10 / iterations, at least 0.001)"),
        ("activation_learning_rate", "of steps (default 0.0004; joint: 1 / iterations if that is more)"),
        ("loss", "mse (the paper's code, default) | fisher-diagonal | fisher-full; on quantized inputs"),
        ("power", "exponent of the output difference (default 2)"),
        ("activation_power", "the same in the paper's second phase (default 2.4)"),
        ("inputs", "what the second phase learns on: float (the paper's, default) | quantized"),
    ],
);

/// What a pass feeds a block with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Inputs {
    /// What float blocks leave.
    #[default]
    Float,
    /// What the quantized blocks before it leave.
    Quantized,
}

/// Which scales weights have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Scales {
    /// Those of earlier steps.
    #[default]
    Plan,
    /// Those of the paper's own search, affine.
    Search,
}

/// Whether rounding and steps are learned together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Phases {
    /// At once.
    #[default]
    Joint,
    /// One after the other, as in the paper.
    Separate,
}

/// Options.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Brecq {
    /// What is learned.
    pub on: On,
    /// Which scales of weights rounding is learned on.
    pub scales: Scales,
    /// Together or apart.
    pub phases: Phases,
    /// Iterations per block; chosen by effort if absent.
    pub iterations: Option<usize>,
    /// Iterations per block of the second phase; half of the first's if absent.
    pub activation_iterations: Option<usize>,
    /// Samples per iteration.
    pub batch: usize,
    /// Weight of the regulariser, a sum over weights beside a mean over positions.
    pub lambda: f64,
    /// Adam's rate for rounding variables.
    pub learning_rate: Option<f64>,
    /// Adam's first rate for steps, in units of the edge; falls along a cosine.
    pub activation_learning_rate: Option<f64>,
    /// Measure of the output difference, where a pass sees what quantized blocks leave.
    pub loss: Loss,
    /// Exponent of the output difference; the Fisher losses are squares.
    pub power: f32,
    /// Exponent in the second phase.
    pub activation_power: f32,
    /// What the second phase learns on.
    pub inputs: Inputs,
}

impl Default for Brecq {
    fn default() -> Brecq {
        Brecq {
            on: On::Both,
            scales: Scales::Plan,
            phases: Phases::Joint,
            iterations: None,
            activation_iterations: None,
            batch: 32,
            lambda: 0.01,
            learning_rate: None,
            activation_learning_rate: None,
            loss: Loss::Mse,
            power: 2.0,
            activation_power: 2.4,
            inputs: Inputs::Float,
        }
    }
}

impl Brecq {
    /// Adam's rate for rounding variables: those of a weight on a code have 2.4 to go, and each iteration goes about this
    /// far.
    fn rate(&self, iterations: usize) -> f64 {
        self.learning_rate.unwrap_or_else(|| (10.0 / iterations.max(1) as f64).max(1e-3))
    }

    /// Adam's first rate for steps.
    fn step_rate(&self, iterations: usize) -> f64 {
        let least = match self.phases {
            Phases::Joint => 1.0 / iterations.max(1) as f64,
            Phases::Separate => 0.0,
        };
        self.activation_learning_rate.unwrap_or(least.max(4e-4))
    }

    /// Fits these blocks under the name `id`.
    pub(super) fn reconstruct(
        &self,
        id: &'static str,
        mut plan: Plan,
        bench: &Workbench<'_>,
        blocks: Vec<Block>,
    ) -> Result<Plan, MethodError> {
        let Some(samples) = bench.run.samples else {
            let message = "no calibration samples were kept for it".into();
            return Err(MethodError::Needs { step: id, message });
        };
        let needed = self.batch.max(1);
        if samples.len() < needed {
            return Err(MethodError::TooFewSamples { step: id, found: samples.len(), needed });
        }
        if self.scales == Scales::Search {
            if bench.recipe.weights.symmetric {
                let message =
                    "scales = \"search\" finds affine codes; say symmetric = false for weights".into();
                return Err(MethodError::Needs { step: id, message });
            }
            scale::set(&mut plan, bench, id);
        }
        let isa = Isa::from_env().map_err(EngineError::from)?;
        let work = Work { id, options: self, bench, samples, blocks, isa };
        let iterations = match self.iterations {
            Some(iterations) => iterations.max(1),
            None => work.choose_iterations(&plan)?,
        };
        for pass in self.passes(&plan, iterations) {
            work.run(&pass, &mut plan)?;
        }
        Ok(plan)
    }

    /// The passes through the network.
    fn passes(&self, plan: &Plan, iterations: usize) -> Vec<Pass> {
        let rounds = plan.activations.iter().any(|setting| setting.code.is_some());
        let joint = Pass {
            number: 1,
            name: "round weights, learn steps",
            weights: self.on.weights(),
            steps: self.on.activations(),
            rounded: true,
            bare: true,
            inputs: Inputs::Quantized,
            power: self.power,
            iterations,
        };
        let weights = Pass { name: "round weights", steps: false, rounded: false, ..joint };
        let steps = Pass {
            number: 2,
            name: "learn steps",
            weights: false,
            bare: false,
            inputs: self.inputs,
            power: self.activation_power,
            iterations: self.activation_iterations.unwrap_or(iterations.div_ceil(2)),
            ..joint
        };
        match self.phases {
            Phases::Joint if rounds => vec![joint],
            _ => vec![weights, steps],
        }
    }
}

impl Method for Brecq {
    fn refine(&self, plan: Plan, bench: &Workbench<'_>) -> Result<Plan, MethodError> {
        let blocks = crate::blocks::of(bench.recipe, bench.graph)
            .map_err(|error| MethodError::Needs { step: ID, message: error.to_string() })?;
        self.reconstruct(ID, plan, bench, blocks)
    }

    fn needs(&self) -> Needs {
        Needs { samples: true, ..Needs::default() }
    }
}
