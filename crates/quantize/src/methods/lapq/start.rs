//! Plans to start the joint search from: every tensor by itself.

use super::ENTRY;
use super::lp;
use super::objective::Measure;
use super::variables::Variable;
use crate::method::MethodError;
use crate::methods::minmax::extremes;
use crate::methods::mse::coarse_bins;
use crate::methods::range::{cover, fit_activations, fit_weights};
use crate::plan::{Plan, Setting};
use crate::workbench::Workbench;
use lowbit_tensor::{Code, Histogram, Uniform};
use std::ops::Range;

/// The plan, with codes from the least to the greatest value where there were none.
pub(super) fn complete(mut plan: Plan, bench: &Workbench<'_>) -> Plan {
    let mut full = plan.clone();
    fit_weights(&mut full, bench, ENTRY.id, |values, _, _| extremes(values));
    fit_activations(&mut full, bench, ENTRY.id, |edge| Some(edge.observed()));
    let fill = |settings: &mut [Setting], full: Vec<Setting>| {
        let lacking = settings.iter_mut().zip(full).filter(|(setting, _)| setting.code.is_none());
        lacking.for_each(|(setting, full)| *setting = full);
    };
    fill(&mut plan.weights, full.weights);
    fill(&mut plan.activations, full.activations);
    plan
}

/// `base` with the clips of least error to the power `p` for the given variables, which are in network order with the cut
/// before each: weights as they were trained, edges on what `samples` give there under the plan so far.
pub(super) fn layerwise(
    measure: &Measure<'_>,
    base: &Plan,
    placed: &[(Variable, usize)],
    samples: Range<usize>,
    p: f32,
) -> Result<Plan, MethodError> {
    let bench = &measure.bench;
    let mut fitted = base.clone();
    fit_weights(&mut fitted, bench, ENTRY.id, |values, bits, symmetric| {
        lp::weight_range(values, bits, symmetric, p)
    });
    let mut plan = base.clone();
    for (variable, _) in placed {
        if let Variable::Weight(i) = *variable {
            plan.weights[i] = fitted.weights[i].clone();
        }
    }
    let mut prefix = measure.cuts.input(samples);
    for &(variable, cut) in placed {
        let Variable::Edge(i) = variable else { continue };
        let site = &bench.sites.activations[i];
        let setting = &mut plan.activations[i];
        // Histograms are of whole edges: codes per channel stay as they came.
        let bits = match &setting.code {
            Some(Code::Uniform(code)) if code.axis.is_none() => code.bits[0],
            _ => continue,
        };
        let simulated = measure.simulated(plan.clone())?;
        prefix = measure.cuts.advance(&simulated, prefix, cut)?;
        let mut histogram = Histogram::default();
        measure.cuts.values(&simulated, &prefix, site.value, |values| {
            histogram.merge(&Histogram::of(values, extremes(values)));
        })?;
        let range = lp::range(&coarse_bins(&histogram), bits, p);
        let (scale, zero_point) = cover(site, bench.recipe.activations.symmetric, range, bits);
        let code = Uniform::per_tensor(bits, false, scale, zero_point);
        plan.activations[i].set(Code::Uniform(code), ENTRY.id);
    }
    Ok(plan)
}
