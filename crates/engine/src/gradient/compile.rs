//! A graph with static shapes to a [`Tape`]: every value is kept, and every step knows its way back.
//!
//! Chooses forms as [`crate::compile`] does, with two differences: rounding and activations that cannot be told from
//! their output are steps of their own, because the way back needs what they read; and a constant that is a parameter
//! is never folded into a form that could not take new values for it.

use super::reverse::{Reverse, Reversible, Update};
use super::tape::{Cell, Kind, Place, Source, Span, Step, Tape, Use};
use super::{GradientError, Parameter};
use crate::form::{Form, Layout, Learned, Operand, Site, Tail};
use crate::fusion::{Fused, Fusions};
use crate::{EngineError, ops};
use lowbit_graph::{Graph, Node, NodeId, Op, TensorType, ValueId};
use lowbit_kernels::{Isa, Unary, layout};
use lowbit_tensor::DType;
use std::collections::{HashMap, HashSet};

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
        scratch: 0,
    };
    compiler.run()?;
    compiler.finish()
}

/// A value in one layout.
type Key = (ValueId, Layout);

struct Compiler<'a> {
    plan: &'a Plan<'a>,
    /// Layouts in which each f32 value exists so far; the first is the one it was computed in.
    present: HashMap<ValueId, Vec<Layout>>,
    cells: HashMap<Key, Cell>,
    spans: Vec<Span>,
    /// By cell: whether a parameter (or an input whose gradient is wanted) has part in it.
    wanted: Vec<bool>,
    steps: Vec<Step>,
    /// By parameter: step, and position among its parameters.
    uses: Vec<Vec<Use>>,
    scratch: usize,
}

impl<'a> Compiler<'a> {
    fn ty(&self, id: ValueId) -> &'a TensorType {
        self.plan.types[id.0].as_ref().expect("specialize types every live value")
    }

    fn is_buffer(&self, id: ValueId) -> bool {
        self.plan.graph.constant(id).is_none() && self.ty(id).dtype == DType::F32
    }

    fn cell(&mut self, key: Key, wanted: bool) -> Cell {
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
        let fusions = Fusions::find(graph, self.plan.types, &self.kept());
        for (i, node) in graph.nodes.iter().enumerate() {
            match fusions.by_last.get(&NodeId(i)) {
                Some(fused) => self.place_group(fused),
                None if fusions.absorbed.contains(&NodeId(i)) => {}
                None => self.place(node),
            }
        }
        for &output in &graph.outputs {
            if graph.constant(output).is_some() || !self.is_buffer(output) {
                return Err(GradientError::Integer(graph.value(output).name.clone()));
            }
            let layout = self.outer(output);
            self.want(output, layout);
        }
        match self.uses.iter().position(Vec::is_empty) {
            None => Ok(()),
            Some(i) => {
                let (Parameter::Constant(id) | Parameter::Step(id)) = self.plan.parameters[i];
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
    fn learned(&self, node: &Node) -> Vec<(Learned, usize)> {
        let parameters = self.plan.parameters.iter().enumerate();
        parameters
            .flat_map(|(i, parameter)| -> Vec<(Learned, usize)> {
                match parameter {
                    Parameter::Constant(id) => {
                        let places = node.inputs.iter().enumerate().filter(|(_, input)| **input == Some(*id));
                        places.map(|(place, _)| (Learned::Input(place), i)).collect()
                    }
                    Parameter::Step(id) if node.outputs.first() == Some(id) => vec![(Learned::Step, i)],
                    Parameter::Step(_) => Vec::new(),
                }
            })
            .collect()
    }

    /// The cell of `id` in `layout`, after a layout change if it does not exist so.
    fn want(&mut self, id: ValueId, layout: Layout) -> Cell {
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
        self.steps.push(Step {
            name: format!("layout of {}", self.plan.graph.value(id).name),
            kind: Kind::Fast {
                run: Box::new(move |x, _, y| each(there, x[0], y)),
                back: Some(reverse.run),
                update: None,
            },
            reads: vec![source],
            writes: vec![target],
            sinks: vec![None],
            parameters: Vec::new(),
            goes_back: false,
        });
        self.present.get_mut(&id).expect("just read").push(layout);
        target
    }

    /// An anchor with what follows it, or one by one if there is no form of that.
    fn place_group(&mut self, fused: &Fused) {
        let graph = self.plan.graph;
        let anchor = &graph.nodes[fused.anchor.0];
        match self.reversible(anchor, Some(fused)) {
            Some(form) => self.place_form(anchor, form, fused.output, fused.residual),
            None => {
                self.place(anchor);
                fused.nodes.iter().for_each(|n| self.place(&graph.nodes[n.0]));
            }
        }
    }

    fn place(&mut self, node: &Node) {
        match self.reversible(node, None) {
            Some(form) => self.place_form(node, form, node.outputs[0], None),
            None => self.place_plain(node),
        }
    }

    fn place_form(
        &mut self,
        node: &Node,
        form: (Form, Option<Reverse>, Option<Update>),
        output: ValueId,
        residual: Option<ValueId>,
    ) {
        let (form, reverse, update) = form;
        let wanted =
            form.reads.iter().map(|&(i, layout)| (node.input(i).expect("forms read what exists"), layout));
        let wanted: Vec<Key> = wanted.chain(residual.map(|id| (id, form.output))).collect();
        let reads: Vec<Cell> = wanted.into_iter().map(|(id, layout)| self.want(id, layout)).collect();
        let learned = self.learned(node);
        let differs = !learned.is_empty() || reads.iter().any(|&cell| self.wanted[cell]);
        let target = self.cell((output, form.output), differs);
        self.present.insert(output, vec![form.output]);
        self.scratch = self.scratch.max(form.scratch).max(reverse.as_ref().map_or(0, |r| r.scratch));
        let step = self.steps.len();
        for (nth, &(_, parameter)) in learned.iter().enumerate() {
            self.uses[parameter].push(Use { step, nth });
        }
        self.steps.push(Step {
            name: node.name.clone(),
            kind: Kind::Fast { run: form.run, back: reverse.map(|r| r.run), update },
            sinks: vec![None; reads.len()],
            reads,
            writes: vec![target],
            parameters: learned.into_iter().map(|(_, parameter)| parameter).collect(),
            goes_back: false,
        });
    }

    fn place_plain(&mut self, node: &Node) {
        let graph = self.plan.graph;
        let learned = self.learned(node);
        let mut reads = Vec::new();
        let mut inputs = Vec::new();
        for (i, input) in node.inputs.iter().enumerate() {
            let parameter = learned.iter().find(|(l, _)| *l == Learned::Input(i));
            inputs.push(match (*input, parameter) {
                (None, _) => None,
                (Some(id), Some(&(_, parameter))) => {
                    Some(Source::Parameter { parameter, shape: self.ty(id).shape.clone() })
                }
                (Some(id), None) => Some(match graph.constant(id) {
                    Some(constant) => Source::Constant(constant.clone()),
                    None if self.is_buffer(id) => {
                        reads.push(self.want(id, Layout::RowMajor));
                        Source::Buffer { read: reads.len() - 1, shape: self.ty(id).shape.clone() }
                    }
                    None => Source::Tensor(id),
                }),
            });
        }
        let differs = !learned.is_empty() || reads.iter().any(|&cell| self.wanted[cell]);
        let mut writes = Vec::new();
        let mut outputs = Vec::new();
        for &id in &node.outputs {
            outputs.push(if self.is_buffer(id) {
                self.present.insert(id, vec![Layout::RowMajor]);
                writes.push(self.cell((id, Layout::RowMajor), differs));
                Place::Buffer { write: writes.len() - 1, shape: self.ty(id).shape.clone() }
            } else {
                Place::Tensor(id)
            });
        }
        let step = self.steps.len();
        for (nth, &(_, parameter)) in learned.iter().enumerate() {
            self.uses[parameter].push(Use { step, nth });
        }
        self.steps.push(Step {
            name: node.name.clone(),
            kind: Kind::Plain { op: Box::new(node.op.clone()), inputs, outputs, learned: learned.clone() },
            sinks: vec![None; reads.len()],
            reads,
            writes,
            parameters: learned.into_iter().map(|(_, parameter)| parameter).collect(),
            goes_back: false,
        });
    }

    /// A node's fast form with its way back, if it has both (or needs no way back).
    fn reversible(
        &self,
        node: &Node,
        fused: Option<&Fused>,
    ) -> Option<(Form, Option<Reverse>, Option<Update>)> {
        if node.outputs.len() > 1 || !self.is_buffer(node.outputs[0]) {
            return None;
        }
        let graph = self.plan.graph;
        let operand = |id: ValueId| Operand {
            ty: self.ty(id),
            layout: self.present.get(&id).map_or(Layout::RowMajor, |layouts| layouts[0]),
            constant: graph.constant(id).map(|c| c.as_ref()),
        };
        let wanted = |id: ValueId| {
            self.present.get(&id).is_some_and(|layouts| self.wanted[self.cells[&(id, layouts[0])]])
        };
        let learned: Vec<Learned> = self.learned(node).into_iter().map(|(l, _)| l).collect();
        let data: Vec<ValueId> =
            node.inputs.iter().flatten().copied().chain(fused.and_then(|f| f.residual)).collect();
        let differs = !learned.is_empty() || data.iter().any(|&id| wanted(id));
        let site = Site {
            inputs: node.inputs.iter().map(|i| i.map(operand)).collect(),
            output: self.ty(node.outputs[0]),
            which: 0,
            bias: fused.and_then(|f| f.bias.as_deref()),
            tail: fused.map_or(Tail::default(), |f| f.tail),
            isa: self.plan.isa,
            data_gradient: node.input(0).is_some_and(wanted),
            learned,
        };
        if site.inputs.iter().flatten().filter(|o| o.is_data()).map(|o| o.ty).any(TensorType::is_empty)
            || site.output.is_empty()
        {
            return None;
        }
        if !differs {
            return ops::forward(&node.op, &site).map(|form| (form, None, None));
        }
        // Two sinks must not be one buffer.
        let differing: Vec<ValueId> = data.into_iter().filter(|&id| wanted(id)).collect();
        if differing.iter().collect::<HashSet<_>>().len() < differing.len() {
            return None;
        }
        let Reversible { form, reverse, update } = ops::reversible(&node.op, &site)?;
        Some((form, Some(reverse), update))
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
        let mut reached: HashSet<Cell> = outputs.iter().copied().collect();
        for step in self.steps.iter_mut().rev() {
            let differs = step.writes.iter().any(|cell| self.wanted[*cell] && reached.contains(cell));
            if !differs {
                continue;
            }
            step.goes_back = true;
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
            Parameter::Step(id) => {
                let producer = graph.nodes.iter().find(|n| n.outputs.first() == Some(id));
                match producer.map(|n| &n.op) {
                    Some(Op::FakeQuantize(op)) => op.code.scale.clone(),
                    _ => Vec::new(),
                }
            }
        });
        Ok(Tape {
            batch: self.plan.batch,
            parameters: parameters.collect(),
            steps: self.steps,
            reached: (0..self.spans.len()).map(|cell| self.wanted[cell] && reached.contains(&cell)).collect(),
            spans: self.spans,
            inputs,
            outputs,
            uses: self.uses,
            scratch: self.scratch,
        })
    }
}

type Convert = fn(usize, usize, &[f32], &mut [f32]);
