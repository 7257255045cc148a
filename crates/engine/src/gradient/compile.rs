//! A graph with static shapes to a [`Tape`]: every step knows its way back.
//!
//! Chooses forms as [`crate::compile`] does, with these differences: rounding and activations that cannot be told from
//! their output are steps of their own, because the way back needs what they read; a constant that is a parameter is
//! never folded into a form that could not take new values for it; and in training, batch normalization is two steps,
//! the sums over the batch and what is made of them, between which a phase ends.

use super::norm::Norm;
use super::reverse::Reverse;
use super::rooms::Home;
use super::tape::{Cell, Kind, Span, Step, Tape, Use};
use super::{GradientError, Parameter, Rounding};
use crate::form::{Layout, Learned, Run};
use crate::fusion::Fusions;
use crate::{EngineError, ops};
use lowbit_graph::{Graph, Node, NodeId, Op, TensorType, ValueId};
use lowbit_kernels::{Isa, Unary, layout};
use lowbit_tensor::DType;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

/// What stands in for nodes that compute these values.
pub(super) type Roundings = HashMap<ValueId, Arc<dyn Rounding>>;

/// A graph with static shapes and what is differentiated.
pub(super) struct Plan<'a> {
    pub(super) graph: &'a Graph,
    pub(super) types: &'a [Option<TensorType>],
    /// Which values grow with the batch along axis 0, by value; `None` if the batch is never cut.
    pub(super) grows: Option<&'a [bool]>,
    pub(super) batch: usize,
    pub(super) parameters: &'a [Parameter],
    /// Whether gradients of the inputs are wanted too.
    pub(super) input_gradients: bool,
    /// In training, normalization takes its statistics from the batch, and edges may be rounded in other ways.
    pub(super) training: Option<&'a Roundings>,
    pub(super) isa: Isa,
}

pub(super) fn compile(plan: &Plan<'_>) -> Result<Tape, GradientError> {
    let mut compiler = Compiler {
        plan,
        present: HashMap::new(),
        cells: HashMap::new(),
        spans: Vec::new(),
        wanted: Vec::new(),
        steps: Vec::new(),
        uses: vec![Vec::new(); plan.parameters.len()],
        norms: Vec::new(),
        phases: HashMap::new(),
        scratch: 0,
    };
    compiler.run()?;
    compiler.finish()
}

/// A value in one layout.
pub(super) type Key = (ValueId, Layout);

pub(super) struct Compiler<'a> {
    pub(super) plan: &'a Plan<'a>,
    /// Layouts in which each f32 value exists so far; the first is the one it was computed in.
    pub(super) present: HashMap<ValueId, Vec<Layout>>,
    pub(super) cells: HashMap<Key, Cell>,
    pub(super) spans: Vec<Span>,
    /// By cell: whether a parameter (or an input whose gradient is wanted) has part in it.
    pub(super) wanted: Vec<bool>,
    pub(super) steps: Vec<Step>,
    /// By parameter: step, and position among its parameters.
    pub(super) uses: Vec<Vec<Use>>,
    pub(super) norms: Vec<Norm>,
    /// The phase in which each value is computed; those of inputs and constants are 0.
    pub(super) phases: HashMap<ValueId, usize>,
    pub(super) scratch: usize,
}

impl<'a> Compiler<'a> {
    pub(super) fn ty(&self, id: ValueId) -> &'a TensorType {
        self.plan.types[id.0].as_ref().expect("specialize types every live value")
    }

    pub(super) fn is_buffer(&self, id: ValueId) -> bool {
        self.plan.graph.constant(id).is_none() && self.ty(id).dtype == DType::F32
    }

    pub(super) fn cell(&mut self, key: Key, wanted: bool) -> Cell {
        let grows = self.plan.grows.is_some_and(|grows| grows[key.0.0]);
        self.spans.push(Span { len: self.ty(key.0).len(), grows });
        self.wanted.push(wanted);
        self.cells.insert(key, self.spans.len() - 1);
        self.spans.len() - 1
    }

    /// Layout in which callers give inputs and get outputs.
    fn outer(&self, id: ValueId) -> Layout {
        if self.ty(id).shape.len() >= 3 { Layout::ChannelsLast } else { Layout::RowMajor }
    }

    fn run(&mut self) -> Result<(), GradientError> {
        let graph = self.plan.graph;
        for &input in &graph.inputs {
            if !self.is_buffer(input) {
                return Err(GradientError::Integer(graph.value(input).name.clone()));
            }
            let layout = self.outer(input);
            self.present.insert(input, vec![layout]);
            self.cell((input, layout), self.plan.input_gradients);
        }
        let kept = self.kept();
        let fusions = Fusions::find(graph, self.plan.types, &kept);
        let normed = self.normed(&fusions, &kept);
        for (i, node) in graph.nodes.iter().enumerate() {
            if let Some(&nth) = normed.by_anchor.get(&NodeId(i)) {
                self.gather(node, nth)?;
            }
            if let Some(last) = normed.by_last.get(&NodeId(i)) {
                self.normalize(last, normed.by_anchor[&last.anchor]);
            } else if normed.absorbed.contains(&NodeId(i)) {
            } else if let Some(fused) = fusions.by_last.get(&NodeId(i)) {
                self.place_group(fused)?;
            } else if !fusions.absorbed.contains(&NodeId(i)) {
                self.place(node)?;
            }
        }
        for &output in &graph.outputs {
            if graph.constant(output).is_some() || !self.is_buffer(output) {
                return Err(GradientError::Integer(graph.value(output).name.clone()));
            }
            let layout = self.outer(output);
            self.want(output, layout);
        }
        let normal = |i: usize| {
            self.norms.iter().any(|n| [&n.scale, &n.shift].map(|v| v.parameter()).contains(&Some(i)))
        };
        let unused = |(i, uses): (usize, &Vec<Use>)| uses.is_empty() && !normal(i);
        match self.uses.iter().enumerate().position(unused) {
            None => Ok(()),
            Some(i) => {
                let (Parameter::Constant(id) | Parameter::Step(id) | Parameter::Rounding(id)) =
                    self.plan.parameters[i];
                let name = graph.values.get(id.0).map_or_else(|| id.0.to_string(), |v| v.name.clone());
                Err(GradientError::Unused(name))
            }
        }
    }

    /// Values that must exist because the way back reads them: no fusion may swallow them.
    fn kept(&self) -> Vec<ValueId> {
        let graph = self.plan.graph;
        let alone = |node: &Node| {
            let activation = ops::activation(graph, node);
            matches!(node.op, Op::FakeQuantize(_))
                || activation.is_some_and(|a| !matches!(a, Unary::Relu | Unary::Clip { .. }))
                || matches!(node.op, Op::Add(_)) && !self.learned(node).is_empty()
        };
        let nodes = graph.nodes.iter().filter(|node| alone(node));
        nodes.flat_map(|node| node.inputs.iter().flatten().copied()).collect()
    }

    /// The parameters of a node, each with its place among all parameters.
    pub(super) fn learned(&self, node: &Node) -> Vec<(Learned, usize)> {
        let parameters = self.plan.parameters.iter().enumerate();
        parameters
            .flat_map(|(i, parameter)| -> Vec<(Learned, usize)> {
                match parameter {
                    Parameter::Constant(id) => {
                        let places = node.inputs.iter().enumerate().filter(|(_, input)| **input == Some(*id));
                        places.map(|(place, _)| (Learned::Input(place), i)).collect()
                    }
                    Parameter::Step(id) | Parameter::Rounding(id) if node.outputs.first() == Some(id) => {
                        vec![(Learned::Step, i)]
                    }
                    Parameter::Step(_) | Parameter::Rounding(_) => Vec::new(),
                }
            })
            .collect()
    }

    /// The cell of `id` in `layout`, after a layout change if it does not exist so.
    pub(super) fn want(&mut self, id: ValueId, layout: Layout) -> Cell {
        let layouts = &self.present[&id];
        if layouts.contains(&layout) {
            return self.cells[&(id, layout)];
        }
        let (from, shape) = (layouts[0], &self.ty(id).shape);
        let (channels, cells) = match shape[..] {
            [_, c, ref rest @ ..] if !rest.is_empty() => (c, rest.iter().product()),
            _ => (1, 1),
        };
        let source = self.cells[&(id, from)];
        if channels <= 1 || cells <= 1 {
            return source;
        }
        let (there, back): (Convert, Convert) = match layout {
            Layout::ChannelsLast => (layout::nchw_to_nhwc, layout::nhwc_to_nchw),
            Layout::RowMajor => (layout::nhwc_to_nchw, layout::nchw_to_nhwc),
        };
        let len = channels * cells;
        let each = move |convert: Convert, x: &[f32], y: &mut [f32]| {
            x.chunks(len).zip(y.chunks_mut(len)).for_each(|(x, y)| convert(channels, cells, x, y));
        };
        let isa = self.plan.isa;
        let reverse = Reverse {
            scratch: self.ty(id).len(),
            run: Box::new(move |pull| {
                let to = &mut pull.scratch[..pull.grad.len()];
                each(back, pull.grad, to);
                if let Some(sink) = &mut pull.sinks[0] {
                    sink.put(isa, to);
                }
            }),
        };
        let wanted = self.wanted[source];
        let target = self.cell((id, layout), wanted);
        self.scratch = self.scratch.max(reverse.scratch);
        let run: Run = Box::new(move |x, _, y| each(there, x[0], y));
        let kind = Kind::Fast { run, back: Some(reverse.run), learns: None };
        let name = format!("layout of {}", self.plan.graph.value(id).name);
        let phase = self.phases.get(&id).copied().unwrap_or(0);
        self.step(name, kind, vec![source], vec![target], &[], phase);
        self.present.get_mut(&id).expect("just read").push(layout);
        target
    }

    /// Adds a step; its parameters know of it.
    pub(super) fn step(
        &mut self,
        name: String,
        kind: Kind,
        reads: Vec<Cell>,
        writes: Vec<Cell>,
        learned: &[(Learned, usize)],
        phase: usize,
    ) {
        for (nth, &(_, parameter)) in learned.iter().enumerate() {
            self.uses[parameter].push(Use { step: self.steps.len(), nth });
        }
        self.steps.push(Step {
            name,
            kind,
            sinks: vec![None; reads.len()],
            reads,
            writes,
            parameters: learned.iter().map(|&(_, parameter)| parameter).collect(),
            goes_back: false,
            phase,
        });
    }

    /// The phase in which all of these are there.
    pub(super) fn phase(&self, ids: impl Iterator<Item = ValueId>) -> usize {
        ids.filter_map(|id| self.phases.get(&id).copied()).max().unwrap_or(0)
    }

    /// Plans the way back: which steps are on it, and who is first at each gradient.
    fn finish(mut self) -> Result<Tape, GradientError> {
        let graph = self.plan.graph;
        let found = |id: ValueId, layout: Layout| {
            let layout = if self.present[&id].contains(&layout) { layout } else { self.present[&id][0] };
            self.cells[&(id, layout)]
        };
        let inputs: Vec<Cell> = graph.inputs.iter().map(|&id| found(id, self.outer(id))).collect();
        let outputs: Vec<Cell> = graph.outputs.iter().map(|&id| found(id, self.outer(id))).collect();
        self.sort();
        let mut reached: HashSet<Cell> = outputs.iter().copied().collect();
        for step in self.steps.iter_mut().rev() {
            let result = match step.kind {
                Kind::Gather(norm) => vec![self.norms[norm].y],
                _ => step.writes.clone(),
            };
            if !result.iter().any(|cell| self.wanted[*cell] && reached.contains(cell)) {
                continue;
            }
            step.goes_back = true;
            if matches!(step.kind, Kind::Normalize(_)) {
                // The first input gets its gradient from `Gather`, once the sums are there.
                if let (Some(sink), Some(&cell)) = (step.sinks.get_mut(1), step.reads.get(1)) {
                    *sink = self.wanted[cell].then(|| !reached.insert(cell));
                }
                continue;
            }
            for (sink, &cell) in step.sinks.iter_mut().zip(&step.reads) {
                *sink = self.wanted[cell].then(|| !reached.insert(cell));
            }
        }
        let bytes = self.spans.iter().fold(self.scratch, |sum, span| sum.saturating_add(2 * span.len));
        if bytes.saturating_mul(4) > crate::compile::LIMIT {
            let what = "the network's working memory".to_owned();
            return Err(EngineError::TooLarge { what, limit: crate::compile::LIMIT }.into());
        }
        let parameters = self.plan.parameters.iter().map(|parameter| match parameter {
            Parameter::Constant(id) => graph.constant(*id).map_or_else(Vec::new, |t| t.to_f32()),
            Parameter::Rounding(id) => {
                let rounding = self.plan.training.and_then(|roundings| roundings.get(id));
                vec![0.0; rounding.map_or(0, |rounding| rounding.len())]
            }
            Parameter::Step(id) => {
                let producer = graph.nodes.iter().find(|n| n.outputs.first() == Some(id));
                match producer.map(|n| &n.op) {
                    Some(Op::FakeQuantize(op)) => op.code.scale.clone(),
                    _ => Vec::new(),
                }
            }
        });
        let reached = (0..self.spans.len()).map(|cell| self.wanted[cell] && reached.contains(&cell));
        let home = |(cell, reached): (Cell, bool)| {
            if reached { Home::Local(self.spans.len() + cell) } else { Home::Nowhere }
        };
        Ok(Tape {
            batch: self.plan.batch,
            parameters: parameters.collect(),
            values: (0..self.spans.len()).map(Home::Local).collect(),
            grads: reached.enumerate().map(home).collect(),
            inputs,
            outputs,
            cells: self.present.iter().map(|(&id, layouts)| (id, self.cells[&(id, layouts[0])])).collect(),
            steps: self.steps,
            spans: self.spans,
            uses: self.uses,
            norms: self.norms,
            scratch: self.scratch,
            isa: self.plan.isa,
        })
    }

    /// Puts the steps in the order of their phases, and otherwise leaves it.
    fn sort(&mut self) {
        let mut order: Vec<usize> = (0..self.steps.len()).collect();
        order.sort_by_key(|&step| self.steps[step].phase);
        let mut moved = vec![0; order.len()];
        order.iter().enumerate().for_each(|(new, &old)| moved[old] = new);
        self.uses.iter_mut().flatten().for_each(|place| place.step = moved[place.step]);
        self.steps.sort_by_key(|step| step.phase);
    }
}

type Convert = fn(usize, usize, &[f32], &mut [f32]);
