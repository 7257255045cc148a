//! `minmax`: the codes cover everything that was seen.
//!
//! Loses nothing at the ends and the most in the middle; right at 8 bits, and the naive baseline below.

use super::range::{On, fit_activations, fit_weights};
use crate::method::{Entry, Method, MethodError};
use crate::plan::Plan;
use crate::workbench::Workbench;
use serde::Deserialize;

pub(super) const ENTRY: Entry = Entry::new::<MinMax>(
    "minmax",
    "range from the smallest and largest value seen",
    &[("on", "weights | activations | both (default)")],
);

/// Options.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MinMax {
    /// What the step acts on.
    pub on: On,
}

impl Method for MinMax {
    fn refine(&self, mut plan: Plan, bench: &Workbench<'_>) -> Result<Plan, MethodError> {
        if self.on.weights() {
            fit_weights(&mut plan, bench, ENTRY.id, |values, _, _| extremes(values));
        }
        if self.on.activations() {
            fit_activations(&mut plan, bench, ENTRY.id, |edge| Some(edge.observed()));
        }
        Ok(plan)
    }
}

/// Smallest and largest of some values, with zero.
pub(super) fn extremes(values: &[f32]) -> [f32; 2] {
    values.iter().fold([0.0, 0.0], |[lo, hi], &x| [x.min(lo), x.max(hi)])
}
