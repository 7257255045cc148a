//! What a strategy does to the answers, computing only what it changes.
//!
//! The network is cut into blocks. What every sample is at a cut depends on the choices before it alone, so that strategies that
//! begin alike share it: the values at the last common cut are kept, and a trial runs from there on, as one network.
//!
//! An edge is rounded where it is read: a value at a cut is kept as it was before it is rounded.

use super::settings::Settings;
use super::space::{Place, Space, Strategy};
use super::trial::Trial;
use crate::evaluate::best;
use crate::method::MethodError;
use crate::methods::lapq::loss::{divergence, log_probabilities};
use crate::plan::Setting;
use crate::simulate::simulate;
use crate::site::Sites;
use crate::workbench::Workbench;
use lowbit_engine::Network;
use lowbit_graph::passes::{self, Block, between, segment};
use lowbit_graph::{Graph, ValueId};
use lowbit_tensor::Tensor;
use std::collections::HashSet;

/// What scores are divided by before they are compared: trained networks are too sure of theirs.
pub const TEMPERATURE: f64 = 4.0;

/// The loss of answers that are no numbers: more than any other, and JSON has a form for it.
pub const UNUSABLE: f64 = 1e9;

/// Measures strategies of one space on samples.
pub struct Evaluator<'a> {
    bench: &'a Workbench<'a>,
    space: &'a Space,
    settings: Settings<'a>,
    blocks: Vec<Block>,
    /// First block that a gene changes.
    stage: Vec<usize>,
    /// All samples, those that the search goes by first.
    input: Tensor,
    judged: usize,
    /// What the float network answers: scores of all samples.
    float: Vec<f32>,
    labels: Option<Vec<u32>>,
    kept: Vec<Kept>,
    capacity: usize,
    last: Option<Strategy>,
    /// Blocks run, and blocks there were to run without what was kept.
    pub work: [u64; 2],
}

/// Values at a cut.
struct Kept {
    /// Blocks before the cut.
    cut: usize,
    /// Choices of the genes before it.
    choices: Vec<usize>,
    values: Vec<(ValueId, Tensor)>,
}

impl<'a> Evaluator<'a> {
    /// For samples `[n, …]` of which the first `judged` decide. `capacity` bounds the bytes kept at cuts.
    ///
    /// # Errors
    /// When the network cannot be run.
    pub fn new(
        bench: &'a Workbench<'a>,
        space: &'a Space,
        input: Tensor,
        labels: Option<Vec<u32>>,
        judged: usize,
        capacity: usize,
    ) -> Result<Evaluator<'a>, MethodError> {
        let blocks = passes::blocks(bench.graph);
        let stage = space.genes.iter().map(|gene| first_block(bench.graph, bench.sites, &blocks, gene.place));
        let stage = stage.collect();
        let float = Network::new(bench.graph)?.run(std::slice::from_ref(&input))?;
        let float = float.first().map_or(Vec::new(), Tensor::to_f32);
        Ok(Evaluator {
            bench,
            space,
            settings: Settings::new(bench),
            blocks,
            stage,
            input,
            judged,
            float,
            labels,
            kept: Vec::new(),
            capacity,
            last: None,
            work: [0; 2],
        })
    }

    /// The plans of strategies.
    pub fn settings(&self) -> &Settings<'a> {
        &self.settings
    }

    /// Gives back the memory of values at cuts; what is measured after it is the same.
    pub fn forget(&mut self) {
        self.kept.clear();
    }

    /// Measures a strategy. What comes out does not depend on what was measured before.
    ///
    /// # Errors
    /// When the network cannot be run.
    pub fn measure(&mut self, strategy: &Strategy) -> Result<Trial, MethodError> {
        let answers = self.answers(strategy)?;
        let [(loss, drop), (check_loss, check_drop)] = self.judge(&answers);
        let bits = self.space.bits(strategy);
        Ok(Trial { strategy: strategy.clone(), bits, loss, drop, check_loss, check_drop })
    }

    /// Choices of the genes that change blocks before `cut`.
    fn choices(&self, strategy: &[usize], cut: usize) -> Vec<usize> {
        strategy.iter().zip(&self.stage).filter(|(_, stage)| **stage < cut).map(|(c, _)| *c).collect()
    }

    /// The scores of all samples.
    fn answers(&mut self, strategy: &Strategy) -> Result<Vec<f32>, MethodError> {
        let mut plan = self.settings.plan(self.space, strategy)?;
        let end = self.blocks.len();
        let shared = |a: &Strategy| {
            let differs = (0..strategy.len()).filter(|&g| a[g] != strategy[g]).map(|g| self.stage[g]);
            differs.min().unwrap_or(end.saturating_sub(1)).min(end.saturating_sub(1))
        };
        let common = self.last.as_ref().map_or(0, shared);
        let fits = |kept: &Kept| kept.choices == self.choices(strategy, kept.cut);
        let start = (0..self.kept.len()).filter(|&i| fits(&self.kept[i])).max_by_key(|&i| self.kept[i].cut);
        let mut cut = start.map_or(0, |i| self.kept[i].cut);
        let mut values = match start {
            Some(i) => {
                // The most recently used last: what must go, goes from the front.
                let kept = self.kept.remove(i);
                let values = kept.values.clone();
                self.kept.push(kept);
                values
            }
            None => self.bench.graph.inputs.first().map(|&id| (id, self.input.clone())).into_iter().collect(),
        };
        self.work[0] += (end - cut) as u64;
        self.work[1] += end as u64;
        // Weights that no block from here on has are not decoded again.
        for (gene, _) in self.space.genes.iter().zip(&self.stage).filter(|(_, stage)| **stage < cut) {
            if let Place::Weight(i) = gene.place {
                plan.weights[i] = Setting::default();
            }
        }
        let network = simulate(self.bench.graph, self.bench.sites, &plan);
        if common > cut {
            let live = self.live(common);
            values = run(&network, self.bench, &values, &live)?;
            cut = common;
            let choices = self.choices(strategy, cut);
            self.keep(Kept { cut, choices, values: values.clone() });
        }
        let output = self.bench.graph.outputs.first().copied();
        let output = output.map(|id| simulated_output(self.bench, &network, id));
        let answers = run(&network, self.bench, &values, &output.into_iter().collect::<Vec<_>>())?;
        self.last = Some(strategy.clone());
        Ok(answers.first().map_or(Vec::new(), |(_, tensor)| tensor.to_f32()))
    }

    /// Values known before block `cut` that it or a later one reads.
    fn live(&self, cut: usize) -> Vec<ValueId> {
        let before: HashSet<ValueId> =
            self.blocks[..cut].iter().flat_map(|block| block.outputs.iter().copied()).collect();
        let known = |id: &&ValueId| before.contains(*id) || self.bench.graph.inputs.contains(id);
        let mut live: Vec<ValueId> =
            self.blocks[cut..].iter().flat_map(|block| &block.inputs).filter(known).copied().collect();
        live.extend(self.bench.graph.outputs.iter().filter(|id| before.contains(*id)));
        live.sort_unstable();
        live.dedup();
        live
    }

    fn keep(&mut self, kept: Kept) {
        let bytes = |kept: &Kept| kept.values.iter().map(|(_, t)| 4 * t.len()).sum::<usize>();
        self.kept.push(kept);
        while self.kept.iter().map(bytes).sum::<usize>() > self.capacity {
            self.kept.remove(0);
        }
    }

    /// Loss and drop on the samples that the search goes by, and on those held out.
    fn judge(&self, answers: &[f32]) -> [(f64, f64); 2] {
        let samples = self.input.shape()[0];
        let row = self.float.len() / samples.max(1);
        let scores = self.bench.graph.outputs.first().and_then(|id| self.bench.types[id.0].as_ref());
        let classes = scores.is_some_and(|ty| ty.shape.len() == 2) && row > 1;
        [0..self.judged, self.judged..samples].map(|range| {
            let count = range.len().max(1) as f64;
            let (mut loss, mut kept, mut before) = (0.0, 0.0, 0.0);
            for i in range {
                let (p, q) = (&self.float[i * row..][..row], &answers[i * row..][..row]);
                loss += if classes {
                    let soft = |scores: &[f32]| log_probabilities(scores, TEMPERATURE);
                    divergence(&soft(p), &soft(q))
                } else {
                    let square = |x: f32| f64::from(x) * f64::from(x);
                    let error: f64 = p.iter().zip(q).map(|(p, q)| square(p - q)).sum();
                    error / p.iter().map(|&p| square(p)).sum::<f64>().max(f64::MIN_POSITIVE)
                };
                let (float, found) = (best(p), best(q));
                match self.labels.as_ref().and_then(|labels| labels.get(i)) {
                    Some(&label) => {
                        before += f64::from(u8::from(float == label as usize));
                        kept += f64::from(u8::from(found == label as usize));
                    }
                    None => {
                        before += 1.0;
                        kept += f64::from(u8::from(found == float));
                    }
                }
            }
            let loss = loss / count;
            (if loss.is_finite() { loss } else { UNUSABLE }, 100.0 * (before - kept) / count)
        })
    }
}

/// The value that holds an output of the network once it is simulated: rounding it replaced it.
fn simulated_output(bench: &Workbench<'_>, network: &Graph, id: ValueId) -> ValueId {
    let place = bench.graph.outputs.iter().position(|output| *output == id).unwrap_or(0);
    network.outputs[place]
}

/// The first block that a gene changes: that of its layer, or the first that reads its edge or what only rearranges it.
fn first_block(graph: &Graph, sites: &Sites, blocks: &[Block], place: Place) -> usize {
    let of_node = |n: usize| blocks.iter().position(|block| block.nodes.iter().any(|node| node.0 == n));
    match place {
        Place::Weight(i) => of_node(sites.weights[i].node.0).unwrap_or(0),
        Place::Edge(i) => {
            let value = sites.activations[i].value;
            let reads = |n: &usize| graph.nodes[*n].inputs.contains(&Some(value));
            let readers = (0..graph.nodes.len()).filter(reads).filter_map(of_node);
            readers.min().unwrap_or(blocks.len().saturating_sub(1))
        }
    }
}

/// The values `wanted` of a simulated network, from those given.
fn run(
    network: &Graph,
    bench: &Workbench<'_>,
    values: &[(ValueId, Tensor)],
    wanted: &[ValueId],
) -> Result<Vec<(ValueId, Tensor)>, MethodError> {
    let ids: Vec<ValueId> = values.iter().map(|(id, _)| *id).collect();
    // What is known already is not computed again: it passes by.
    let (passing, computed): (Vec<ValueId>, Vec<ValueId>) = wanted.iter().partition(|id| ids.contains(id));
    let mut found: Vec<(ValueId, Tensor)> =
        passing.iter().filter_map(|id| values.iter().find(|(other, _)| other == id)).cloned().collect();
    if !computed.is_empty() {
        let nodes = between(network, &ids, &computed);
        let read: Vec<ValueId> = ids
            .iter()
            .copied()
            .filter(|id| nodes.iter().any(|n| network.nodes[n.0].inputs.contains(&Some(*id))))
            .collect();
        let part = segment(network, bench.types, &nodes, &read, &computed);
        let inputs: Vec<Tensor> =
            values.iter().filter(|(id, _)| read.contains(id)).map(|(_, tensor)| tensor.clone()).collect();
        let outputs = Network::new(&part)?.run(&inputs)?;
        found.extend(computed.into_iter().zip(outputs));
    }
    Ok(found)
}
