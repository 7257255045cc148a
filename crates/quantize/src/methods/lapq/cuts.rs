//! The simulated network, cut before each variable: a change of one step alters only what follows it, so that all
//! before it is run once and kept.

use super::variables::Variable;
use crate::method::MethodError;
use crate::rows::{Rows, RowsError};
use crate::run::Samples;
use crate::workbench::Workbench;
use lowbit_engine::{Network, bindings, evaluate_for_pass};
use lowbit_graph::passes::{between, segment, specialize};
use lowbit_graph::{Dim, Graph, NodeId, Op, TensorType, ValueId};
use lowbit_tensor::{DType, Tensor};
use std::collections::HashSet;
use std::ops::Range;

/// Samples run at once, about: enough for all threads, few enough for the memory.
const BATCH: usize = 128;

/// Where a simulated network may be cut. Holds for every plan that quantizes the same sites.
pub struct Cuts<'a> {
    bench: Workbench<'a>,
    samples: &'a Samples,
    /// The edge that holds the scores: before a final softmax.
    scores: ValueId,
    /// Nodes that the scores depend on.
    nodes: Vec<NodeId>,
    /// In network order; the first is the network's input.
    cuts: Vec<Cut>,
    /// Samples run at once.
    batch: usize,
}

/// A place between two nodes.
struct Cut {
    /// How many of the nodes lie before.
    at: usize,
    /// Edges that cross it, with the shape of one sample.
    live: Vec<(ValueId, Vec<usize>)>,
}

/// What the edges of a cut hold for some samples.
pub struct Prefix {
    /// Index of the cut.
    pub cut: usize,
    /// The samples.
    range: Range<usize>,
    /// By edge of the cut; none at the network's input, where the samples themselves are read.
    rows: Vec<Rows>,
}

impl<'a> Cuts<'a> {
    /// Cuts `simulated`, which is the workbench's network under some plan, before each of `variables`. Returns also those
    /// that the scores depend on, in network order, each with the index of the last cut before it.
    pub fn new(
        bench: Workbench<'a>,
        samples: &'a Samples,
        simulated: &Graph,
        variables: &[Variable],
    ) -> (Cuts<'a>, Vec<(Variable, usize)>) {
        let scores = scores_of(simulated);
        let nodes = between(simulated, &simulated.inputs, &[scores]);
        let place = |variable: &Variable| {
            nodes.iter().position(|&NodeId(n)| {
                let node = &simulated.nodes[n];
                match *variable {
                    Variable::Weight(i) => {
                        node.outputs[0] == bench.graph.nodes[bench.sites.weights[i].node.0].outputs[0]
                    }
                    Variable::Edge(i) => {
                        matches!(node.op, Op::FakeQuantize(_))
                            && node.input(0) == Some(bench.sites.activations[i].value)
                    }
                }
            })
        };
        let mut placed: Vec<(usize, Variable)> =
            variables.iter().filter_map(|v| Some((place(v)?, *v))).collect();
        placed.sort_by_key(|&(at, _)| at);
        let sample = |shape: &[usize]| shape.get(1..).unwrap_or(&[]).to_vec();
        let input = simulated.inputs[0];
        let live = vec![(input, sample(bench.types[input.0].as_ref().map_or(&[], |ty| &ty.shape)))];
        let mut cuts = vec![Cut { at: 0, live }];
        let per_sample = PerSample::new(bench.graph);
        let mut found = Vec::new();
        for (at, variable) in placed {
            if cuts.last().is_some_and(|cut| cut.at < at)
                && let Some(live) = per_sample.all(simulated, &crossing(simulated, &nodes, at, scores))
            {
                cuts.push(Cut { at, live });
            }
            found.push((variable, cuts.len() - 1));
        }
        let unit = rows_fixed(simulated).unwrap_or(1);
        let batch = unit * (BATCH / unit).max(1);
        (Cuts { bench, samples, scores, nodes, cuts, batch }, found)
    }

    /// The samples before anything is run.
    pub fn input(&self, range: Range<usize>) -> Prefix {
        Prefix { cut: 0, range, rows: Vec::new() }
    }

    /// Runs `simulated` from a prefix on to a later cut.
    ///
    /// # Errors
    /// When the network cannot be run, or its values cannot be kept.
    pub fn advance(&self, simulated: &Graph, mut prefix: Prefix, cut: usize) -> Result<Prefix, MethodError> {
        if cut == prefix.cut {
            return Ok(prefix);
        }
        let wanted = &self.cuts[cut].live;
        // What crosses both cuts is kept as it is.
        let old: Vec<ValueId> = self.cuts[prefix.cut].live.iter().map(|(id, _)| *id).collect();
        let kept = |id: &ValueId| old.iter().position(|o| o == id).filter(|_| prefix.cut > 0);
        let computed: Vec<usize> = (0..wanted.len()).filter(|&i| kept(&wanted[i].0).is_none()).collect();
        let mut fresh = Vec::new();
        for &i in &computed {
            let len = wanted[i].1.iter().product();
            let name = format!("values of `{}`", simulated.value(wanted[i].0).name);
            let rows = Rows::new(&self.bench.run.budget, prefix.range.len(), len);
            fresh.push(rows.map_err(|error| RowsError { name: name.clone(), ..error })?.named(name));
        }
        let outputs: Vec<ValueId> = computed.iter().map(|&i| wanted[i].0).collect();
        let nodes = &self.nodes[self.cuts[prefix.cut].at..self.cuts[cut].at];
        self.run(simulated, &prefix, nodes, &outputs, |first, tensors| {
            let mut pairs = fresh.iter_mut().zip(&tensors);
            Ok(pairs.try_for_each(|(rows, values)| rows.write(first, &values.to_f32()))?)
        })?;
        let mut old: Vec<Option<Rows>> = prefix.rows.drain(..).map(Some).collect();
        let mut fresh = fresh.into_iter();
        let kept: Vec<Option<usize>> = wanted.iter().map(|(id, _)| kept(id)).collect();
        let rows = kept.into_iter().map(|place| match place {
            Some(place) => old[place].take().expect("an edge crosses a cut once"),
            None => fresh.next().expect("what is not kept was computed"),
        });
        Ok(Prefix { cut, range: prefix.range, rows: rows.collect() })
    }

    /// Shows the scores of each sample of a prefix under `simulated`: `(number of the sample, scores)`.
    ///
    /// # Errors
    /// When the network cannot be run.
    pub fn scores(
        &self,
        simulated: &Graph,
        prefix: &Prefix,
        mut each: impl FnMut(usize, &[f32]),
    ) -> Result<(), MethodError> {
        let nodes = &self.nodes[self.cuts[prefix.cut].at..];
        self.run(simulated, prefix, nodes, &[self.scores], |first, tensors| {
            let rows = tensors[0].shape()[0].max(1);
            let scores = tensors[0].to_f32();
            let samples = scores.chunks_exact((scores.len() / rows).max(1)).enumerate();
            samples.for_each(|(i, scores)| each(prefix.range.start + first + i, scores));
            Ok(())
        })
    }

    /// Shows the values of an edge behind a prefix, batch by batch.
    ///
    /// # Errors
    /// When the network cannot be run.
    pub fn values(
        &self,
        simulated: &Graph,
        prefix: &Prefix,
        edge: ValueId,
        mut each: impl FnMut(&[f32]),
    ) -> Result<(), MethodError> {
        let nodes = between(simulated, &self.edges(prefix), &[edge]);
        self.run(simulated, prefix, &nodes, &[edge], |_, tensors| {
            each(&tensors[0].to_f32());
            Ok(())
        })
    }

    /// The edges that a prefix holds.
    fn edges(&self, prefix: &Prefix) -> Vec<ValueId> {
        self.cuts[prefix.cut].live.iter().map(|(id, _)| *id).collect()
    }

    /// Runs some nodes on a prefix, batch by batch: `visit` gets the first sample of the batch, counted from the prefix's,
    /// and the outputs.
    fn run(
        &self,
        simulated: &Graph,
        prefix: &Prefix,
        nodes: &[NodeId],
        outputs: &[ValueId],
        mut visit: impl FnMut(usize, Vec<Tensor>) -> Result<(), MethodError>,
    ) -> Result<(), MethodError> {
        let inputs = self.edges(prefix);
        // An edge that crosses both ends is at hand.
        let at_hand = |id: &ValueId| inputs.iter().position(|i| i == id);
        let computed: Vec<ValueId> = outputs.iter().copied().filter(|id| at_hand(id).is_none()).collect();
        let part = segment(simulated, self.bench.types, nodes, &inputs, &computed);
        let network = Network::new(&part)?;
        for first in (0..prefix.range.len()).step_by(self.batch) {
            let batch = self.batch(prefix, first..(first + self.batch).min(prefix.range.len()))?;
            let mut results = network.run(&batch)?.into_iter();
            let output = |id| at_hand(id).map_or_else(|| results.next(), |i| Some(batch[i].clone()));
            visit(first, outputs.iter().filter_map(output).collect())?;
        }
        Ok(())
    }

    /// What a prefix holds for some of its samples.
    fn batch(&self, prefix: &Prefix, rows: Range<usize>) -> Result<Vec<Tensor>, MethodError> {
        let tensor = |(i, (_, shape)): (usize, &(ValueId, Vec<usize>))| {
            let shape = [&[rows.len()], shape.as_slice()].concat();
            let mut values = vec![0.0; shape.iter().product()];
            match prefix.rows.get(i) {
                Some(kept) => kept.read(rows.clone(), &mut values)?,
                None => {
                    let start = prefix.range.start;
                    self.samples.inputs.read(start + rows.start..start + rows.end, &mut values)?;
                }
            }
            Ok(Tensor::from_f32(shape, values))
        };
        self.cuts[prefix.cut].live.iter().enumerate().map(tensor).collect()
    }
}

/// The edge that holds the scores of the first output, before a final softmax: losses want logits.
pub fn scores_of(graph: &Graph) -> ValueId {
    let output = graph.outputs[0];
    let producer = graph.nodes.iter().find(|node| node.outputs.contains(&output));
    producer.filter(|node| matches!(node.op, Op::Softmax(_))).and_then(|node| node.input(0)).unwrap_or(output)
}

/// The number of samples that a network takes at once, where its file fixes that.
pub fn rows_fixed(graph: &Graph) -> Option<usize> {
    match graph.value(*graph.inputs.first()?).shape.as_deref()?.first()? {
        Dim::Known(rows) => Some((*rows).max(1)),
        Dim::Symbol(_) => None,
    }
}

/// The computed edges between the first `at` of some nodes and the others, or the scores.
fn crossing(graph: &Graph, nodes: &[NodeId], at: usize, scores: ValueId) -> Vec<ValueId> {
    let node = |n: &NodeId| &graph.nodes[n.0];
    let made: HashSet<ValueId> = nodes[..at]
        .iter()
        .flat_map(|n| node(n).outputs.clone())
        .chain(graph.inputs.iter().copied())
        .collect();
    let read = nodes[at..].iter().flat_map(|n| node(n).inputs.iter().flatten().copied()).chain([scores]);
    let mut crossing: Vec<ValueId> = read.filter(|id| made.contains(id)).collect();
    crossing.sort_unstable();
    crossing.dedup();
    crossing
}

/// Types at batches of two and of three, which tell what has one row per sample.
struct PerSample([Vec<Option<TensorType>>; 2]);

impl PerSample {
    fn new(graph: &Graph) -> PerSample {
        let at = |rows| {
            let bound = specialize(graph, &bindings(graph, rows), &evaluate_for_pass);
            bound.map(|(_, types)| types).unwrap_or_default()
        };
        PerSample([at(2), at(3)])
    }

    /// The edges with the shape of a sample, if all are float32 with one row per sample.
    fn all(&self, simulated: &Graph, edges: &[ValueId]) -> Option<Vec<(ValueId, Vec<usize>)>> {
        let shape = |&id: &ValueId| {
            // What was inserted has the type of what it rounds.
            let inserted = |id: ValueId| {
                let node = simulated.nodes.iter().find(|node| node.outputs.contains(&id))?;
                node.input(0).filter(|_| node.op.is_rounding())
            };
            let mut known = id;
            while self.0[0].len() <= known.0 {
                known = inserted(known)?;
            }
            let [two, three] = self.0.each_ref().map(|types| types.get(known.0).and_then(Option::as_ref));
            let (two, three) = (two?, three?);
            let rows = two.shape.first() == Some(&2) && three.shape.first() == Some(&3);
            let per_sample = rows && two.shape[1..] == three.shape[1..] && two.dtype == DType::F32;
            per_sample.then(|| (id, two.shape[1..].to_vec()))
        };
        edges.iter().map(shape).collect()
    }
}
