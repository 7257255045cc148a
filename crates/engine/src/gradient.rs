//! Gradients: a graph that runs forward and back.
//!
//! [`Differentiable`] is what block reconstruction and training loop over. A batch is cut into chunks that fit a core's
//! cache; each chunk runs forward, meets the loss, and runs back while its values are still there. Gradients of
//! parameters are summed over chunks in their order, so results do not depend on the number of threads.
//!
//! The way back of `FakeQuantize` is straight-through: gradients pass where the rounded code lies within its range (ends
//! included), and the step size gets `Σ g·(round(x/s) - x/s)` inside, `g·(q_end - z)` beyond an end.

mod compile;
pub(crate) mod reverse;
mod tape;

use crate::batch::{batch_symbol, rows_of};
use crate::rows::independent;
use crate::{EngineError, ops};
use lowbit_graph::passes::specialize;
use lowbit_graph::{Graph, ValueId};
use lowbit_kernels::Isa;
use rayon::prelude::*;
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::{Mutex, MutexGuard, PoisonError};
use tape::{Arena, Found, Kind, Tape};

/// What is learned, or differentiated with respect to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Parameter {
    /// A constant that nodes read: a weight or a bias.
    Constant(ValueId),
    /// The step size (scale) of the `FakeQuantize` that computes this value.
    Step(ValueId),
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
    arenas: Mutex<Vec<Arena>>,
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
                isa,
            })
        };
        let tape = if grows.is_some() {
            let one = at(1)?;
            let chunk = (CHUNK_BYTES / one.bytes().max(1)).clamp(1, CHUNK_IMAGES).min(batch.max(1));
            if chunk == 1 { one } else { at(chunk)? }
        } else {
            at(batch)?
        };
        Ok(Differentiable { tape, cut: grows.is_some(), arenas: Mutex::default(), founds: Mutex::default() })
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
        let Tape { parameters, steps, uses, .. } = &mut self.tape;
        let held = &mut parameters[parameter];
        if held.len() != values.len() {
            return Err(GradientError::Length { expected: held.len(), found: values.len() });
        }
        held.copy_from_slice(values);
        for place in &uses[parameter] {
            if let Kind::Fast { update: Some(update), .. } = &steps[place.step].kind {
                update(place.nth, values);
            }
        }
        Ok(())
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
        self.each_chunk(batch, |rows, arena| {
            self.tape.feed(arena, rows.len(), |inputs| feed(rows.clone(), inputs)).map_err(outside)?;
            self.tape.forward(arena, rows.len())?;
            take(rows.clone(), &self.tape.outputs(arena, rows.len())).map_err(outside)
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
        let parts = self.each_chunk(batch, |rows, arena| {
            tape.feed(arena, rows.len(), |inputs| feed(rows.clone(), inputs)).map_err(outside)?;
            tape.forward(arena, rows.len())?;
            let part = tape.judge(arena, rows.len(), |outputs, grads| loss(rows.clone(), outputs, grads));
            let part = part.map_err(outside)?;
            let mut found = lock(&self.founds).pop().unwrap_or_else(|| tape.found());
            tape.backward(arena, rows.len(), &mut found)?;
            take(rows.clone(), &tape.input_grads(arena, rows.len())).map_err(outside)?;
            Ok((part, found))
        })?;
        let mut sum = Gradients {
            loss: 0.0,
            parameters: tape.parameters.iter().map(|values| vec![0.0; values.len()]).collect(),
        };
        for (part, found) in parts {
            sum.loss += part;
            for (sum, uses) in sum.parameters.iter_mut().zip(&tape.uses) {
                for place in uses.iter().filter(|place| tape.steps[place.step].goes_back) {
                    sum.iter_mut().zip(&found[place.step][place.nth]).for_each(|(sum, part)| *sum += part);
                }
            }
            lock(&self.founds).push(found);
        }
        Ok(sum)
    }

    /// `work` for every chunk of a batch, results in order.
    fn each_chunk<T: Send>(
        &self,
        batch: usize,
        work: impl Fn(Range<usize>, &mut Arena) -> Result<T, GradientError> + Sync,
    ) -> Result<Vec<T>, GradientError> {
        let largest = self.tape.batch;
        if batch == 0 || !self.cut && batch != largest {
            return Err(EngineError::Batch { found: batch, expected: largest }.into());
        }
        // Chunks of about equal size; what a chunk is does not depend on the number of threads.
        let size = batch.div_ceil(batch.div_ceil(largest));
        let starts: Vec<usize> = (0..batch).step_by(size).collect();
        let one = |start: usize| {
            let held = lock(&self.arenas).pop();
            let mut arena = held.map_or_else(|| self.tape.arena(), Ok)?;
            let result = work(start..(start + size).min(batch), &mut arena);
            lock(&self.arenas).push(arena);
            result
        };
        if rayon::current_num_threads() == 1 {
            starts.into_iter().map(one).collect()
        } else {
            starts.into_par_iter().map(one).collect()
        }
    }
}

fn outside(source: Outside) -> GradientError {
    GradientError::Outside(source)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
