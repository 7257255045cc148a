//! Whole networks forward and back, with normalizations that see the whole batch.
//!
//! The tape is cut into phases at each sum over the batch, and the batch into a few *shards*, which depend on nothing but
//! the network and the batch. Threads take shards; within one, a phase passes over so few rows at a time that what it
//! computes stays in the cache. When all shards are through, their sums are added up in order, and the next phase
//! begins. So a convolution's output meets its statistics, and a gradient the sums it is part of, while they
//! are at hand, and results do not depend on the number of threads.

use super::compile::{self, Roundings};
use super::norm::{Norm, Normalized, Part};
use super::phases::{self, Phase, Phases};
use super::rooms::{Local, Rooms};
use super::tape::{Cell, Tape};
use super::{GradientError, Gradients, Outside, Parameter, lock, outside};
use crate::batch::{batch_symbol, rows_of};
use crate::rows::independent;
use crate::{EngineError, ops};
use lowbit_graph::passes::specialize;
use lowbit_graph::{Graph, NodeId, ValueId};
use lowbit_kernels::{AlignedVec, Isa};
use rayon::prelude::*;
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::{Arc, Mutex};

/// How an edge is rounded while trained: stands in for the `FakeQuantize` node that computes the edge's value.
///
/// Elementwise, so that any layout and any cut of the batch give the same. What a call may depend on beside its
/// arguments are the values last [`set`](Rounding::set), between steps.
pub trait Rounding: Send + Sync {
    /// Number of its parameters.
    fn len(&self) -> usize;
    /// Whether it has none.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
    /// Takes new values of its parameters.
    fn set(&self, values: &[f32]);
    /// `y = Q(x)`, as many values as `x` has.
    fn forward(&self, isa: Isa, x: &[f32], y: &mut [f32]);
    /// From `x` and `grad`, the gradient of `y`, that of `x` in place; overwrites `parameters` with the sums of
    /// the gradients of the parameters over these elements.
    fn backward(&self, isa: Isa, x: &[f32], grad: &mut [f32], parameters: &mut [f32]);
}

/// What a batch normalization saw in the last step.
#[derive(Clone, Debug, PartialEq)]
pub struct BatchStatistics {
    /// The node, by its place among those of the graph that was compiled, and its name.
    pub node: NodeId,
    /// Its name.
    pub name: String,
    /// Values per channel: rows of the batch times cells of the picture.
    pub count: usize,
    /// `[channels]`.
    pub mean: Vec<f64>,
    /// Biased, as it normalizes: `Σ (x - mean)² / count`, `[channels]`. Running averages take it times
    /// `count / (count - 1)`.
    pub variance: Vec<f64>,
}

/// A graph compiled for training steps.
///
/// Inputs and outputs are plain rows, one per image, channels last from rank 3 on, as those of
/// [`Differentiable`](super::Differentiable) are.
pub struct Training {
    tape: Tape,
    plan: Phases,
    /// Rows that were planned for.
    batch: usize,
    /// Rows of a shard at most; the whole batch where it may not be cut.
    shard_rows: usize,
    cut: bool,
    /// By value.
    names: Vec<String>,
    /// The node of each normalization.
    nodes: Vec<NodeId>,
    seed: u64,
    idle: Mutex<Vec<Memory>>,
    locals: Mutex<Vec<Local>>,
    last: Mutex<Vec<BatchStatistics>>,
}

/// Shards at most: threads beyond this number have nothing to do.
const SHARDS: usize = 16;
/// Shards at least, where sums of parameters would be many beside values.
const FEW_SHARDS: usize = 4;

/// What one step works in.
struct Memory {
    shards: Vec<Shard>,
    normalized: Vec<Normalized>,
}

struct Shard {
    kept: Vec<AlignedVec>,
    parts: Vec<Part>,
    /// Of the gradients of parameters, for the phase that runs.
    sums: AlignedVec,
}

impl Training {
    /// Compiles a graph for batches of `batch` rows (or fewer, where rows do not depend on each other otherwise than by
    /// normalization). `roundings` stand in for the `FakeQuantize` nodes that compute these values; their parameters
    /// are zeros until they are [`set`](Training::set).
    ///
    /// `BatchNormalization` takes mean and biased variance from the batch, whatever its last two inputs are; `Dropout`
    /// drops.
    ///
    /// # Errors
    /// When shapes cannot be worked out, a parameter is read by no node, an input or output is not float32, a
    /// rounding stands for no `FakeQuantize`, or a step would take too much memory.
    pub fn new(
        graph: &Graph,
        batch: usize,
        parameters: &[Parameter],
        roundings: Vec<(ValueId, Arc<dyn Rounding>)>,
    ) -> Result<Training, GradientError> {
        let roundings: Roundings = roundings.into_iter().collect();
        let rounded = |id: &ValueId| {
            let computes = |node: &&lowbit_graph::Node| node.outputs.first() == Some(id);
            graph
                .nodes
                .iter()
                .find(computes)
                .is_some_and(|n| matches!(n.op, lowbit_graph::Op::FakeQuantize(_)))
        };
        if let Some(id) = roundings.keys().find(|id| !rounded(id)) {
            let name = graph.values.get(id.0).map_or_else(|| id.0.to_string(), |v| v.name.clone());
            return Err(GradientError::NotRounded(name));
        }
        let symbol = batch_symbol(graph);
        let grows = symbol.and_then(|symbol| independent(graph, symbol, &BTreeMap::new()));
        let isa = Isa::from_env().map_err(EngineError::from)?;
        let at = |rows: usize, grows: Option<&[bool]>| {
            let bound = symbol.map(|s| (s.to_owned(), rows)).into_iter().collect();
            let (graph, types) =
                specialize(graph, &bound, &ops::evaluate_for_pass).map_err(EngineError::from)?;
            compile::compile(&compile::Plan {
                graph: &graph,
                types: &types,
                grows,
                batch: rows_of(&graph).unwrap_or(1).max(1),
                parameters,
                input_gradients: false,
                training: Some(&roundings),
                isa,
            })
        };
        let batch = batch.max(1);
        let cut = grows.as_deref().map(|grows| at(1, Some(grows))).transpose()?.filter(phases::may_be_cut);
        let (tape, plan, shard_rows, cut) = match cut {
            Some(mut one) => {
                let sketch = phases::plan(&mut one, true);
                let shard_rows = batch.div_ceil(shards(&sketch, batch));
                let most =
                    sketch.phases.iter().flat_map(|phase| phase.rows).max().unwrap_or(1).min(shard_rows);
                let mut tape = if most == 1 { one } else { at(most, grows.as_deref())? };
                let plan = if most == 1 { sketch } else { phases::plan(&mut tape, true) };
                (tape, plan, shard_rows, true)
            }
            None => {
                let mut tape = at(batch, None)?;
                let plan = phases::plan(&mut tape, false);
                let batch = tape.batch;
                (tape, plan, batch, false)
            }
        };
        let producers = graph.producers();
        let training = Training {
            batch: if cut { batch } else { tape.batch },
            nodes: tape.norms.iter().map(|norm| producers[&norm.value]).collect(),
            names: graph.values.iter().map(|value| value.name.clone()).collect(),
            seed: 0,
            idle: Mutex::default(),
            locals: Mutex::default(),
            last: Mutex::default(),
            tape,
            plan,
            shard_rows,
            cut,
        };
        if training.bytes() > crate::compile::LIMIT {
            let what = "a training step's working memory".to_owned();
            return Err(EngineError::TooLarge { what, limit: crate::compile::LIMIT }.into());
        }
        Ok(training)
    }

    /// Current values of a parameter.
    pub fn parameter(&self, parameter: usize) -> &[f32] {
        &self.tape.parameters[parameter]
    }

    /// Gives a parameter new values.
    ///
    /// # Errors
    /// When their number differs.
    pub fn set(&mut self, parameter: usize, values: &[f32]) -> Result<(), GradientError> {
        self.tape.set(parameter, values)
    }

    /// What dropout draws from: another number for each step, or each step drops the same.
    pub fn seed(&mut self, seed: u64) {
        self.seed = seed;
    }

    /// Values of a row of each input.
    pub fn input_lens(&self) -> Vec<usize> {
        self.tape.inputs.iter().map(|&cell| self.tape.row(cell)).collect()
    }

    /// Values of a row of each output.
    pub fn output_lens(&self) -> Vec<usize> {
        self.tape.outputs.iter().map(|&cell| self.tape.row(cell)).collect()
    }

    /// Bytes that a step takes: values, gradients, sums, what threads of this pool work in, and the parameters in the
    /// orders in which they are held.
    pub fn bytes(&self) -> usize {
        let of = |lens: &[usize]| lens.iter().fold(0usize, |sum, &len| sum.saturating_add(len));
        let sums = self.plan.phases.iter().map(Phase::sums_len).max().unwrap_or(0);
        let rows = if self.cut { self.shard_rows } else { 1 };
        let shard = of(&self.plan.kept).saturating_mul(rows).saturating_add(sums);
        let shards = self.batch.div_ceil(self.shard_rows);
        let threads = rayon::current_num_threads().min(shards);
        let parameters: usize = self.tape.parameters.iter().map(Vec::len).sum();
        // As given, packed for both ways, and their gradients.
        let values = [
            shard.saturating_mul(shards),
            (of(&self.plan.local) + self.tape.scratch).saturating_mul(threads),
            parameters.saturating_mul(4),
        ];
        of(&values).saturating_mul(size_of::<f32>())
    }

    /// What each normalization saw in the last step, in the order of the network; empty before it.
    pub fn statistics(&self) -> Vec<BatchStatistics> {
        lock(&self.last).clone()
    }

    /// Forward, loss and back. `feed(rows, inputs)` fills the inputs of these rows of the batch; `loss(rows, outputs,
    /// gradients)` returns the part of the loss that these rows have, and writes its gradient with respect to every
    /// output. Rows come in any order, on any thread of the pool.
    ///
    /// # Errors
    /// When a node fails, or `batch` has more rows than were planned for.
    pub fn step(
        &self,
        batch: usize,
        feed: impl Fn(Range<usize>, &mut [&mut [f32]]) -> Result<(), Outside> + Sync,
        loss: impl Fn(Range<usize>, &[&[f32]], &mut [&mut [f32]]) -> Result<f64, Outside> + Sync,
    ) -> Result<Gradients, GradientError> {
        let mut memory = self.forward(batch, feed, &[], |_, _, _| Ok(()))?;
        let parts = self.each_shard(&mut memory, batch, |rooms, rows, _| {
            rooms.rows = 0..rows.len();
            self.tape.judge(rooms, |outputs, grads| loss(rows, outputs, grads)).map_err(outside)
        })?;
        let mut gradients = Gradients {
            loss: parts.iter().sum(),
            parameters: self.tape.parameters.iter().map(|values| vec![0.0; values.len()]).collect(),
        };
        let mut met = vec![false; self.tape.parameters.len()];
        for phase in self.plan.phases.iter().rev() {
            self.phase_back(phase, &mut memory, batch)?;
            let Memory { shards, normalized } = &mut memory;
            for &norm in &phase.applies {
                let parts = shards.iter().map(|shard| &shard.parts[norm]);
                let all = &mut normalized[norm];
                self.tape.norms[norm].conclude_back(
                    parts,
                    &self.tape.parameters,
                    all,
                    &mut gradients.parameters,
                );
            }
            add_up(shards, phase.sums_len());
            for (step, nth, range) in &phase.sums {
                let (step, sums) = (&self.tape.steps[*step], &shards[0].sums[range.clone()]);
                let parameter = step.parameters[*nth];
                let gradient = &mut gradients.parameters[parameter];
                if std::mem::replace(&mut met[parameter], true) {
                    let mut part = vec![0.0; gradient.len()];
                    self.tape.unpack(step, *nth, sums, &mut part);
                    gradient.iter_mut().zip(part).for_each(|(sum, part)| *sum += part);
                } else {
                    self.tape.unpack(step, *nth, sums, gradient);
                }
            }
        }
        self.finish(memory);
        Ok(gradients)
    }

    /// Forward only, with the statistics of the batch; `see(i, rows, values)` is shown the value `values[i]` of these
    /// rows. Rows come in any order, on any thread of the pool.
    ///
    /// What a value's roundings read and write, and what the network reads and returns, can be seen; other values may
    /// have been computed along with their neighbours.
    ///
    /// # Errors
    /// As [`Training::step`], and when a value cannot be seen.
    pub fn observe(
        &self,
        batch: usize,
        feed: impl Fn(Range<usize>, &mut [&mut [f32]]) -> Result<(), Outside> + Sync,
        values: &[ValueId],
        see: impl Fn(usize, Range<usize>, &[f32]) -> Result<(), Outside> + Sync,
    ) -> Result<(), GradientError> {
        let cell = |id: &ValueId| {
            let name = || self.names.get(id.0).cloned().unwrap_or_else(|| id.0.to_string());
            self.tape.cells.get(id).copied().ok_or_else(|| EngineError::Tap(name()))
        };
        let cells = values.iter().map(cell).collect::<Result<Vec<Cell>, EngineError>>()?;
        let memory = self.forward(batch, feed, &cells, see)?;
        self.finish(memory);
        Ok(())
    }

    /// All phases forward.
    fn forward(
        &self,
        batch: usize,
        feed: impl Fn(Range<usize>, &mut [&mut [f32]]) -> Result<(), Outside> + Sync,
        seen: &[Cell],
        see: impl Fn(usize, Range<usize>, &[f32]) -> Result<(), Outside> + Sync,
    ) -> Result<Memory, GradientError> {
        let mut memory = self.memory(batch)?;
        for (nth, phase) in self.plan.phases.iter().enumerate() {
            self.each_shard(&mut memory, batch, |rooms, rows, _| {
                for start in (0..rows.len()).step_by(phase.rows[0]) {
                    rooms.rows = start..(start + phase.rows[0]).min(rows.len());
                    let of_batch = rows.start + rooms.rows.start..rows.start + rooms.rows.end;
                    let show = |cells: &[Cell], rooms: &Rooms<'_>| {
                        let these = seen.iter().enumerate().filter(|(_, cell)| cells.contains(cell));
                        these.into_iter().try_for_each(|(i, &cell)| {
                            see(i, of_batch.clone(), rooms.value(&self.tape, cell)).map_err(outside)
                        })
                    };
                    if nth == 0 {
                        self.tape.feed(rooms, |inputs| feed(of_batch.clone(), inputs)).map_err(outside)?;
                        show(&self.tape.inputs, rooms)?;
                    }
                    for step in &self.tape.steps[phase.steps.clone()] {
                        self.tape.forward(step, rooms)?;
                        show(&step.writes, rooms)?;
                    }
                }
                Ok(())
            })?;
            for &norm in &phase.gathers {
                let parts = memory.shards.iter().map(|shard| &shard.parts[norm]);
                self.tape.norms[norm].conclude(parts, &self.tape.parameters, &mut memory.normalized[norm]);
            }
        }
        Ok(memory)
    }

    /// One phase back: the shards' sums are left with them.
    fn phase_back(&self, phase: &Phase, memory: &mut Memory, batch: usize) -> Result<(), GradientError> {
        self.each_shard(memory, batch, |rooms, rows, sums| {
            sums[..phase.sums_len()].fill(0.0);
            for start in (0..rows.len()).step_by(phase.rows[1]) {
                rooms.rows = start..(start + phase.rows[1]).min(rows.len());
                for &step in &phase.again {
                    self.tape.forward(&self.tape.steps[step], rooms)?;
                }
                for i in phase.steps.clone().rev().filter(|&i| self.tape.steps[i].goes_back) {
                    // A step's sums lie side by side.
                    let mut rest = &mut *sums;
                    let mut slices: Vec<&mut [f32]> = Vec::new();
                    let mut taken = 0;
                    for (_, _, range) in phase.sums.iter().filter(|(step, _, _)| *step == i) {
                        let (_, from) = rest.split_at_mut(range.start - taken);
                        let (mine, after) = from.split_at_mut(range.len());
                        slices.push(mine);
                        (rest, taken) = (after, range.end);
                    }
                    self.tape.backward(&self.tape.steps[i], rooms, &mut slices)?;
                }
            }
            Ok(())
        })
        .map(drop)
    }

    /// `work(rooms, rows of the batch, sums)` for every shard, results in order.
    fn each_shard<T: Send>(
        &self,
        memory: &mut Memory,
        batch: usize,
        work: impl Fn(&mut Rooms<'_>, Range<usize>, &mut [f32]) -> Result<T, GradientError> + Sync,
    ) -> Result<Vec<T>, GradientError> {
        let Memory { shards, normalized } = memory;
        // Of about equal size, however many rows the batch has.
        let rows = batch.div_ceil(batch.div_ceil(self.shard_rows));
        let one = |(nth, shard): (usize, &mut Shard)| {
            let held = lock(&self.locals).pop();
            let mut local = held.unwrap_or_else(|| Local::new(&self.plan.local, self.tape.scratch));
            let rows = nth * rows..((nth + 1) * rows).min(batch);
            let mut rooms = Rooms {
                local: &mut local,
                kept: &mut shard.kept,
                rows: 0..0,
                before: rows.start,
                normalized,
                parts: &mut shard.parts,
                seed: self.seed,
            };
            let result = work(&mut rooms, rows, &mut shard.sums);
            lock(&self.locals).push(local);
            result
        };
        if rayon::current_num_threads() == 1 {
            shards.iter_mut().enumerate().map(one).collect()
        } else {
            shards.par_iter_mut().with_max_len(1).enumerate().map(one).collect()
        }
    }

    /// Memory for a batch, with as many shards as it has.
    fn memory(&self, batch: usize) -> Result<Memory, GradientError> {
        if batch == 0 || batch > self.batch || !self.cut && batch != self.batch {
            return Err(EngineError::Batch { found: batch, expected: self.batch }.into());
        }
        let count = batch.div_ceil(self.shard_rows);
        let mut memory = match lock(&self.idle).pop() {
            Some(memory) => memory,
            None => {
                let bytes = self.bytes();
                if Vec::<u8>::new().try_reserve_exact(bytes).is_err() {
                    return Err(EngineError::OutOfMemory(bytes).into());
                }
                let normalized = self.tape.norms.iter().map(|norm| Normalized::new(norm.channels));
                Memory { shards: Vec::new(), normalized: normalized.collect() }
            }
        };
        memory.shards.truncate(count);
        for shard in &mut memory.shards {
            shard.parts.iter_mut().for_each(Part::clear);
        }
        memory.shards.resize_with(count, || self.shard());
        Ok(memory)
    }

    fn shard(&self) -> Shard {
        let rows = if self.cut { self.shard_rows } else { 1 };
        let sums = self.plan.phases.iter().map(Phase::sums_len).max().unwrap_or(0);
        Shard {
            kept: self.plan.kept.iter().map(|len| AlignedVec::zeroed(len * rows)).collect(),
            parts: self.tape.norms.iter().map(|norm| Part::new(norm.channels)).collect(),
            sums: AlignedVec::zeroed(sums),
        }
    }

    /// Remembers the statistics, and keeps the memory for the next step.
    fn finish(&self, memory: Memory) {
        let one = |((norm, node), all): ((&Norm, &NodeId), &Normalized)| BatchStatistics {
            node: *node,
            name: norm.name.clone(),
            count: all.moments.rows,
            mean: all.moments.mean.clone(),
            variance: all.moments.variance().collect(),
        };
        let norms = self.tape.norms.iter().zip(&self.nodes);
        *lock(&self.last) = norms.zip(&memory.normalized).map(one).collect();
        lock(&self.idle).push(memory);
    }
}

/// How many shards a batch is cut into.
fn shards(plan: &Phases, batch: usize) -> usize {
    let sums = plan.phases.iter().map(Phase::sums_len).max().unwrap_or(0);
    let values = plan.kept.iter().sum::<usize>().saturating_mul(batch);
    let mut shards = SHARDS;
    while shards > FEW_SHARDS && (shards * sums).saturating_mul(8) > values {
        shards /= 2;
    }
    shards.min(batch)
}

/// Adds the sums of all shards to those of the first, in order.
fn add_up(shards: &mut [Shard], len: usize) {
    const PIECE: usize = 16 << 10;
    let Some((first, others)) = shards.split_first_mut() else { return };
    let add = |(nth, total): (usize, &mut [f32])| {
        for other in &*others {
            let part = &other.sums[nth * PIECE..][..total.len()];
            total.iter_mut().zip(part).for_each(|(sum, part)| *sum += part);
        }
    };
    if rayon::current_num_threads() == 1 {
        first.sums[..len].chunks_mut(PIECE).enumerate().for_each(add);
    } else {
        first.sums[..len].par_chunks_mut(PIECE).enumerate().for_each(add);
    }
}
