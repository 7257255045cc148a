//! `mixed-precision`: bits per layer from measured sensitivity, under a limit of size or time (Li et al. 2021, BRECQ, 3.4).
//!
//! Each layer is tried alone at each width, rounded to nearest (or with its block reconstructed briefly, as in the paper)
//! and the rest of the network in float; the answers' divergence from those of the float network makes a table. Inside a
//! block, pairs that involve the narrowest width are measured together; all else is taken to add up. A genetic search then looks for the widths of least sum.
//! With `build`, the few choices that it thinks best are really built, and the one that answers best is taken; all layers
//! alike is always among them. With `finalists`, the best of those go through the rest of the recipe before one is taken.
//!
//! Sets bits only: steps that choose codes must follow. Layers that the recipe treats apart, first and last ones and those
//! with an override, keep their bits.

mod built;
mod finalists;
pub mod judge;
pub mod limit;
mod measure;
pub mod search;
pub mod shortlist;
pub mod table;

use crate::describe;
use crate::method::{Entry, Method, MethodError};
use crate::methods::brecq::{Brecq, Phases};
use crate::methods::range::On;
use crate::observe::Needs;
use crate::plan::{Plan, Setting};
use crate::rows::Rows;
use crate::run::Samples;
use crate::workbench::Workbench;
use built::Built;
use judge::Judge;
use limit::Limit;
use measure::Measure;
use serde::Deserialize;
use std::ops::Range;

/// Name in recipes, messages and saved state.
const ID: &str = "mixed-precision";

pub(super) const ENTRY: Entry = Entry::new::<Mixed>(
    ID,
    "bits per layer from measured sensitivity, under a limit of size or time; needs samples, no labels",
    &[
        ("bits", "widths to choose from, 2 to 8 (default [2, 3, 4, 8])"),
        (
            "average_bits",
            "most bits per weight of the layers chosen for (default without other limits: weights.bits)",
        ),
        ("max_bytes", "most bytes of all quantized weights, without their scales"),
        ("max_latency_ms", "most time for a sample by the target's latency table"),
        ("after", "rounding (default): to nearest | reconstruction: of each block, briefly"),
        ("temperature", "what scores are divided by before they are compared (default 4)"),
        (
            "build",
            "rounding | reconstruction: really build the best few so and compare them (default: trust the table)",
        ),
        ("iterations", "of that brief reconstruction, per block and width (default 125)"),
        (
            "finalists",
            "with build: so many of the best, and all layers alike, go through the rest of the recipe and are compared (default 0)",
        ),
    ],
);

/// What the loss of a width is measured after.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum After {
    /// Rounding to nearest.
    #[default]
    Rounding,
    /// Brief learning of the rounding.
    Reconstruction,
}

/// Options.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Mixed {
    /// Widths to choose from.
    pub bits: Vec<u8>,
    /// Most bits per weight, on average over the layers chosen for.
    pub average_bits: Option<f64>,
    /// Most bytes of all quantized weights.
    pub max_bytes: Option<u64>,
    /// Most milliseconds for one sample.
    pub max_latency_ms: Option<f64>,
    /// What losses are measured after.
    pub after: After,
    /// After what the best few choices are compared as a whole; without it, the table decides.
    pub build: Option<After>,
    /// What scores are divided by before they are compared.
    pub temperature: f64,
    /// Iterations of reconstruction per block and width.
    pub iterations: usize,
    /// How many of the best go through the rest of the recipe, with `build`.
    pub finalists: usize,
}

impl Default for Mixed {
    fn default() -> Mixed {
        Mixed {
            bits: vec![2, 3, 4, 8],
            average_bits: None,
            max_bytes: None,
            max_latency_ms: None,
            after: After::default(),
            build: None,
            temperature: 4.0,
            iterations: 125,
            finalists: 0,
        }
    }
}

/// How the rounding of a trial is learned, on so many samples: of weights alone, briefly.
fn trial(iterations: usize, samples: usize) -> Brecq {
    let (iterations, batch) = (Some(iterations), Brecq::default().batch.min(samples));
    Brecq { on: On::Weights, phases: Phases::Separate, iterations, batch, ..Brecq::default() }
}

fn needs(message: String) -> MethodError {
    MethodError::Needs { step: ID, message }
}

/// Some of the samples.
fn some(samples: &Samples, range: Range<usize>, bench: &Workbench<'_>) -> Result<Samples, MethodError> {
    let mut inputs = Rows::new(&bench.run.budget, range.len(), samples.inputs.row_len())?;
    let mut row = vec![0.0; samples.inputs.row_len()];
    for (to, from) in range.clone().enumerate() {
        samples.inputs.read(from..from + 1, &mut row)?;
        inputs.write(to, &row)?;
    }
    let labels = samples.labels.as_ref().map(|labels| labels[range].to_vec());
    Ok(Samples { inputs, shape: samples.shape.clone(), labels })
}

/// The plan with a choice of `bits` for each of some layers.
fn with_widths(mut plan: Plan, layers: &[usize], bits: &[u8], chosen: &[usize]) -> Plan {
    for (&i, &choice) in layers.iter().zip(chosen) {
        let set_by = std::mem::take(&mut plan.weights[i].set_by);
        // A code chosen before has another width.
        plan.weights[i] = Setting { bits: vec![bits[choice]], set_by, ..Setting::default() };
        plan.weights[i].set_by.push(ID.to_owned());
    }
    plan
}

impl Method for Mixed {
    fn refine(&self, plan: Plan, bench: &Workbench<'_>) -> Result<Plan, MethodError> {
        let bits = self.widths()?;
        if !(self.temperature > 0.0 && self.temperature.is_finite()) {
            return Err(needs(format!("temperature is {}; accepted: a positive number", self.temperature)));
        }
        let nominal = bench.recipe.weights.bits.ok_or_else(|| needs("weights.bits is not set".into()))?;
        let free = |i: &usize| !bench.sites.weights[*i].first_or_last && plan.weights[*i].bits == [nominal];
        let layers: Vec<usize> = (0..plan.weights.len()).filter(free).collect();
        if layers.is_empty() {
            return Ok(plan);
        }
        let limits = self.limits(&plan, bench, &layers, &bits, nominal)?;
        for limit in &limits {
            let least = limit.of(&vec![0; layers.len()]);
            if !limit.holds(&vec![0; layers.len()]) {
                let (name, most) = (limit.name, limit.most);
                let message = format!(
                    "{name} is {most}; with {} bits everywhere it is {least:.4} already: raise it, or offer fewer bits",
                    bits[0]
                );
                return Err(needs(message));
            }
        }
        let samples = bench.run.samples.filter(|samples| !samples.is_empty());
        let samples = samples.ok_or_else(|| needs("no calibration samples were kept for it".into()))?;
        let blocks =
            crate::blocks::of(bench.recipe, bench.graph).map_err(|error| needs(error.to_string()))?;
        // The table's trials learn on the first three quarters and are judged on the rest.
        let count = samples.len() - samples.len().div_ceil(4);
        if count == 0 {
            return Err(MethodError::TooFewSamples { step: ID, found: samples.len(), needed: 2 });
        }
        let (learning, judged) =
            (&some(samples, 0..count, bench)?, &some(samples, count..samples.len(), bench)?);
        let judge = Judge::new(bench, self.temperature)?;
        let (blocks, layers, bits) = (blocks.as_slice(), layers.as_slice(), bits.as_slice());
        let measure = Measure { options: self, bench, judge, learning, judged, blocks, layers, bits };
        let table = measure.table()?;
        if let Some((l, c)) = table.not_a_number() {
            let site = &bench.sites.weights[layers[l]];
            return Err(needs(format!("the loss of `{}` with {} bits is not a number", site.name, bits[c])));
        }
        bench.run.watch.stage("choose bits per layer", None);
        let names: Vec<&str> = layers.iter().map(|&i| bench.sites.weights[i].name.as_str()).collect();
        let contradiction = || needs("the limits contradict each other: no widths keep all of them".into());
        let chosen = match self.build {
            None => search::search(&table, &limits, bench.run.seed).ok_or_else(contradiction)?,
            Some(after) => {
                let built = Built::new(&measure, samples, after, &plan)?;
                let list = shortlist::shortlist(&table, &limits, bench.run.seed);
                let (best, all) = built.best(list)?;
                bench.run.watch.note(built::text("built", &best, &all, bits));
                let rest = bench.recipe.after(self);
                if self.finalists == 0 || rest.is_empty() || all.len() < 2 {
                    best.chosen
                } else {
                    let finalists = built.finalists(&all, self.finalists, &plan, rest)?;
                    let best = finalists::best(&finalists).expect("all layers alike are one");
                    bench.run.watch.note(built::text(
                        "finished by the rest of the recipe",
                        best,
                        &finalists,
                        bits,
                    ));
                    best.chosen.clone()
                }
            }
        };
        bench.run.watch.note(text(&names, bits, &chosen, &table, &limits, nominal));
        Ok(with_widths(plan, layers, bits, &chosen))
    }

    fn needs(&self) -> Needs {
        Needs { samples: true, ..Needs::default() }
    }
}

impl Mixed {
    /// The widths offered, ascending.
    fn widths(&self) -> Result<Vec<u8>, MethodError> {
        let mut bits = self.bits.clone();
        bits.sort_unstable();
        bits.dedup();
        if bits.is_empty() || bits.iter().any(|b| !(2..=8).contains(b)) {
            return Err(needs(format!(
                "bits is {:?}; accepted: numbers from 2 to 8, at least one",
                self.bits
            )));
        }
        Ok(bits)
    }

    /// All limits that hold, at least one.
    fn limits(
        &self,
        plan: &Plan,
        bench: &Workbench<'_>,
        layers: &[usize],
        bits: &[u8],
        nominal: u8,
    ) -> Result<Vec<Limit>, MethodError> {
        let count = |i: usize| bench.weight(&bench.sites.weights[i]).1.len() as f64;
        let width = |i: usize| plan.weights[i].bits.iter().copied().max().unwrap_or(0);
        let others =
            || (0..plan.weights.len()).filter(|i| plan.weights[*i].is_quantized() && !layers.contains(i));
        let table = |cost: &dyn Fn(usize, u8) -> f64| -> Vec<Vec<f64>> {
            layers.iter().map(|&i| bits.iter().map(|&b| cost(i, b)).collect()).collect()
        };
        let mut limits = Vec::new();
        let unlimited = self.max_bytes.is_none() && self.max_latency_ms.is_none();
        if let Some(most) = self.average_bits.or(unlimited.then_some(f64::from(nominal))) {
            let total: f64 = layers.iter().map(|&i| count(i)).sum();
            let cost = table(&|i, b| count(i) * f64::from(b) / total);
            limits.push(Limit { name: "average_bits", cost, fixed: 0.0, most });
        }
        if let Some(most) = self.max_bytes {
            let bytes = |i: usize, b: u8| (count(i) * f64::from(b) / 8.0).ceil();
            let fixed = others().map(|i| bytes(i, width(i))).sum();
            limits.push(Limit { name: "max_bytes", cost: table(&bytes), fixed, most: most as f64 });
        }
        if let Some(most) = self.max_latency_ms {
            let all = bits.iter().copied().chain(others().map(width));
            if let Some(unknown) = all.into_iter().find(|&b| bench.target.ns_per_mac(b).is_none()) {
                return Err(needs(format!(
                    "max_latency_ms needs what {unknown}-bit weights take on target `{}`; add a [[latency]] entry with bits \
                     and ns_per_mac to its file",
                    bench.target.name
                )));
            }
            let macs =
                |i: usize| describe::macs(bench.graph, bench.types, bench.sites.weights[i].node) as f64;
            let ms = |i: usize, b: u8| macs(i) * bench.target.ns_per_mac(b).unwrap_or(0.0) * 1e-6;
            let fixed = others().map(|i| ms(i, width(i))).sum();
            limits.push(Limit { name: "max_latency_ms", cost: table(&ms), fixed, most });
        }
        Ok(limits)
    }
}

/// What was chosen, and what it is thought to be worth.
fn text(
    names: &[&str],
    bits: &[u8],
    chosen: &[usize],
    table: &table::Table,
    limits: &[Limit],
    nominal: u8,
) -> String {
    let by_width = bits.iter().enumerate().filter_map(|(choice, bits)| {
        let here = names.iter().zip(chosen).filter(|(_, c)| **c == choice);
        let here: Vec<String> = here.map(|(name, _)| format!("`{name}`")).collect();
        (!here.is_empty()).then(|| format!("{bits} bits: {}", here.join(", ")))
    });
    let by_width: Vec<String> = by_width.collect();
    let mut text =
        format!("{ID}: {}; predicted divergence {:.4} nats", by_width.join("; "), table.loss(chosen));
    if let Some(even) = bits.iter().position(|&b| b == nominal) {
        let loss = table.loss(&vec![even; names.len()]);
        text += &format!(", with {nominal} bits everywhere {loss:.4}");
    }
    for limit in limits {
        text += &format!("; {} {:.4} of {}", limit.name, limit.of(chosen), limit.most);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_note_says_who_got_what_and_what_for() {
        let table = table::Table { alone: vec![vec![0.5, 0.25], vec![0.125, 0.0625]], pairs: Vec::new() };
        let cost = vec![vec![1.0, 1.5]; 2];
        let limits = [Limit { name: "average_bits", cost, fixed: 0.0, most: 3.0 }];
        assert_eq!(
            text(&["a", "b"], &[2, 3], &[1, 0], &table, &limits, 3),
            "mixed-precision: 2 bits: `b`; 3 bits: `a`; predicted divergence 0.3750 nats, with 3 bits everywhere 0.3125; \
             average_bits 2.5000 of 3"
        );
    }

    #[test]
    fn widths_are_sorted_and_checked() {
        let of = |bits: &[u8]| Mixed { bits: bits.to_vec(), ..Mixed::default() }.widths();
        assert_eq!(of(&[8, 2, 4, 2]).unwrap(), [2, 4, 8]);
        for wrong in [&[][..], &[1, 4], &[4, 9]] {
            assert!(
                of(wrong).unwrap_err().to_string().contains("accepted: numbers from 2 to 8"),
                "{wrong:?}"
            );
        }
    }
}
