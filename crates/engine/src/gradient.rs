//! Gradients: a graph that runs forward and back.
//!
//! [`Differentiable`] is what block reconstruction loops over. A batch is cut into chunks that fit a core's
//! cache; each chunk runs forward, meets the loss, and runs back while its values are still there. [`Training`] is for
//! whole networks whose normalizations see the whole batch, and runs phase by phase. In both, gradients of
//! parameters are summed over parts of the batch in their order, so results do not depend on the number of threads.
//!
//! The way back of `FakeQuantize` is straight-through: gradients pass where the rounded code lies within its range (ends
//! included), and the step size gets `Σ g·(round(x/s) - x/s)` inside, `g·(q_end - z)` beyond an end.

mod compile;
mod dropout;
mod norm;
mod phases;
mod place;
mod place_norm;
mod plain;
pub(crate) mod reverse;
mod rooms;
mod run;
mod tape;
mod training;

pub use training::{BatchStatistics, Rounding, Training};

use crate::batch::{batch_symbol, rows_of};
use crate::rows::independent;
use crate::{EngineError, ops};
use lowbit_graph::passes::specialize;
use lowbit_graph::{Graph, ValueId};
use lowbit_kernels::Isa;
use rayon::prelude::*;
use rooms::{Home, Local, Rooms};
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::{Mutex, MutexGuard, PoisonError};
use tape::Tape;

/// Sums of the gradients of parameters from one chunk, by step.
type Found = Vec<Vec<Vec<f32>>>;

/// What is learned, or differentiated with respect to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Parameter {
    /// A constant that nodes read: a weight or a bias.
    Constant(ValueId),
    /// The step size (scale) of the `FakeQuantize` that computes this value.
    Step(ValueId),
    /// What the [`Rounding`] learns that stands in for the `FakeQuantize` that computes this value; in [`Training`] only.
    Rounding(ValueId),
}

/// Why gradients cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum GradientError {
    /// The graph cannot be compiled or run.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// An input or output is constant, or not of float32.
    #[error("`{0}` is not a float32 value computed at run time")]
    Integer(String),
    /// A parameter that nothing reads.
    #[error("no node reads the parameter `{0}`")]
    Unused(String),
    /// A rounding that stands for no node.
    #[error("`{0}` is not computed by a FakeQuantize that a rounding could stand in for")]
    NotRounded(String),
    /// A function that was called for rows, a loss or results failed.
    #[error(transparent)]
    Outside(Outside),
    /// New values of a wrong number.
    #[error("a parameter takes {expected} values, found {found}")]
    Length {
        /// Values of the parameter.
        expected: usize,
        /// Values given.
        found: usize,
    },
}

/// What the functions that a pass calls may fail with: where rows come from or go to a file, say.
pub type Outside = Box<dyn std::error::Error + Send + Sync>;

/// What one pass forward and back found.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Gradients {
    /// The sum of what the loss returned for each chunk.
    pub loss: f64,
    /// By parameter, in its own order of elements.
    pub parameters: Vec<Vec<f32>>,
}

/// A graph compiled forward and back.
///
/// Inputs and outputs are plain rows, one per image, channels last from rank 3 on (`[n, h, w, c]`, otherwise as ONNX
/// has them), so that nothing is rearranged between one segment of a network and the next.
pub struct Differentiable {
    tape: Tape,
    /// Whether a batch may be cut.
    cut: bool,
    locals: Mutex<Vec<Local>>,
    founds: Mutex<Vec<Found>>,
}

/// Bytes that values and gradients of a chunk may take (1 MiB of second-level cache; measured).
const CHUNK_BYTES: usize = 1 << 20;
/// Images of a chunk at most.
const CHUNK_IMAGES: usize = 16;

impl Differentiable {
    /// Compiles a graph for batches of `batch` rows (or fewer, where rows do not depend on each other).
    ///
    /// # Errors
    /// When shapes cannot be worked out, a parameter is read by no node, or an input or output is not float32.
    pub fn new(
        graph: &Graph,
        batch: usize,
        parameters: &[Parameter],
    ) -> Result<Differentiable, GradientError> {
        Differentiable::build(graph, batch, parameters, false)
    }

    /// The same with gradients of the inputs, which [`Differentiable::gradients_of_inputs`] shows.
    ///
    /// # Errors
    /// As [`Differentiable::new`].
    pub fn with_inputs(
        graph: &Graph,
        batch: usize,
        parameters: &[Parameter],
    ) -> Result<Differentiable, GradientError> {
        Differentiable::build(graph, batch, parameters, true)
    }

    fn build(
        graph: &Graph,
        batch: usize,
        parameters: &[Parameter],
        input_gradients: bool,
    ) -> Result<Differentiable, GradientError> {
        let symbol = batch_symbol(graph);
        let others = BTreeMap::new();
        let grows = symbol.and_then(|s| independent(graph, s, &others));
        let isa = Isa::from_env().map_err(EngineError::from)?;
        let at = |rows: usize| {
            let bound = symbol.map(|s| (s.to_owned(), rows)).into_iter().collect();
            let (graph, types) =
                specialize(graph, &bound, &ops::evaluate_for_pass).map_err(EngineError::from)?;
            compile::compile(&compile::Plan {
                graph: &graph,
                types: &types,
                grows: grows.as_deref(),
                batch: rows_of(&graph).unwrap_or(1).max(1),
                parameters,
                input_gradients,
                training: None,
                isa,
            })
        };
        let tape = if grows.is_some() {
            let one = at(1)?;
            let chunk = (CHUNK_BYTES / bytes(&one).max(1)).clamp(1, CHUNK_IMAGES).min(batch.max(1));
            if chunk == 1 { one } else { at(chunk)? }
        } else {
            at(batch)?
        };
        Ok(Differentiable { tape, cut: grows.is_some(), locals: Mutex::default(), founds: Mutex::default() })
    }

    /// Values of a row of each input.
    pub fn input_lens(&self) -> Vec<usize> {
        self.tape.inputs.iter().map(|&cell| self.tape.spans[cell].len / self.tape.batch).collect()
    }

    /// Values of a row of each output.
    pub fn output_lens(&self) -> Vec<usize> {
        self.tape.outputs.iter().map(|&cell| self.tape.spans[cell].len / self.tape.batch).collect()
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

    /// Runs forward only. `feed(rows, inputs)` fills the inputs of these rows of the batch, `take(rows, outputs)` gets
    /// the outputs; chunks come in any order, on any thread of the pool.
    ///
    /// # Errors
    /// When a node fails.
    pub fn run(
        &self,
        batch: usize,
        feed: impl Fn(Range<usize>, &mut [&mut [f32]]) -> Result<(), Outside> + Sync,
        take: impl Fn(Range<usize>, &[&[f32]]) -> Result<(), Outside> + Sync,
    ) -> Result<(), GradientError> {
        self.each_chunk(batch, |rows, rooms| {
            self.tape.feed(rooms, |inputs| feed(rows.clone(), inputs)).map_err(outside)?;
            self.tape.steps.iter().try_for_each(|step| self.tape.forward(step, rooms))?;
            take(rows.clone(), &self.tape.outputs(rooms)).map_err(outside)
        })
        .map(drop)
    }

    /// Runs forward and back: `loss(rows, outputs, gradients)` returns the part of the loss that these rows have, and
    /// writes its gradient with respect to every output.
    ///
    /// # Errors
    /// When a node fails.
    pub fn gradients(
        &self,
        batch: usize,
        feed: impl Fn(Range<usize>, &mut [&mut [f32]]) -> Result<(), Outside> + Sync,
        loss: impl Fn(Range<usize>, &[&[f32]], &mut [&mut [f32]]) -> Result<f64, Outside> + Sync,
    ) -> Result<Gradients, GradientError> {
        self.gradients_of_inputs(batch, feed, loss, |_, _| Ok(()))
    }

    /// [`Differentiable::gradients`], and shows `take(rows, gradients)` those of the inputs.
    ///
    /// # Errors
    /// When a node fails.
    pub fn gradients_of_inputs(
        &self,
        batch: usize,
        feed: impl Fn(Range<usize>, &mut [&mut [f32]]) -> Result<(), Outside> + Sync,
        loss: impl Fn(Range<usize>, &[&[f32]], &mut [&mut [f32]]) -> Result<f64, Outside> + Sync,
        take: impl Fn(Range<usize>, &[&[f32]]) -> Result<(), Outside> + Sync,
    ) -> Result<Gradients, GradientError> {
        let tape = &self.tape;
        let parts = self.each_chunk(batch, |rows, rooms| {
            tape.feed(rooms, |inputs| feed(rows.clone(), inputs)).map_err(outside)?;
            tape.steps.iter().try_for_each(|step| tape.forward(step, rooms))?;
            let part = tape.judge(rooms, |outputs, grads| loss(rows.clone(), outputs, grads));
            let part = part.map_err(outside)?;
            let mut found = self.found();
            for (step, found) in tape.steps.iter().zip(&mut found).rev().filter(|(step, _)| step.goes_back) {
                let mut sums: Vec<&mut [f32]> = found.iter_mut().map(Vec::as_mut_slice).collect();
                tape.backward(step, rooms, &mut sums)?;
            }
            take(rows.clone(), &tape.input_grads(rooms)).map_err(outside)?;
            Ok((part, found))
        })?;
        let mut loss = 0.0;
        let mut total: Option<Found> = None;
        for (part, found) in parts {
            loss += part;
            let Some(total) = &mut total else {
                total = Some(found);
                continue;
            };
            for (total, found) in total.iter_mut().flatten().zip(found.iter().flatten()) {
                total.iter_mut().zip(found).for_each(|(sum, part)| *sum += part);
            }
            lock(&self.founds).push(found);
        }
        let total = total.unwrap_or_default();
        let gradients = tape.uses.iter().zip(&tape.parameters).map(|(uses, values)| {
            let (mut sum, mut part) = (vec![0.0; values.len()], vec![0.0; values.len()]);
            for place in uses.iter().filter(|place| tape.steps[place.step].goes_back) {
                tape.unpack(&tape.steps[place.step], place.nth, &total[place.step][place.nth], &mut part);
                sum.iter_mut().zip(&part).for_each(|(sum, part)| *sum += part);
            }
            sum
        });
        let gradients = Gradients { loss, parameters: gradients.collect() };
        lock(&self.founds).push(total);
        Ok(gradients)
    }

    /// Zeros for the sums of one chunk.
    fn found(&self) -> Found {
        let zeros = |step| self.tape.sums(step).into_iter().map(|len| vec![0.0; len]).collect();
        let Some(mut found) = lock(&self.founds).pop() else {
            return self.tape.steps.iter().map(zeros).collect();
        };
        found.iter_mut().flatten().for_each(|sums| sums.fill(0.0));
        found
    }

    /// `work` for every chunk of a batch, results in order.
    fn each_chunk<T: Send>(
        &self,
        batch: usize,
        work: impl Fn(Range<usize>, &mut Rooms<'_>) -> Result<T, GradientError> + Sync,
    ) -> Result<Vec<T>, GradientError> {
        let largest = self.tape.batch;
        if batch == 0 || !self.cut && batch != largest {
            return Err(EngineError::Batch { found: batch, expected: largest }.into());
        }
        // Chunks of about equal size; what a chunk is does not depend on the number of threads.
        let size = batch.div_ceil(batch.div_ceil(largest));
        let starts: Vec<usize> = (0..batch).step_by(size).collect();
        let one = |start: usize| {
            let held = lock(&self.locals).pop();
            let mut local = held.map_or_else(|| local(&self.tape), Ok)?;
            let rows = start..(start + size).min(batch);
            let result = work(rows.clone(), &mut Rooms::alone(&mut local, rows.len()));
            lock(&self.locals).push(local);
            result
        };
        if rayon::current_num_threads() == 1 {
            starts.into_iter().map(one).collect()
        } else {
            starts.into_par_iter().map(one).collect()
        }
    }
}

/// Values of the buffers of a tape whose every cell lies with the thread: values, then gradients.
fn lens(tape: &Tape) -> Vec<usize> {
    let grads = tape.spans.iter().zip(&tape.grads);
    let grads = grads.map(|(span, home)| if *home == Home::Nowhere { 0 } else { span.len });
    tape.spans.iter().map(|span| span.len).chain(grads).collect()
}

/// Bytes of the buffers, of which one row of a batch takes its share.
fn bytes(tape: &Tape) -> usize {
    lens(tape).into_iter().sum::<usize>().saturating_mul(size_of::<f32>())
}

/// Fresh buffers.
fn local(tape: &Tape) -> Result<Local, EngineError> {
    let bytes = bytes(tape) + tape.scratch * size_of::<f32>();
    if Vec::<u8>::new().try_reserve_exact(bytes).is_err() {
        return Err(EngineError::OutOfMemory(bytes));
    }
    Ok(Local::new(&lens(tape), tape.scratch))
}

fn outside(source: Outside) -> GradientError {
    GradientError::Outside(source)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
