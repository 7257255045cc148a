//! A network ready to run: batches cut into cache-sized chunks of images, chunks spread over threads.
//!
//! A chunk passes through the whole network on one thread, in buffers that stay in its cache. What is computed for an
//! image does not depend on the chunk it is in, so results do not depend on the number of threads (those of the
//! current rayon pool).

use crate::batch::{Bindings, batch_symbol, bindings, check, fixed_rows, rows_of};
use crate::compile::{Plan, compile};
use crate::program::{Arena, Program};
use crate::rows::independent;
use crate::{EngineError, View, ops};
use lowbit_graph::passes::specialize;
use lowbit_graph::{Graph, ValueId};
use lowbit_kernels::Isa;
use lowbit_tensor::Tensor;
use rayon::prelude::*;
use std::collections::HashMap;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

/// Bytes that the values of a chunk may take. Measured (1 MiB of second-level cache): an image that fills a good part of
/// it is best run alone, smaller ones together.
const CHUNK_BYTES: usize = 256 << 10;
/// The same where weights do not stay in the cache: then several images share each reading of them.
const CHUNK_BYTES_LARGE: usize = 16 << 20;
/// Bytes of weights that do not stay in the cache.
const LARGE_WEIGHTS: usize = 4 << 20;
/// Beyond this many images a chunk gains nothing.
const CHUNK_IMAGES: usize = 16;
/// Programs kept: each holds its own packed weights. Only batches that cannot be cut need one per size.
const PROGRAMS: usize = 8;

/// A compiled network.
pub struct Network {
    graph: Graph,
    taps: Vec<ValueId>,
    isa: Isa,
    /// By the extents of all symbols, without that of the batch where batches are cut into chunks.
    compiled: Mutex<HashMap<Bindings, Arc<Compiled>>>,
}

struct Compiled {
    program: Program,
    /// How a batch is cut.
    cut: Cut,
    /// Arenas not in use at the moment.
    arenas: Mutex<Vec<Arena>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cut {
    /// Rows are independent: chunks of any number of rows up to the program's.
    Anywhere,
    /// The file fixes the rows: chunks of exactly as many.
    Fixed,
    /// Not at all.
    Nowhere,
}

impl Network {
    /// Compiles a graph; one with free extents besides the batch when the first inputs tell them.
    ///
    /// # Errors
    /// When shapes cannot be worked out, the memory would be absurd, or the forced instruction set is absent.
    pub fn new(graph: &Graph) -> Result<Network, EngineError> {
        Network::with_taps(graph, &[])
    }

    /// Compiles a graph whose values `taps` [`Network::observe`] shows. A tapped value inside a fused group is computed
    /// by itself.
    ///
    /// # Errors
    /// As [`Network::new`], and when a tap is a value that nothing computes.
    pub fn with_taps(graph: &Graph, taps: &[ValueId]) -> Result<Network, EngineError> {
        let network = Network {
            graph: graph.clone(),
            taps: taps.to_vec(),
            isa: Isa::from_env()?,
            compiled: Mutex::new(HashMap::new()),
        };
        let symbols = bindings(graph, 1);
        if symbols.keys().all(|s| Some(s.as_str()) == batch_symbol(graph)) {
            network.compiled(symbols)?;
        }
        Ok(network)
    }

    /// Runs a batch: each input `[n, …]` with the same `n`. A network whose file fixes `n` also takes a multiple of it.
    ///
    /// # Errors
    /// When an input does not fit the declaration or a node fails.
    pub fn run(&self, inputs: &[Tensor]) -> Result<Vec<Tensor>, EngineError> {
        let (images, compiled) = self.prepare(inputs)?;
        // Enough chunks for all threads, all about equally long.
        let largest = images.div_ceil(rayon::current_num_threads()).min(compiled.program.batch).max(1);
        let chunk = match compiled.cut {
            Cut::Anywhere => images.div_ceil(images.div_ceil(largest)),
            _ => compiled.program.batch,
        };
        Ok(compiled.run(inputs, images, chunk, |_, _| ())?.0)
    }

    /// Runs a batch and shows the tapped values of each chunk to `visit`, with the rows of the batch that the chunk
    /// covers. Results come in the order of the rows; chunks do not depend on the number of threads.
    ///
    /// # Errors
    /// As [`Network::run`].
    pub fn observe<T: Send>(
        &self,
        inputs: &[Tensor],
        visit: impl Fn(&[View<'_>], Range<usize>) -> T + Sync,
    ) -> Result<(Vec<Tensor>, Vec<T>), EngineError> {
        let (images, compiled) = self.prepare(inputs)?;
        compiled.run(inputs, images, compiled.program.batch, visit)
    }

    /// Names of the nodes that run by their plain twins, far slower than the others, for inputs of these shapes;
    /// what the file computes from shapes alone is not among them.
    ///
    /// # Errors
    /// As [`Network::run`].
    pub fn plain_nodes(&self, inputs: &[Tensor]) -> Result<Vec<String>, EngineError> {
        let (_, compiled) = self.prepare(inputs)?;
        Ok(compiled.program.plain().map(str::to_owned).collect())
    }

    /// Checks the inputs; their number of rows, and the program for them.
    fn prepare(&self, inputs: &[Tensor]) -> Result<(usize, Arc<Compiled>), EngineError> {
        let (images, bindings) = check(&self.graph, inputs)?;
        let compiled = self.compiled(bindings)?;
        let batch = compiled.program.batch;
        let fits = match compiled.cut {
            Cut::Anywhere => images > 0,
            Cut::Fixed => images > 0 && images.is_multiple_of(batch),
            Cut::Nowhere => images == batch,
        };
        if fits { Ok((images, compiled)) } else { Err(EngineError::Batch { found: images, expected: batch }) }
    }

    /// The program for these extents, made if need be.
    fn compiled(&self, mut bindings: Bindings) -> Result<Arc<Compiled>, EngineError> {
        let lock = || self.compiled.lock().unwrap_or_else(PoisonError::into_inner);
        let symbol = batch_symbol(&self.graph);
        let images = symbol.and_then(|s| bindings.remove(s));
        if let Some(found) = lock().get(&bindings) {
            return Ok(found.clone());
        }
        let grows = symbol.and_then(|s| independent(&self.graph, s, &bindings));
        let mut key = bindings.clone();
        if let (Some(symbol), Some(images), None) = (symbol, images, &grows) {
            key.insert(symbol.to_owned(), images);
            if let Some(found) = lock().get(&key) {
                return Ok(found.clone());
            }
        }
        let compiled = Arc::new(self.compile(&bindings, images.unwrap_or(1), grows.as_deref())?);
        let mut all = lock();
        if all.len() >= PROGRAMS {
            all.clear();
        }
        all.insert(key, compiled.clone());
        Ok(compiled)
    }

    fn compile(
        &self,
        others: &Bindings,
        images: usize,
        grows: Option<&[bool]>,
    ) -> Result<Compiled, EngineError> {
        let symbol = batch_symbol(&self.graph);
        let bound = |rows: usize| {
            let mut bound = others.clone();
            bound.extend(symbol.map(|s| (s.to_owned(), rows)));
            specialize(&self.graph, &bound, &ops::evaluate_for_pass)
        };
        let at = |rows: usize, grows: Option<&[bool]>| {
            let (graph, types) = bound(rows)?;
            let batch = rows_of(&graph).unwrap_or(1);
            compile(&Plan { graph: &graph, types: &types, grows, batch, taps: &self.taps, isa: self.isa })
        };
        let (program, cut) = if grows.is_some() {
            // One image tells the memory that each needs.
            let one = at(1, grows)?;
            let chunk = chunk(one.value_bytes(), constant_bytes(&self.graph));
            (if chunk == 1 { one } else { at(chunk, grows)? }, Cut::Anywhere)
        } else {
            let fixed = if symbol.is_none() { fixed_rows(&bound(images)?.0) } else { None };
            (at(images, fixed.as_deref())?, if fixed.is_some() { Cut::Fixed } else { Cut::Nowhere })
        };
        Ok(Compiled { program, cut, arenas: Mutex::new(Vec::new()) })
    }
}

impl Compiled {
    /// Runs chunk by chunk and joins the outputs.
    fn run<T: Send>(
        &self,
        inputs: &[Tensor],
        images: usize,
        chunk: usize,
        visit: impl Fn(&[View<'_>], Range<usize>) -> T + Sync,
    ) -> Result<(Vec<Tensor>, Vec<T>), EngineError> {
        let arenas = || self.arenas.lock().unwrap_or_else(PoisonError::into_inner);
        let run = |start: usize| {
            let rows = start..(start + chunk).min(images);
            let idle = arenas().pop();
            let mut arena = idle.map_or_else(|| self.program.arena(), Ok)?;
            self.program.run(&mut arena, inputs, rows.clone())?;
            let seen = self.program.visit_taps(&arena, rows.len(), |views| visit(views, rows.clone()));
            let outputs = self.program.outputs(&arena, rows.len())?;
            arenas().push(arena);
            Ok((outputs, seen))
        };
        // A batch that is not cut may have no rows at all.
        let starts: Vec<usize> = (0..images.max(1)).step_by(chunk.max(1)).collect();
        let parts: Vec<(Vec<Tensor>, T)> = if let [start] = starts[..] {
            vec![run(start)?]
        } else {
            starts.into_par_iter().map(run).collect::<Result<_, EngineError>>()?
        };
        let (outputs, seen): (Vec<_>, Vec<_>) = parts.into_iter().unzip();
        Ok((concatenate(outputs)?, seen))
    }
}

/// Images of a chunk, from the bytes that one image's values take and those of the weights.
fn chunk(image_bytes: usize, weight_bytes: usize) -> usize {
    let budget = match weight_bytes > LARGE_WEIGHTS {
        true => weight_bytes.min(CHUNK_BYTES_LARGE),
        false => CHUNK_BYTES,
    };
    (budget / image_bytes.max(1)).clamp(1, CHUNK_IMAGES)
}

/// Bytes of all constants that nodes read.
fn constant_bytes(graph: &Graph) -> usize {
    let mut read: Vec<ValueId> =
        graph.nodes.iter().flat_map(|n| n.inputs.iter().flatten().copied()).collect();
    read.sort_unstable();
    read.dedup();
    let constants = read.into_iter().filter_map(|id| graph.constant(id));
    constants.map(|t| t.len() * t.dtype().bits().div_ceil(8)).sum()
}

/// Joins the outputs of the chunks along axis 0.
fn concatenate(parts: Vec<Vec<Tensor>>) -> Result<Vec<Tensor>, EngineError> {
    let mut parts = parts.into_iter();
    let Some(first) = parts.next() else { return Ok(Vec::new()) };
    let rest: Vec<Vec<Tensor>> = parts.collect();
    if rest.is_empty() {
        return Ok(first);
    }
    let joined = first.into_iter().enumerate().map(|(i, head)| {
        let mut shape = head.shape().to_vec();
        let mut data = head.into_data();
        for tail in rest.iter().map(|part| &part[i]) {
            shape[0] += tail.shape()[0];
            data.extend_from(tail.data(), 0..tail.len());
        }
        Ok(Tensor::new(shape, data)?)
    });
    joined.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_fill_the_cache_and_share_large_weights() {
        assert_eq!(chunk(8 << 10, 40 << 10), 16);
        assert_eq!(chunk(100 << 10, 1 << 20), 2);
        assert_eq!(chunk(500 << 10, 1 << 20), 1);
        assert_eq!(chunk(1 << 20, 100 << 20), 16);
        assert_eq!(chunk(10 << 20, 100 << 20), 1);
    }
}
