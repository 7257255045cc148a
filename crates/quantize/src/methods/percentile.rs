//! `percentile`: the codes cover all but a share of what was seen at either end.

use super::range::{On, fit_activations, fit_weights};
use crate::method::{Entry, Method, MethodError};
use crate::observe::Needs;
use crate::plan::Plan;
use crate::workbench::Workbench;
use serde::Deserialize;

pub(super) const ENTRY: Entry = Entry::new::<Percentile>(
    "percentile",
    "range that leaves out a share at each end",
    &[
        ("on", "weights | activations | both (default)"),
        ("percent", "share kept, 50 to 100 (default 99.99); the rest is split between both ends"),
    ],
);

/// Options.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Percentile {
    /// What the step acts on.
    pub on: On,
    /// Share kept in percent.
    pub percent: f64,
}

impl Default for Percentile {
    fn default() -> Percentile {
        Percentile { on: On::Both, percent: 99.99 }
    }
}

impl Method for Percentile {
    fn refine(&self, mut plan: Plan, bench: &Workbench<'_>) -> Result<Plan, MethodError> {
        if !(50.0..=100.0).contains(&self.percent) {
            let message = format!("percent is {}; accepted: 50 to 100", self.percent);
            return Err(MethodError::Needs { step: ENTRY.id, message });
        }
        let cut = (100.0 - self.percent) / 200.0;
        if self.on.weights() {
            fit_weights(&mut plan, bench, ENTRY.id, |values, _, _| {
                let mut sorted = values.to_vec();
                sorted.sort_unstable_by(f32::total_cmp);
                let drop = (cut * sorted.len() as f64) as usize;
                [sorted[drop], sorted[sorted.len() - 1 - drop]]
            });
        }
        if self.on.activations() {
            fit_activations(&mut plan, bench, ENTRY.id, |edge| {
                let [lo, hi] = edge.observed();
                let h = &edge.whole.histogram;
                // One-sided edges (after ReLU) have one end to cut.
                let share = if lo == 0.0 { 2.0 * cut } else { cut };
                Some([h.quantile(cut).max(lo).min(0.0), h.quantile(1.0 - share).min(hi).max(0.0)])
            });
        }
        Ok(plan)
    }

    fn needs(&self) -> Needs {
        Needs { histogram: self.on.activations(), ..Needs::default() }
    }
}
