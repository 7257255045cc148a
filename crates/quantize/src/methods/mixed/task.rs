//! What widths are chosen for, and what a choice is in a plan.

use super::judge::Judge;
use super::{ID, Mixed};
use crate::method::{Method, MethodError};
use crate::methods::mse::Mse;
use crate::methods::range::On;
use crate::plan::{Plan, Setting};
use crate::run::Samples;
use crate::workbench::Workbench;
use lowbit_graph::passes::Block;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// What all rounds of the choice look at.
pub(super) struct Task<'a> {
    pub(super) options: &'a Mixed,
    pub(super) bench: &'a Workbench<'a>,
    pub(super) judge: Judge,
    pub(super) samples: &'a Samples,
    pub(super) blocks: &'a [Block],
    /// Weight sites of the layers chosen for.
    pub(super) layers: &'a [usize],
    /// How many units each of them has, which lie side by side in a choice: one, or one per output channel.
    pub(super) units: &'a [usize],
    /// Widths to choose from, ascending; a choice has a place in this list for each unit.
    pub(super) bits: &'a [u8],
}

/// A choice to consider.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Candidate {
    /// What notes call it.
    pub(super) name: String,
    /// A place in the list of widths, by unit.
    pub(super) chosen: Vec<usize>,
}

impl Task<'_> {
    /// The bits of each layer: one number where all its units have the same, else one per output channel.
    pub(super) fn widths(&self, chosen: &[usize]) -> Vec<Vec<u8>> {
        let mut rest = chosen;
        let of = |&units: &usize| {
            let (own, others) = rest.split_at(units);
            rest = others;
            let mut bits: Vec<u8> = own.iter().map(|&choice| self.bits[choice]).collect();
            if bits.windows(2).all(|pair| pair[0] == pair[1]) {
                bits.truncate(1);
            }
            bits
        };
        self.units.iter().map(of).collect()
    }

    /// The plan with a choice.
    pub(super) fn with_widths(&self, mut plan: Plan, chosen: &[usize]) -> Plan {
        for (&i, bits) in self.layers.iter().zip(self.widths(chosen)) {
            let set_by = std::mem::take(&mut plan.weights[i].set_by);
            // A code chosen before has another width.
            plan.weights[i] = Setting { bits, set_by, ..Setting::default() };
            plan.weights[i].set_by.push(ID.to_owned());
        }
        plan
    }

    /// The plan of the float network.
    pub(super) fn float_plan(&self) -> Plan {
        let sites = self.bench.sites;
        Plan {
            weights: vec![Setting::default(); sites.weights.len()],
            activations: vec![Setting::default(); sites.activations.len()],
            ..Plan::default()
        }
    }

    /// The plan with the nearest codes of its weights' widths.
    pub(super) fn nearest(&self, plan: Plan) -> Result<Plan, MethodError> {
        Mse { on: On::Weights, p: 2.4 }.refine(plan, self.bench)
    }

    /// What an earlier, killed run kept under `key`.
    pub(super) fn known<T: DeserializeOwned>(&self, key: &str) -> Option<T> {
        serde_json::from_slice(&self.bench.run.state.load(key)?).ok()
    }

    /// Keeps numbers for a run that goes on from here; `place` is what they are about.
    pub(super) fn keep<T: Serialize>(&self, key: &str, place: &str, numbers: &T) -> Result<(), MethodError> {
        let bytes = serde_json::to_vec(numbers).expect("numbers have a JSON form");
        let failed = |source| MethodError::State { step: ID, place: place.to_owned(), source };
        self.bench.run.state.save(key, &bytes).map_err(failed)
    }

    /// The layer that a unit belongs to, as its place in the list of layers.
    pub(super) fn layer_of(&self, unit: usize) -> usize {
        let mut before = 0;
        let holds = |&units: &usize| {
            before += units;
            unit < before
        };
        self.units.iter().position(holds).expect("a unit of a layer")
    }

    /// The name of a layer by its place in the list.
    pub(super) fn name(&self, layer: usize) -> &str {
        &self.bench.sites.weights[self.layers[layer]].name
    }
}
