//! A network behind one of the engines: what evaluation, runs and benchmarks feed batches to.

use anyhow::{Context, Result, anyhow};
use lowbit_engine::Network;
use lowbit_graph::ops::{Clip, Identity};
use lowbit_graph::{Graph, Op};
use lowbit_onnx::ReadOptions;
use lowbit_runtime::{Left, Options, Session, lower};
use lowbit_tensor::Tensor;
use lowbit_tensor::number::decode;

use super::load::{self, Loaded, with_threads};
use crate::ModelSource;
use crate::blame::{Blame, Given};
use crate::facade::Engine;

/// A session with threads of its own, as it outlives the job that opens it.
pub(crate) fn session(model: &ModelSource, threads: Option<usize>) -> Result<Session> {
    let cores = || std::thread::available_parallelism().map_or(1, usize::from);
    let options = Options { threads: Some(threads.unwrap_or_else(cores)), ..Options::default() };
    let open = || {
        let graph = model.read(ReadOptions::default())?;
        Session::new(graph, options).with_context(|| format!("cannot run {model} on integers"))
    };
    with_threads(Some(1), open).blame(Given::Model)
}

pub(super) enum Runner {
    Float(Box<Network>),
    Integer(Box<Session>),
}

impl Runner {
    /// `model` is where `loaded` was read from: the integer runtime lowers the file as it is.
    pub(super) fn new(engine: Engine, model: &ModelSource, loaded: &Loaded) -> Result<Runner> {
        let place = || format!("cannot run {model} on integers");
        let read = || -> Result<Graph> {
            let mut graph = model.read(ReadOptions::default())?;
            load::take_floats(&mut graph);
            Ok(graph)
        };
        Ok(match engine {
            Engine::Simulated => Runner::Float(Box::new(Network::new(&loaded.graph)?)),
            Engine::Float => Runner::Float(Box::new(Network::new(&without_rounding(&loaded.graph))?)),
            Engine::Exact => {
                let lowered = lower(read()?).with_context(place)?;
                let exact =
                    lowered.in_float().map_err(|Left { node, op, reason }| anyhow!("{op} `{node}` {reason}"));
                Runner::Float(Box::new(Network::new(&exact.with_context(place)?)?))
            }
            Engine::Integer => {
                let session = Session::new(read()?, Options::default());
                Runner::Integer(Box::new(session.with_context(place)?))
            }
        })
    }

    /// All outputs of a batch, each `[n, …]`.
    pub(super) fn run(&self, input: &Tensor) -> Result<Vec<Tensor>> {
        let session = match self {
            Runner::Float(network) => return Ok(network.run(std::slice::from_ref(input))?),
            Runner::Integer(session) => session,
        };
        let values = session.run_all(&input.to_f32())?;
        let rows = input.shape().first().copied().unwrap_or(1);
        let tensors = session.outputs().iter().zip(values).map(|(output, values)| {
            let shape: Vec<usize> = std::iter::once(rows).chain(output.shape.iter().copied()).collect();
            Tensor::from_f32(shape, values)
        });
        Ok(tensors.collect())
    }
}

/// Lowest and highest real value of what a node rounds to, where that is one code for the tensor.
fn reach(op: &Op) -> Option<[f32; 2]> {
    let (grid, ends) = match op {
        Op::FakeQuantize(op) => (&op.code, op.code.range(0)),
        Op::FakeLevels(op) => (&op.code.grid, [*op.code.levels.first()?, *op.code.levels.last()?]),
        _ => return None,
    };
    grid.axis.is_none().then(|| ends.map(|code| decode(code, grid.scale[0], grid.zero_point[0])))
}

/// The network with its edges held to the reach of their codes but not rounded; weights stay what they are. Files leave
/// out an activation that the codes do: a ReLU is codes that begin at zero.
fn without_rounding(graph: &Graph) -> Graph {
    let mut graph = graph.clone();
    for n in 0..graph.nodes.len() {
        let node = &graph.nodes[n];
        let (op, mut inputs) = match &node.op {
            Op::FakeQuantize(_) | Op::FakeLevels(_) => {
                let Some([lo, hi]) = reach(&node.op) else { continue };
                let name = node.name.clone();
                let bound = |graph: &mut Graph, what: &str, value| {
                    let name = graph.fresh_name(&format!("{name}.{what}"));
                    Some(graph.add_constant(name, Tensor::scalar(value)))
                };
                (Op::Clip(Clip), vec![bound(&mut graph, "least", lo), bound(&mut graph, "most", hi)])
            }
            Op::BitWindow(_) => (Op::Identity(Identity), Vec::new()),
            _ => continue,
        };
        let node = &mut graph.nodes[n];
        node.op = op;
        node.inputs.truncate(1);
        node.inputs.append(&mut inputs);
    }
    graph
}
