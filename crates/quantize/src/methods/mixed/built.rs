//! Networks with widths of their own per unit, really built and judged as a whole.
//!
//! A table of layers changed alone cannot know what learning does for all of them together: a block that is reconstructed
//! makes up for what the blocks before it lost. So the few choices that the table thinks best are built and compared, both on
//! all samples: each has as many rounding variables as any other and learns on the same samples, so what that flatters it
//! flatters all about alike, while a quarter fewer to learn on hurts narrow layers more than others, and few to judge by
//! hide what is gained. Blocks before the first layer that differs from the best network so far are taken over from it.

use super::judge::difference;
use super::task::{Candidate, Task};
use super::{After, ID, Mixed, needs};
use crate::method::{Method, MethodError};
use crate::methods::bias_correction::BiasCorrection;
use crate::methods::brecq::part::Part;
use crate::methods::brecq::walk::Walk;
use crate::plan::{Plan, Setting};
use crate::rows::Rows;
use crate::run::{Quiet, Run, State};
use crate::simulate::simulate;
use crate::workbench::Workbench;
use lowbit_graph::Graph;
use std::collections::HashMap;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};

/// Samples that a network runs on at a time.
const BATCH: usize = 32;

/// Standard errors of the paired difference that a network must be better by to displace another.
const CERTAIN: f64 = 2.0;

/// What networks are built of and judged with.
pub(super) struct Built<'a> {
    pub(super) task: &'a Task<'a>,
    after: After,
    /// The plan with the layers that no widths are chosen for, and float edges: what is chosen is bits of weights.
    start: Plan,
    /// What the float network answers.
    float: Arc<Rows>,
}

/// A choice of widths and what its network was worth.
#[derive(Clone, Debug)]
pub(super) struct Judged {
    pub(super) candidate: Candidate,
    /// Divergence by judged sample, in nats.
    pub(super) each: Vec<f64>,
}

impl Judged {
    /// Mean divergence; no number counts as infinitely much, whatever its sign.
    pub(super) fn mean(&self) -> f64 {
        let mean = self.each.iter().sum::<f64>() / self.each.len().max(1) as f64;
        if mean.is_nan() { f64::INFINITY } else { mean }
    }
}

impl<'a> Built<'a> {
    /// Networks that begin as `plan` for the layers that no widths are chosen for.
    pub(super) fn new(task: &'a Task<'a>, after: After, plan: &Plan) -> Result<Built<'a>, MethodError> {
        let start = Plan { activations: vec![Setting::default(); plan.activations.len()], ..plan.clone() };
        let float = answers(task, task.bench.graph)?;
        Ok(Built { task, after, start, float })
    }

    /// The best of these choices: each displaces the best before it only if it is better beyond noise. Also all of them.
    pub(super) fn best(&self, list: Vec<Candidate>) -> Result<(Judged, Vec<Judged>), MethodError> {
        let watch = self.task.bench.run.watch;
        watch.stage("build the best few", Some(list.len() as u64));
        let mut all: Vec<Judged> = Vec::new();
        let (mut best, mut blocks): (Option<Judged>, _) = (None, HashMap::new());
        for candidate in list {
            let (judged, learned) = self.judged(candidate, &blocks)?;
            all.push(judged.clone());
            let better = best.as_ref().is_none_or(|best| {
                let (mean, error) = difference(&judged.each, &best.each);
                // An infinite difference has no error; anything that can be told is better than what cannot.
                mean < -CERTAIN * error || best.mean().is_infinite() && judged.mean().is_finite()
            });
            if better {
                (best, blocks) = (Some(judged), learned);
            }
            watch.advance(1);
        }
        let best = best.ok_or_else(|| needs("no choice of widths keeps all limits".into()))?;
        Ok((best, all))
    }

    /// Builds one network, or finds what it was worth when it was built before; and its blocks as they were learned.
    fn judged(
        &self,
        candidate: Candidate,
        known: &HashMap<String, Vec<u8>>,
    ) -> Result<(Judged, HashMap<String, Vec<u8>>), MethodError> {
        let key = self.key(&candidate.chosen);
        if let Some(each) =
            self.task.known::<Vec<f64>>(&key).filter(|each| each.len() == self.task.samples.len())
        {
            return Ok((Judged { candidate, each }, HashMap::new()));
        }
        let memory = Memory { known, learned: Mutex::default() };
        let network = self.network(&candidate.chosen, &memory)?;
        let each = self.each(&network)?;
        self.task.keep(&key, "the best few", &each)?;
        Ok((Judged { candidate, each }, memory.learned.into_inner().unwrap_or_else(PoisonError::into_inner)))
    }

    /// The divergence of a network's answers, sample by sample.
    pub(super) fn each(&self, network: &Graph) -> Result<Vec<f64>, MethodError> {
        self.task.judge.each(&self.float, &*answers(self.task, network)?)
    }

    /// The network with these widths.
    fn network(&self, chosen: &[usize], memory: &Memory<'_>) -> Result<Graph, MethodError> {
        let plan = self.task.nearest(self.task.with_widths(self.start.clone(), chosen))?;
        // What it tells of itself is about a trial, not about the result.
        let run = Run {
            watch: &Quiet,
            samples: Some(self.task.samples),
            state: memory,
            ..self.task.bench.run.clone()
        };
        let bench = Workbench { run: &run, ..*self.task.bench };
        let plan = match self.after {
            After::Rounding => BiasCorrection::default().refine(plan, &bench)?,
            After::Reconstruction => {
                let learn = super::trial(self.task.options.iterations, self.task.samples.len());
                learn.reconstruct(ID, plan, &bench, self.task.blocks.to_vec())?
            }
        };
        Ok(simulate(self.task.bench.graph, self.task.bench.sites, &plan))
    }

    /// All that its worth depends on and a recipe may change.
    fn key(&self, chosen: &[usize]) -> String {
        let layer = |bits: Vec<u8>| bits.iter().map(u8::to_string).collect::<Vec<_>>().join(".");
        let widths: Vec<String> = self.task.widths(chosen).into_iter().map(layer).collect();
        let Mixed { iterations, temperature, .. } = self.task.options;
        format!("{ID}/built-on-all/{:?}/{iterations}/{temperature}/{}", self.after, widths.join("-"))
    }
}

/// What was built, `how`, and what it was worth.
pub(super) fn text(how: &str, best: &Judged, all: &[Judged]) -> String {
    let Some(first) = all.first() else { return String::new() };
    let told = all.iter().map(|judged| {
        let (mean, error) = difference(&judged.each, &first.each);
        format!("{} {:.5} ({mean:+.5} ± {error:.5})", judged.candidate.name, judged.mean())
    });
    format!(
        "{ID}: {how} and compared on {} samples, divergence in nats (more than the first's): {}; taken: {}",
        first.each.len(),
        told.collect::<Vec<_>>().join(", "),
        best.candidate.name
    )
}

/// What a network answers; it is run block by block, so that memory is that of the widest edges.
fn answers(task: &Task<'_>, network: &Graph) -> Result<Arc<Rows>, MethodError> {
    let (bench, output) = (task.bench, task.judge.output);
    let mut walk = Walk::new(bench.graph, task.blocks, task.samples, bench.run)?;
    for (b, block) in task.blocks.iter().enumerate() {
        walk.advance(b, block, &Part::new(network, bench.types, block).compile(BATCH, &[])?)?;
        if block.outputs.contains(&output) {
            break;
        }
    }
    Ok(walk.at(output))
}

/// Blocks of the network being built, some of them known from another: the same where all before them is.
struct Memory<'a> {
    known: &'a HashMap<String, Vec<u8>>,
    learned: Mutex<HashMap<String, Vec<u8>>>,
}

impl State for Memory<'_> {
    fn load(&self, key: &str) -> Option<Vec<u8>> {
        let value = self.known.get(key).cloned()?;
        self.learned.lock().unwrap_or_else(PoisonError::into_inner).insert(key.to_owned(), value.clone());
        Some(value)
    }

    fn save(&self, key: &str, value: &[u8]) -> io::Result<()> {
        self.learned.lock().unwrap_or_else(PoisonError::into_inner).insert(key.to_owned(), value.to_vec());
        Ok(())
    }
}
