//! A network ready to run: batches cut into cache-sized chunks of images, chunks spread over threads.
//!
//! A chunk passes through the whole network on one thread, in buffers that stay in its cache. Chunk size depends on
//! the network alone, so results do not depend on the number of threads (those of the current rayon pool).

use crate::program::{Arena, Program};
use crate::{EngineError, View};
use lowbit_graph::{Dim, Graph, Op, ValueId};
use lowbit_kernels::Isa;
use lowbit_tensor::Tensor;
use rayon::prelude::*;
use std::collections::{BTreeMap, HashMap};
use std::ops::Range;
use std::sync::{Arc, Mutex};

/// A share of the second-level cache that the buffers of a chunk should fit.
const CHUNK_BYTES: usize = 768 << 10;
/// Beyond this many images a chunk gains nothing.
const CHUNK_IMAGES: usize = 16;

/// A compiled network.
pub struct Network {
    graph: Graph,
    taps: Vec<ValueId>,
    isa: Isa,
    /// Images per chunk; `None` when axis 0 of the inputs is not independent (or fixed): then a batch is one chunk.
    chunk: Option<usize>,
    programs: Mutex<HashMap<usize, Arc<Compiled>>>,
}

struct Compiled {
    program: Program,
    /// Arenas not in use at the moment.
    arenas: Mutex<Vec<Arena>>,
}

impl Network {
    /// Compiles a graph.
    ///
    /// # Errors
    /// When shapes cannot be worked out or the forced instruction set is absent.
    pub fn new(graph: &Graph) -> Result<Network, EngineError> {
        Network::with_taps(graph, &[])
    }

    /// Compiles a graph whose values `taps` [`Network::observe`] shows. A tapped value inside a fused group is computed
    /// by itself.
    ///
    /// # Errors
    /// As [`Network::new`].
    pub fn with_taps(graph: &Graph, taps: &[ValueId]) -> Result<Network, EngineError> {
        let mut network = Network {
            graph: graph.clone(),
            taps: taps.to_vec(),
            isa: Isa::from_env()?,
            chunk: None,
            programs: Mutex::new(HashMap::new()),
        };
        // One image tells the memory that each needs, and that the graph can be compiled at all.
        let one = network.compile(1)?;
        if batch_symbol(graph).is_some_and(|symbol| rows_are_independent(graph, symbol)) {
            network.chunk = Some((CHUNK_BYTES / one.program.bytes().max(1)).clamp(1, CHUNK_IMAGES));
        }
        Ok(network)
    }

    /// Runs a batch: each input `[n, …]` with the same `n`.
    ///
    /// # Errors
    /// When an input does not fit the declaration or a node fails.
    pub fn run(&self, inputs: &[Tensor]) -> Result<Vec<Tensor>, EngineError> {
        Ok(self.observe(inputs, |_, _| ())?.0)
    }

    /// Runs a batch and shows the tapped values of each chunk to `visit`, with the rows of the batch that the chunk
    /// covers. Results come in the order of the rows, whatever the threads did.
    ///
    /// # Errors
    /// As [`Network::run`].
    pub fn observe<T: Send>(
        &self,
        inputs: &[Tensor],
        visit: impl Fn(&[View<'_>], Range<usize>) -> T + Sync,
    ) -> Result<(Vec<Tensor>, Vec<T>), EngineError> {
        let images = self.check(inputs)?;
        let chunk = self.chunk.unwrap_or(images).min(images).max(1);
        let compiled = self.compiled(chunk)?;
        let starts: Vec<usize> = (0..images).step_by(chunk).collect();
        let run = |start: usize| {
            let rows = start..(start + chunk).min(images);
            let mut arena = compiled.arenas.lock().expect("no holder panics").pop();
            let arena = arena.get_or_insert_with(|| compiled.program.arena());
            compiled.program.run(arena, inputs, rows.clone())?;
            let seen = compiled.program.visit_taps(arena, rows.len(), |views| visit(views, rows.clone()));
            let outputs = compiled.program.outputs(arena, rows.len())?;
            compiled.arenas.lock().expect("no holder panics").push(std::mem::take(arena));
            Ok((outputs, seen))
        };
        let parts: Vec<(Vec<Tensor>, T)> = if let [start] = starts[..] {
            vec![run(start)?]
        } else {
            starts.into_par_iter().map(run).collect::<Result<_, EngineError>>()?
        };
        let (outputs, seen): (Vec<_>, Vec<_>) = parts.into_iter().unzip();
        Ok((concatenate(outputs)?, seen))
    }

    fn compiled(&self, batch: usize) -> Result<Arc<Compiled>, EngineError> {
        if let Some(compiled) = self.programs.lock().expect("no holder panics").get(&batch) {
            return Ok(compiled.clone());
        }
        self.compile(batch)
    }

    fn compile(&self, batch: usize) -> Result<Arc<Compiled>, EngineError> {
        let program = Program::compile(&self.graph, &bindings(&self.graph, batch), batch, &self.taps, self.isa)?;
        let compiled = Arc::new(Compiled { program, arenas: Mutex::new(Vec::new()) });
        self.programs.lock().expect("no holder panics").insert(batch, compiled.clone());
        Ok(compiled)
    }

    /// Checks the inputs and returns the batch.
    fn check(&self, inputs: &[Tensor]) -> Result<usize, EngineError> {
        let expected = self.graph.inputs.len();
        if inputs.len() != expected {
            return Err(EngineError::InputCount { expected, found: inputs.len() });
        }
        let images = inputs.first().and_then(|t| t.shape().first().copied()).unwrap_or(1);
        let bound = bindings(&self.graph, images);
        for (&id, tensor) in self.graph.inputs.iter().zip(inputs) {
            let value = self.graph.value(id);
            if let Some(dtype) = value.dtype.filter(|&d| d != tensor.dtype()) {
                return Err(EngineError::InputType(tensor.dtype(), dtype));
            }
            let dims = value.shape.as_deref().unwrap_or(&[]);
            let fits = |(dim, &extent): (&Dim, &usize)| match dim {
                Dim::Known(d) => *d == extent,
                Dim::Symbol(s) => bound.get(s) == Some(&extent),
            };
            if dims.len() != tensor.shape().len() || !dims.iter().zip(tensor.shape()).all(fits) {
                return Err(EngineError::InputShape {
                    name: value.name.clone(),
                    found: tensor.shape().to_vec(),
                    expected: describe(dims),
                });
            }
        }
        Ok(images)
    }
}

/// `[N, 3, 32, 32]`.
fn describe(dims: &[Dim]) -> String {
    let text = |d: &Dim| match d {
        Dim::Known(n) => n.to_string(),
        Dim::Symbol(s) => s.clone(),
    };
    format!("[{}]", dims.iter().map(text).collect::<Vec<_>>().join(", "))
}

/// The symbol of the batch: the first axis of the first input, where it is one.
fn batch_symbol(graph: &Graph) -> Option<&str> {
    match graph.value(*graph.inputs.first()?).shape.as_deref()?.first()? {
        Dim::Symbol(symbol) => Some(symbol),
        Dim::Known(_) => None,
    }
}

/// Every symbol bound: the batch to `batch`, others (free sizes that no sample tells yet) to 1.
pub fn bindings(graph: &Graph, batch: usize) -> BTreeMap<String, usize> {
    let dims = graph.inputs.iter().flat_map(|&id| graph.value(id).shape.iter().flatten());
    let symbols = dims.filter_map(|dim| match dim {
        Dim::Symbol(symbol) => Some(symbol.clone()),
        Dim::Known(_) => None,
    });
    let batch_symbol = batch_symbol(graph);
    symbols.map(|s| (s.clone(), if Some(s.as_str()) == batch_symbol { batch } else { 1 })).collect()
}

/// Whether each row along axis 0 is computed from that row of the inputs alone.
///
/// Shapes tell: at two batch sizes, every value must either not change or change in axis 0 only, in proportion.
/// Operators that mix rows without changing shapes (a softmax over axis 0, a gather from axis 0 of data) are named.
fn rows_are_independent(graph: &Graph, symbol: &str) -> bool {
    let types_at = |n: usize| {
        let mut bound = bindings(graph, n);
        bound.insert(symbol.to_owned(), n);
        lowbit_graph::passes::specialize(graph, &bound, &crate::ops::evaluate_for_pass).ok().map(|(g, types)| (g, types))
    };
    let (Some((_, two)), Some((g, three))) = (types_at(2), types_at(3)) else { return false };
    let grows = |id: ValueId| match (&two[id.0], &three[id.0]) {
        (Some(a), Some(b)) => a.shape != b.shape,
        _ => false,
    };
    let proportional = |id: ValueId| match (&two[id.0], &three[id.0]) {
        (Some(a), Some(b)) => {
            a.shape == b.shape
                || (a.shape.len() == b.shape.len()
                    && a.shape[1..] == b.shape[1..]
                    && a.shape[0] * 3 == b.shape[0] * 2)
        }
        _ => true,
    };
    g.outputs.iter().all(|&o| grows(o))
        && g.nodes.iter().all(|node| {
            let data: Vec<ValueId> =
                node.inputs.iter().flatten().copied().filter(|&v| g.constant(v).is_none() && grows(v)).collect();
            if data.is_empty() {
                return true;
            }
            let rank = three[data[0].0].as_ref().map_or(0, |t| t.shape.len());
            let on_rows = |axis: i64| axis == 0 || axis == -(rank as i64);
            let mixes = match &node.op {
                Op::Softmax(op) => on_rows(op.axis),
                Op::Gather(op) => on_rows(op.axis) && node.input(0) == Some(data[0]),
                Op::Concat(op) => on_rows(op.axis),
                Op::Slice(_) => node.outputs.iter().any(|&o| two[o.0] == three[o.0]),
                Op::LayerNormalization(op) => on_rows(op.axis),
                Op::MatMul(_) => {
                    rank <= 2 && node.input(1).is_some_and(|v| g.constant(v).is_none() && grows(v))
                }
                _ => false,
            };
            !mixes && node.outputs.iter().all(|&o| proportional(o) && grows(o))
        })
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
