//! `mixed-precision`: bits per layer from measured sensitivity, under a limit of size or time (Li et al. 2021, BRECQ, 3.4);
//! or bits per output channel, which goes beyond the paper.
//!
//! By layer, each layer is tried alone at each width, rounded to nearest (or with its block reconstructed briefly, as in the paper)
//! and the rest of the network in float; the answers' divergence from those of the float network makes a table. Inside a
//! block, pairs that involve the narrowest width are measured together; all else is taken to add up. A genetic search then looks for the widths of least sum.
//! With `build`, the few choices that it thinks best are really built, and the one that answers best is taken; all layers
//! alike is always among them. With `finalists`, the best of those go through the rest of the recipe before one is taken.
//!
//! By output channel there are too many to try: what each costs follows from the squared gradients of its weights, and
//! bits go where they gain most. What has a width of its own, a layer or an output channel, is called a *unit*.
//!
//! Sets bits only: steps that choose codes must follow. Layers that the recipe treats apart, first and last ones and those
//! with an override, keep their bits.

mod built;
mod finalists;
mod fisher;
pub mod judge;
pub mod limit;
mod measure;
pub mod search;
pub mod shortlist;
pub mod spend;
pub mod table;
mod task;

use crate::method::{Entry, Method, MethodError};
use crate::methods::brecq::{Brecq, Phases};
use crate::methods::range::On;
use crate::observe::Needs;
use crate::plan::Plan;
use crate::recipe::Granularity;
use crate::workbench::Workbench;
use built::Built;
use judge::Judge;
use limit::Limit;
use measure::Measure;
use serde::Deserialize;
use table::Table;
use task::{Candidate, Task};

/// Name in recipes, messages and saved state.
const ID: &str = "mixed-precision";

pub(super) const ENTRY: Entry = Entry::new::<Mixed>(
    ID,
    "bits per layer or output channel from measured sensitivity, under a limit of size or time; needs samples, no labels",
    &[
        (
            "per",
            "layer (default): by a table and a genetic search | channel: by the squared gradients of weights",
        ),
        ("bits", "widths to choose from, 2 to 8 (default [2, 3, 4, 8]; per channel 2, 3, 4, 5, 6 and 8)"),
        (
            "average_bits",
            "most bits per weight of the layers chosen for (default without other limits: weights.bits)",
        ),
        ("max_bytes", "most bytes of all quantized weights, without their scales"),
        ("max_latency_ms", "most time for a sample by the target's latency table; per layer only"),
        (
            "after",
            "what the table is measured after, per layer: rounding (default): to nearest | reconstruction: of each block, briefly",
        ),
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

/// What has a width of its own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Per {
    /// Each layer.
    #[default]
    Layer,
    /// Each output channel of each layer.
    Channel,
}

/// Options.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Mixed {
    /// What has a width of its own.
    pub per: Per,
    /// Widths to choose from; a few usual ones if absent.
    pub bits: Option<Vec<u8>>,
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
            per: Per::default(),
            bits: None,
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
        let units = self.units(bench, &layers)?;
        let limits = limit::all(self, (&plan, nominal), bench, [&layers, &units], &bits)?;
        let narrowest = vec![0; units.iter().sum()];
        if let Some(limit) = limits.iter().find(|limit| !limit.holds(&narrowest)) {
            let (name, most, least) = (limit.name, limit.most, limit.of(&narrowest));
            let message = format!(
                "{name} is {most}; with {} bits everywhere it is {least:.4} already: raise it, or offer fewer bits",
                bits[0]
            );
            return Err(needs(message));
        }
        let samples = bench.run.samples.filter(|samples| !samples.is_empty());
        let samples = samples.ok_or_else(|| needs("no calibration samples were kept for it".into()))?;
        if samples.len() < 2 {
            return Err(MethodError::TooFewSamples { step: ID, found: samples.len(), needed: 2 });
        }
        let blocks =
            crate::blocks::of(bench.recipe, bench.graph).map_err(|error| needs(error.to_string()))?;
        let judge = Judge::new(bench, self.temperature)?;
        let (blocks, layers, units, bits) =
            (blocks.as_slice(), layers.as_slice(), units.as_slice(), bits.as_slice());
        let task = &Task { options: self, bench, judge, samples, blocks, layers, units, bits };
        let table = match self.per {
            Per::Layer => Measure::new(task)?.table()?,
            Per::Channel => fisher::table(task)?,
        };
        if let Some((unit, c)) = table.not_a_number() {
            let name = task.name(task.layer_of(unit));
            return Err(needs(format!("the loss of `{name}` with {} bits is not a number", bits[c])));
        }
        bench.run.watch.stage("choose bits", None);
        let list = match self.per {
            Per::Layer => self.by_layer(task, &table, &limits),
            Per::Channel => self.by_channel(task, &table, &limits),
        };
        let chosen = self.best(task, list, &plan)?;
        bench.run.watch.note(text(task, &chosen, &table, &limits, nominal));
        Ok(task.with_widths(plan, &chosen.chosen))
    }

    fn needs(&self) -> Needs {
        Needs { samples: true, ..Needs::default() }
    }
}

impl Mixed {
    /// The widths offered, ascending.
    fn widths(&self) -> Result<Vec<u8>, MethodError> {
        let usual = match self.per {
            Per::Layer => &[2, 3, 4, 8][..],
            // A channel is small: the step from 4 to 8 bits would pass over what it is worth.
            Per::Channel => &[2, 3, 4, 5, 6, 8],
        };
        let mut bits = self.bits.clone().unwrap_or_else(|| usual.to_vec());
        bits.sort_unstable();
        bits.dedup();
        if bits.is_empty() || bits.iter().any(|b| !(2..=8).contains(b)) {
            return Err(needs(format!(
                "bits is {:?}; accepted: numbers from 2 to 8, at least one",
                self.bits.as_deref().unwrap_or_default()
            )));
        }
        Ok(bits)
    }

    /// How many units each layer has.
    fn units(&self, bench: &Workbench<'_>, layers: &[usize]) -> Result<Vec<usize>, MethodError> {
        if self.per == Per::Layer {
            return Ok(vec![1; layers.len()]);
        }
        if bench.recipe.weights.per != Granularity::Channel {
            return Err(needs("bits per channel need weights.per = \"channel\"".into()));
        }
        if self.after != After::Rounding {
            return Err(needs(
                "after = \"reconstruction\" needs per = \"layer\": channels are not tried one by one".into(),
            ));
        }
        if self.max_latency_ms.is_some() {
            let message = "max_latency_ms needs per = \"layer\": a target's table knows layers of one width";
            return Err(needs(message.into()));
        }
        let channels = |&i: &usize| {
            let site = &bench.sites.weights[i];
            site.channel_axis.map_or(1, |axis| bench.weight(site).0.shape()[axis])
        };
        Ok(layers.iter().map(channels).collect())
    }

    /// What to choose from by a table of layers: what it thinks best, or where networks are built all that is worth it.
    fn by_layer(&self, task: &Task<'_>, table: &Table, limits: &[Limit]) -> Vec<Candidate> {
        let seed = task.bench.run.seed;
        let list = match self.build {
            None => search::search(table, limits, seed).into_iter().collect(),
            Some(_) => shortlist::shortlist(table, limits, seed),
        };
        let widths = |chosen: &Vec<usize>| chosen.iter().map(|&c| task.bits[c].to_string()).collect();
        list.into_iter().map(|chosen| Candidate { name: widths(&chosen), chosen }).collect()
    }

    /// The same by a table of output channels.
    fn by_channel(&self, task: &Task<'_>, table: &Table, limits: &[Limit]) -> Vec<Candidate> {
        let even = shortlist::even(task.bits.len(), table.alone.len(), limits).unwrap_or(0);
        let count = |&i: &usize| task.bench.weight(&task.bench.sites.weights[i]).1.len();
        let weights: Vec<usize> = task.layers.iter().map(count).collect();
        let spent = |&power: &f64| Candidate {
            name: format!("power {power}"),
            chosen: spend::spend(&spend::tempered(table, task.units, &weights, even, power), limits),
        };
        if self.build.is_none() {
            return vec![spent(&spend::POWER)];
        }
        let name = format!("{} bits everywhere", task.bits[even]);
        let mut list = vec![Candidate { name, chosen: vec![even; table.alone.len()] }];
        for candidate in spend::POWERS.iter().map(spent) {
            if list.iter().all(|known| known.chosen != candidate.chosen) {
                list.push(candidate);
            }
        }
        list
    }

    /// The best of a list, or where nothing is built its only one.
    fn best(&self, task: &Task<'_>, mut list: Vec<Candidate>, plan: &Plan) -> Result<Candidate, MethodError> {
        let Some(after) = self.build else {
            let contradiction =
                || needs("the limits contradict each other: no widths keep all of them".into());
            return list.pop().ok_or_else(contradiction);
        };
        let watch = task.bench.run.watch;
        let built = Built::new(task, after, plan)?;
        let (best, all) = built.best(list)?;
        watch.note(built::text("built", &best, &all));
        let rest = task.bench.recipe.after(self);
        if self.finalists == 0 || rest.is_empty() || all.len() < 2 {
            return Ok(best.candidate);
        }
        let finalists = built.finalists(&all, self.finalists, plan, rest)?;
        let best = finalists::best(&finalists).expect("all layers alike are one");
        watch.note(built::text("finished by the rest of the recipe", best, &finalists));
        Ok(best.candidate.clone())
    }
}

/// What was chosen, and what it is thought to be worth.
fn text(task: &Task<'_>, best: &Candidate, table: &Table, limits: &[Limit], nominal: u8) -> String {
    let mut text = match task.options.per {
        Per::Layer => by_width(task, &best.chosen),
        // The report has the average of each layer.
        Per::Channel => by_count(task, best),
    };
    text += &format!("; predicted divergence {:.4} nats", table.loss(&best.chosen));
    if let Some(even) = task.bits.iter().position(|&b| b == nominal) {
        let loss = table.loss(&vec![even; table.alone.len()]);
        text += &format!(", with {nominal} bits everywhere {loss:.4}");
    }
    for limit in limits {
        text += &format!("; {} {:.4} of {}", limit.name, limit.of(&best.chosen), limit.most);
    }
    format!("{ID}: {text}")
}

/// The layers of each width.
fn by_width(task: &Task<'_>, chosen: &[usize]) -> String {
    let of = |(choice, bits): (usize, &u8)| {
        let here = chosen.iter().enumerate().filter(|(_, c)| **c == choice);
        let here: Vec<String> = here.map(|(l, _)| format!("`{}`", task.name(l))).collect();
        (!here.is_empty()).then(|| format!("{bits} bits: {}", here.join(", ")))
    };
    task.bits.iter().enumerate().filter_map(of).collect::<Vec<_>>().join("; ")
}

/// How many output channels have each width.
fn by_count(task: &Task<'_>, best: &Candidate) -> String {
    let of = |(choice, bits): (usize, &u8)| {
        let here = best.chosen.iter().filter(|c| **c == choice).count();
        (here > 0).then(|| format!("{bits} bits: {here}"))
    };
    let counts: Vec<String> = task.bits.iter().enumerate().filter_map(of).collect();
    format!("{}, output channels of {}", best.name, counts.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn widths_are_sorted_and_checked() {
        let of = |bits: &[u8]| Mixed { bits: Some(bits.to_vec()), ..Mixed::default() }.widths();
        assert_eq!(of(&[8, 2, 4, 2]).unwrap(), [2, 4, 8]);
        for wrong in [&[][..], &[1, 4], &[4, 9]] {
            assert!(
                of(wrong).unwrap_err().to_string().contains("accepted: numbers from 2 to 8"),
                "{wrong:?}"
            );
        }
    }
}
