//! `adaround`: learned rounding, layer by layer (Nagel et al. 2020): [`brecq`](super::brecq) with each layer, its
//! activation included, as a block of its own, and edges in float.

use super::brecq::{Brecq, Phases};
use super::range::On;
use crate::method::{Entry, Method, MethodError};
use crate::observe::Needs;
use crate::plan::Plan;
use crate::workbench::Workbench;
use lowbit_graph::passes;
use serde::Deserialize;

const ID: &str = "adaround";

pub(super) const ENTRY: Entry = Entry::new::<AdaRound>(
    ID,
    "learns rounding layer by layer against the float outputs; needs samples, no labels",
    &[
        ("iterations", "per layer; without it --effort chooses from a measured loss curve"),
        ("batch", "samples per iteration (default 32)"),
        ("lambda", "weight of the rounding regulariser (default 0.01)"),
        ("learning_rate", "of rounding variables (default: 10 / iterations, at least 0.001)"),
    ],
);

/// Options.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AdaRound {
    /// Iterations per layer; chosen by effort if absent.
    pub iterations: Option<usize>,
    /// Samples per iteration.
    pub batch: usize,
    /// Weight of the regulariser.
    pub lambda: f64,
    /// Adam's rate.
    pub learning_rate: Option<f64>,
}

impl Default for AdaRound {
    fn default() -> AdaRound {
        let Brecq { iterations, batch, lambda, learning_rate, .. } = Brecq::default();
        AdaRound { iterations, batch, lambda, learning_rate }
    }
}

impl Method for AdaRound {
    fn refine(&self, plan: Plan, bench: &Workbench<'_>) -> Result<Plan, MethodError> {
        let AdaRound { iterations, batch, lambda, learning_rate } = *self;
        let (on, phases) = (On::Weights, Phases::Separate);
        let options = Brecq { on, phases, iterations, batch, lambda, learning_rate, ..Brecq::default() };
        options.reconstruct(ID, plan, bench, passes::layers(bench.graph))
    }

    fn needs(&self) -> Needs {
        Needs { samples: true, ..Needs::default() }
    }
}
