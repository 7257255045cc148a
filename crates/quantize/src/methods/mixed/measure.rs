//! What each width costs each layer, in the one currency in which blocks compare: the divergence of the network's answer.
//!
//! A block's own output error says little about what the error does: later blocks forgive some directions and blow up
//! others. So each entry runs the rest of the network in float behind the changed block, and is the mean divergence of the
//! answers from those of the float network.

use super::table::{Pair, Table};
use super::task::Task;
use super::{After, ID, Mixed, needs};
use crate::method::MethodError;
use crate::methods::brecq::part::Part;
use crate::methods::brecq::walk::Walk;
use crate::plan::Plan;
use crate::rows::Rows;
use crate::run::{Quiet, Run, Samples};
use crate::simulate::simulate;
use crate::workbench::Workbench;
use lowbit_engine::Differentiable;
use lowbit_graph::passes::Block;
use std::ops::Range;
use std::sync::Arc;

/// Samples that a network runs on at a time.
const BATCH: usize = 32;

/// From here on nearest codes lose nothing that learning could win back, and pairs nothing beyond their sum.
const AMPLE_BITS: u8 = 8;

/// What a table is measured with.
pub(super) struct Measure<'a> {
    task: &'a Task<'a>,
    /// The samples that trials learn on.
    learning: Samples,
    /// Those that losses are measured on: what is learned on some samples says too little of what a layer loses on them,
    /// the less the more weights it has.
    judged: Samples,
}

/// A change to measure: one or two layers, each with the place of its width.
type Entry = Vec<(usize, usize)>;

impl<'a> Measure<'a> {
    /// Trials learn on the first three quarters of the samples and are judged on the rest.
    pub(super) fn new(task: &'a Task<'a>) -> Result<Measure<'a>, MethodError> {
        let all = task.samples.len();
        let count = all - all.div_ceil(4);
        let part = |range| some(task.samples, range, task.bench);
        Ok(Measure { task, learning: part(0..count)?, judged: part(count..all)? })
    }

    /// Measures the table.
    pub(super) fn table(&self) -> Result<Table, MethodError> {
        let (graph, types, run) = (self.task.bench.graph, self.task.bench.types, self.task.bench.run);
        let within = |block: &Block| -> Vec<usize> {
            let site =
                |&l: &usize| block.nodes.contains(&self.task.bench.sites.weights[self.task.layers[l]].node);
            (0..self.task.layers.len()).filter(site).collect()
        };
        let busy = self.task.blocks.iter().filter(|block| !within(block).is_empty()).count();
        run.watch.stage("measure sensitivity", Some(busy as u64));
        let float = self.task.blocks.iter().map(|block| Part::new(graph, types, block).compile(BATCH, &[]));
        let float: Vec<Differentiable> = float.collect::<Result<_, _>>()?;
        let mut walk = Walk::new(graph, self.task.blocks, &self.judged, run)?;
        let mut answers = None;
        let mut table =
            Table { alone: vec![vec![0.0; self.task.bits.len()]; self.task.layers.len()], pairs: Vec::new() };
        for (b, block) in self.task.blocks.iter().enumerate() {
            let layers = within(block);
            if !layers.is_empty() {
                let entries = self.entries(&layers);
                let key = self.key(b, block);
                // The rows that the block gives, in the order of its entries.
                let known = self.task.known::<Vec<f64>>(&key);
                let losses = match known.filter(|losses| losses.len() == entries.len()) {
                    Some(losses) => losses,
                    None => {
                        let answers = match &answers {
                            Some(answers) => Arc::clone(answers),
                            None => self.answers(b, walk.clone(), &float[b], &float)?,
                        };
                        let losses = self.block(b, &walk, &float, &entries, &answers)?;
                        self.task.keep(&key, &block.name, &losses)?;
                        losses
                    }
                };
                table.take(&entries, &losses);
                run.watch.advance(1);
            }
            if answers.is_none() {
                answers = Some(self.answers(b, walk.clone(), &float[b], &float)?);
            }
            walk.advance(b, block, &float[b])?;
        }
        Ok(table)
    }

    /// Every layer at every width alone, then the pairs that involve the narrowest.
    fn entries(&self, layers: &[usize]) -> Vec<Entry> {
        let widths = 0..self.task.bits.len();
        let alone = layers.iter().flat_map(|&l| widths.clone().map(move |c| vec![(l, c)]));
        let narrow: Vec<usize> = widths.clone().filter(|&c| self.task.bits[c] < AMPLE_BITS).collect();
        let choices: Vec<[usize; 2]> = narrow
            .iter()
            .flat_map(|&a| narrow.iter().map(move |&b| [a, b]))
            .filter(|pair| pair.contains(&0))
            .collect();
        let pairs =
            layers.iter().enumerate().flat_map(|(i, &l)| layers[i + 1..].iter().map(move |&m| [l, m]));
        let pairs = pairs.flat_map(|[l, m]| choices.iter().map(move |&[a, b]| vec![(l, a), (m, b)]));
        alone.chain(pairs).collect()
    }

    /// The loss of each entry of block `b`; `walk` stands before it.
    fn block(
        &self,
        b: usize,
        walk: &Walk,
        float: &[Differentiable],
        entries: &[Entry],
        answers: &Rows,
    ) -> Result<Vec<f64>, MethodError> {
        let rounded = self.task.bits.iter().map(|&bits| self.rounded(b, bits));
        let rounded: Vec<Plan> = rounded.collect::<Result<_, _>>()?;
        let loss = |entry: &Entry| {
            let mut plan = self.task.float_plan();
            for &(layer, choice) in entry {
                let site = self.task.layers[layer];
                plan.weights[site] = rounded[choice].weights[site].clone();
            }
            let changed = simulate(self.task.bench.graph, self.task.bench.sites, &plan);
            let changed =
                Part::new(&changed, self.task.bench.types, &self.task.blocks[b]).compile(BATCH, &[])?;
            let found = self.answers(b, walk.clone(), &changed, float)?;
            self.divergence(answers, &found)
        };
        entries.iter().map(loss).collect()
    }

    /// A plan with the layers of block `b` alone, all of so many bits.
    fn rounded(&self, b: usize, bits: u8) -> Result<Plan, MethodError> {
        let block = &self.task.blocks[b];
        let mut plan = self.task.float_plan();
        for &site in self.task.layers {
            if block.nodes.contains(&self.task.bench.sites.weights[site].node) {
                plan.weights[site].bits = vec![bits];
            }
        }
        let plan = self.task.nearest(plan)?;
        if self.task.options.after == After::Rounding || bits >= AMPLE_BITS {
            return Ok(plan);
        }
        // What it tells of itself is about a trial, not about the result.
        let run = Run { watch: &Quiet, samples: Some(&self.learning), ..self.task.bench.run.clone() };
        let bench = Workbench { run: &run, ..*self.task.bench };
        let learn = super::trial(self.task.options.iterations, self.learning.len());
        learn.reconstruct(ID, plan, &bench, self.task.blocks[..=b].to_vec())
    }

    /// What the network answers when block `b` is `changed` and those after it are not.
    fn answers(
        &self,
        b: usize,
        mut walk: Walk,
        changed: &Differentiable,
        float: &[Differentiable],
    ) -> Result<Arc<Rows>, MethodError> {
        let output = self.task.judge.output;
        for (i, block) in self.task.blocks.iter().enumerate().skip(b) {
            walk.advance(i, block, if i == b { changed } else { &float[i] })?;
            if block.outputs.contains(&output) {
                return Ok(walk.at(output));
            }
        }
        Err(needs("the first result of the network is computed before its last weighted block".into()))
    }

    /// Mean divergence, in nats.
    fn divergence(&self, float: &Rows, found: &Rows) -> Result<f64, MethodError> {
        let each = self.task.judge.each(float, found)?;
        Ok(each.iter().sum::<f64>() / each.len() as f64)
    }

    /// All that the losses of a block depend on and a recipe may change.
    fn key(&self, b: usize, block: &Block) -> String {
        let widths: Vec<String> = self.task.bits.iter().map(u8::to_string).collect();
        let Mixed { after, iterations, temperature, .. } = self.task.options;
        format!(
            "{ID}/sensitivity/held-out/{b}/{}/{after:?}/{iterations}/{temperature}/{}",
            block.name,
            widths.join("-")
        )
    }
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

impl Table {
    /// Takes the losses of a block: what a pair loses beyond its layers alone.
    fn take(&mut self, entries: &[Entry], losses: &[f64]) {
        for (entry, &loss) in entries.iter().zip(losses) {
            match entry[..] {
                [(layer, choice)] => self.alone[layer][choice] = loss,
                [(l, a), (m, b)] => {
                    let extra = loss - self.alone[l][a] - self.alone[m][b];
                    self.pairs.push(Pair { layers: [l, m], choices: [a, b], extra });
                }
                _ => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pair_is_entered_as_what_it_loses_beyond_its_layers_alone() {
        let mut table = Table { alone: vec![vec![0.0]; 2], pairs: Vec::new() };
        table.take(&[vec![(0, 0)], vec![(1, 0)], vec![(0, 0), (1, 0)]], &[1.0, 2.0, 5.0]);
        assert_eq!(table.alone, [[1.0], [2.0]]);
        assert_eq!(table.pairs, [Pair { layers: [0, 1], choices: [0, 0], extra: 2.0 }]);
        assert_eq!(table.loss(&[0, 0]), 5.0);
    }
}
