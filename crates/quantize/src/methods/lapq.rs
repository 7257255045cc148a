//! `lapq`: all steps together, by the loss of the network (Nahshan et al. 2019, arXiv:1911.07190).
//!
//! Below 8 bits the loss does not separate into the tensors: the best step of one depends on those of the others. So
//!
//! 1. for each of ten `p` from 2 to 4 every tensor gets the clip of least error `Σ|x − x̂|^p` by itself, an edge on what the
//!    network gives there with all before it quantized already;
//! 2. a parabola through the ten losses of the network gives the `p` to start from, if it has a minimum, and that is
//!    better than all ten and than the codes that came in;
//! 3. Powell's method ([`crate::powell`]) changes all clips jointly, by the loss alone.
//!
//! The loss is the cross-entropy with the labels, or the divergence from the float network's scores, both divided by
//! `temperature`, on the first `samples` of the calibration samples. After each sweep the others decide whether it is kept.
//!
//! Differences from the authors' code, all towards what their text intends: the logarithm of a clip is searched, in first
//! steps of a tenth, where theirs steps by 1 whatever the clip; a worse end is not kept; weights keep one scale per channel
//! where the recipe says so, and are scaled together; which layers have 8 bits is the recipe's choice.
//!
//! Only codes are set. A step in front gives the 8-bit codes (or else they reach from least to most), and may give the
//! point to start from.

pub mod cuts;
pub mod journal;
pub mod loss;
pub mod lp;
pub mod objective;
pub mod parabola;
mod search;
mod start;
pub mod variables;

use super::range::On;
use crate::method::{Entry, Method, MethodError};
use crate::observe::Needs;
use crate::plan::Plan;
use crate::run::{Effort, Samples};
use crate::workbench::Workbench;
use cuts::{Cuts, rows_fixed};
use loss::{Loss, log_probabilities};
use objective::{Measure, simulated};
use search::Search;
use serde::Deserialize;
use std::ops::Range;
use std::time::Instant;

pub(super) const ENTRY: Entry = Entry::new::<Lapq>(
    "lapq",
    "all steps together by the loss of the network: Lp start, then Powell's method",
    &[
        ("on", "weights | activations | both (default)"),
        (
            "loss",
            "auto (default): cross-entropy where samples have labels, else kl | cross-entropy | kl: divergence from the float scores",
        ),
        (
            "start",
            "lp (default): the best of the layer-wise clips and the codes that came in | plan: the latter",
        ),
        ("temperature", "what scores are divided by for kl: softer distributions tell more (default 4)"),
        ("p", "least and most p of the layer-wise clips, 0.5 to 8 (default [2, 4])"),
        ("samples", "samples to search on (default 512); at least a quarter of all is left to decide"),
        ("sweeps", "sweeps of Powell's method (default by effort: 1, 2, 4)"),
        (
            "correct_bias",
            "return the shift of weight rounding at every trial, as `bias-correction` does (default true)",
        ),
        ("eight_bit", "also vary tensors of 8 bits (default false)"),
    ],
);

/// Samples below which a loss says nothing.
const LEAST_SAMPLES: usize = 32;

/// What steps are chosen by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum By {
    /// Cross-entropy where there are labels, else divergence.
    #[default]
    Auto,
    /// Cross-entropy with the labels.
    CrossEntropy,
    /// Divergence of the scores from those of the float network.
    Kl,
}

/// Where the search starts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Start {
    /// From the best of the layer-wise clips and the codes that came in.
    #[default]
    Lp,
    /// From the codes that came in.
    Plan,
}

/// Options.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Lapq {
    /// What the step acts on.
    pub on: On,
    /// What steps are chosen by.
    pub loss: By,
    /// What scores are divided by for `kl`, above 0.
    pub temperature: f64,
    /// Where the search starts.
    pub start: Start,
    /// Least and most `p`.
    pub p: [f32; 2],
    /// Samples to search on.
    pub samples: usize,
    /// Sweeps; `None` leaves them to the effort.
    pub sweeps: Option<usize>,
    /// Whether the shift of weight rounding is returned at every trial.
    pub correct_bias: bool,
    /// Whether tensors of 8 bits vary too.
    pub eight_bit: bool,
}

impl Default for Lapq {
    fn default() -> Lapq {
        Lapq {
            on: On::Both,
            loss: By::Auto,
            temperature: 4.0,
            start: Start::Lp,
            p: [2.0, 4.0],
            samples: 512,
            sweeps: None,
            correct_bias: true,
            eight_bit: false,
        }
    }
}

impl Method for Lapq {
    fn refine(&self, plan: Plan, bench: &Workbench<'_>) -> Result<Plan, MethodError> {
        let clock = Instant::now();
        self.check(bench)?;
        let none = MethodError::TooFewSamples { step: ENTRY.id, found: 0, needed: LEAST_SAMPLES };
        let samples = bench.run.samples.ok_or(none)?;
        let [searched, deciding] = self.split(samples, bench)?;
        let base = start::complete(plan, bench);
        let found = variables::find(&base, bench.sites, self.on, self.eight_bit);
        let loss = self.loss(bench, samples)?;
        let simulated = simulated(bench, base.clone(), self.correct_bias)?;
        let (cuts, placed) = Cuts::new(*bench, samples, &simulated, &found);
        let measure = Measure { bench: *bench, cuts: &cuts, loss: &loss, correct_bias: self.correct_bias };
        let search = Search { lapq: self, measure: &measure, placed: &placed, samples: [searched, deciding] };
        let (plan, outcome) = search.run(base)?;
        bench.run.watch.note(format!("{outcome}, {:.1} s", clock.elapsed().as_secs_f64()));
        Ok(plan)
    }

    fn needs(&self) -> Needs {
        Needs { samples: true, ..Needs::default() }
    }
}

impl Lapq {
    /// Whether the options and the network are such that there can be a search.
    fn check(&self, bench: &Workbench<'_>) -> Result<(), MethodError> {
        let [least, most] = self.p;
        let message = if !(0.5 <= least && least < most && most <= 8.0) {
            format!("p is {least} to {most}; accepted: 0.5 to 8, the first less than the second")
        } else if !(self.temperature > 0.0 && self.temperature.is_finite()) {
            format!("temperature is {}; accepted: a positive number", self.temperature)
        } else if bench.graph.inputs.len() != 1 || bench.graph.outputs.is_empty() {
            format!(
                "the network has {} inputs and {} outputs; the loss needs one input and an output",
                bench.graph.inputs.len(),
                bench.graph.outputs.len()
            )
        } else {
            return Ok(());
        };
        Err(MethodError::Needs { step: ENTRY.id, message })
    }

    /// The samples to search on and those that decide.
    fn split(&self, samples: &Samples, bench: &Workbench<'_>) -> Result<[Range<usize>; 2], MethodError> {
        let unit = rows_fixed(bench.graph).unwrap_or(1);
        let whole = |n: usize| n / unit * unit;
        let all = whole(samples.len());
        let searched = whole((all - all / 4).min(self.samples));
        if all < LEAST_SAMPLES || searched == 0 || searched == all {
            let needed = LEAST_SAMPLES.max(4 * unit);
            return Err(MethodError::TooFewSamples { step: ENTRY.id, found: samples.len(), needed });
        }
        Ok([0..searched, searched..all])
    }

    /// The loss of each sample.
    fn loss(&self, bench: &Workbench<'_>, samples: &Samples) -> Result<Loss, MethodError> {
        match (self.loss, &samples.labels) {
            (By::CrossEntropy, None) => Err(MethodError::NoLabels { step: ENTRY.id }),
            (By::CrossEntropy | By::Auto, Some(labels)) => Ok(Loss::CrossEntropy(labels.clone())),
            (By::Kl | By::Auto, _) => {
                let (float, _) = Cuts::new(*bench, samples, bench.graph, &[]);
                let (temperature, mut all) = (self.temperature, Vec::new());
                let n = samples.len() / rows_fixed(bench.graph).unwrap_or(1)
                    * rows_fixed(bench.graph).unwrap_or(1);
                float.scores(bench.graph, &float.input(0..n), |_, scores| {
                    all.extend(log_probabilities(scores, temperature));
                })?;
                Ok(Loss::Divergence { temperature, float: all })
            }
        }
    }

    /// Sweeps of the search.
    fn sweeps(&self, effort: Effort) -> usize {
        self.sweeps.unwrap_or(match effort {
            Effort::Fast => 1,
            Effort::Balanced => 2,
            Effort::Best => 4,
        })
    }
}
