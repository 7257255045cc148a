//! A quantized network to steps on integers.
//!
//! Works backwards from the outputs: a coded edge asks for the step that gives its codes, which asks for the edges that step
//! reads. So only what is needed is made, and a node gets an integer form exactly where all it reads are codes.
//! The files beside this one each know one kind of node; what none of them takes stays float.

mod canonical;
mod combine;
mod elementwise;
mod float;
mod fuse;
mod layer;
mod pool;
mod reshape;
mod rows;
mod sum;

use crate::grid::steps;
use crate::ops::{Dequantize, Lookup, Op, Quantize};
use crate::program::{Buffer, BufferId, Content, Step};
use crate::weights::{Scales, scales};
use crate::{Grid, RuntimeError};
use lowbit_engine::{bindings, evaluate_for_pass};
use lowbit_graph::ops::FakeQuantize;
use lowbit_graph::passes::{self, Group, prepare, specialize};
use lowbit_graph::{Graph, Node, NodeId, Op as GraphOp, TensorType, ValueId};
use lowbit_kernels::integer::Plane;
use lowbit_tensor::{DType, Levels};
use std::collections::{BTreeMap, HashMap};

/// A node that runs in float, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Left {
    /// Name of the node.
    pub node: String,
    /// Its operator.
    pub op: String,
    /// Why it has no integer form here.
    pub reason: String,
}

/// A network lowered to steps.
#[derive(Clone, Debug)]
pub struct Lowered {
    /// Every edge that exists at run time.
    pub buffers: Vec<Buffer>,
    pub(crate) steps: Vec<Step>,
    pub(crate) input: BufferId,
    pub(crate) outputs: Vec<(String, BufferId, Vec<usize>)>,
    /// Nodes that run in float.
    pub left: Vec<Left>,
    /// The network as the float parts see it.
    pub(crate) graph: Graph,
    pub(crate) types: Vec<Option<TensorType>>,
    /// The edge behind each float buffer.
    pub(crate) values: HashMap<BufferId, ValueId>,
}

/// Lowers a network as its file has it (not prepared).
///
/// # Errors
/// When it is inconsistent, or does not take one float32 input, and give float32 outputs, with the samples along the first axis.
pub fn lower(graph: Graph) -> Result<Lowered, RuntimeError> {
    let (graph, scales) = canonical::canonical(graph)?;
    // The structure is that of one sample; the first axis is the batch.
    let (fixed, types) = specialize(&graph, &bindings(&graph, 1), &evaluate_for_pass)?;
    let two = rows::of_two_samples(&graph);
    let lowered = Lower::new(graph, fixed, types, scales).run()?;
    rows::edges(&lowered, two.as_deref())?;
    Ok(lowered)
}

/// What a step is asked for.
#[derive(Clone, Copy, Debug)]
enum Want {
    /// Codes of this grid.
    Codes(Grid),
    /// Real numbers.
    Float,
}

struct Lower {
    /// As the float engine runs it.
    original: Graph,
    /// With the shapes of one sample.
    graph: Graph,
    types: Vec<Option<TensorType>>,
    scales: HashMap<ValueId, Scales>,
    producers: HashMap<ValueId, NodeId>,
    /// How many nodes and outputs read a value.
    readers: HashMap<ValueId, usize>,
    /// Whether tensors of rank 3 are signals, `[n, channels, length]`; else they are rows, `[n, rows, numbers]`.
    signals: bool,
    groups: HashMap<ValueId, Group>,
    /// The layers of groups that add something, by what they give to the addition.
    summands: HashMap<ValueId, Group>,
    buffers: Vec<Buffer>,
    steps: Vec<Step>,
    codes: HashMap<ValueId, BufferId>,
    floats: BTreeMap<ValueId, BufferId>,
    reasons: HashMap<NodeId, String>,
    left: Vec<Left>,
}

impl Lower {
    fn new(
        original: Graph,
        graph: Graph,
        types: Vec<Option<TensorType>>,
        scales: HashMap<ValueId, Scales>,
    ) -> Lower {
        let mut readers: HashMap<ValueId, usize> = HashMap::new();
        let read = graph.nodes.iter().flat_map(|n| n.inputs.iter().flatten()).chain(&graph.outputs);
        read.for_each(|&id| *readers.entry(id).or_default() += 1);
        let groups: HashMap<ValueId, Group> =
            passes::groups(&graph).into_iter().map(|g| (g.output, g)).collect();
        let summands = groups.values().filter_map(|group| sum::summand(&graph, group)).collect();
        let convolves = |node: &Node| {
            let weight = node.input(1).and_then(|w| types[w.0].as_ref());
            matches!(node.op, GraphOp::Conv(_)) && weight.is_some_and(|w| w.shape.len() == 3)
        };
        Lower {
            signals: graph.nodes.iter().any(convolves),
            producers: graph.producers(),
            readers,
            groups,
            summands,
            original,
            graph,
            types,
            scales,
            buffers: Vec::new(),
            steps: Vec::new(),
            codes: HashMap::new(),
            floats: BTreeMap::new(),
            reasons: HashMap::new(),
            left: Vec::new(),
        }
    }

    fn run(mut self) -> Result<Lowered, RuntimeError> {
        let input = self.input()?;
        rows::outputs(&self.graph, &self.types)?;
        let outputs = self.graph.outputs.clone();
        for &id in &outputs {
            self.float(id);
        }
        fuse::residuals(&mut self);
        fuse::levels(&mut self);
        fuse::borders(&mut self);
        let kept: Vec<BufferId> = outputs.iter().map(|id| self.floats[id]).collect();
        float::merge(&mut self.steps, &kept);
        let outputs = outputs
            .iter()
            .map(|&id| {
                let shape = self.types[id.0].as_ref().map(|ty| ty.shape.clone()).unwrap_or_default();
                (self.graph.value(id).name.clone(), self.floats[&id], shape)
            })
            .collect();
        let values = self.floats.iter().map(|(&value, &buffer)| (buffer, value)).collect();
        Ok(Lowered {
            buffers: self.buffers,
            steps: self.steps,
            input,
            outputs,
            left: self.left,
            graph: self.original,
            types: self.types,
            values,
        })
    }

    fn input(&mut self) -> Result<BufferId, RuntimeError> {
        let refuse = |name: String, found: &str| RuntimeError::Input { name, found: found.to_owned() };
        let &[id] = self.graph.inputs.as_slice() else {
            let names: Vec<_> = self.graph.inputs.iter().map(|i| self.graph.value(*i).name.clone()).collect();
            return Err(refuse(format!("`{}`", names.join("`, `")), &format!("{} inputs", names.len())));
        };
        let name = format!("`{}`", self.graph.value(id).name);
        let ty = self.ty(id).clone();
        if ty.dtype != DType::F32 {
            return Err(refuse(name, &format!("element type {}", ty.dtype)));
        }
        match ty.shape.first() {
            Some(1) => Ok(self.float_buffer(id)),
            Some(n) => Err(refuse(name, &format!("the file fixes {n} samples per batch"))),
            None => Err(refuse(name, "a scalar")),
        }
    }

    // What is known of a value.

    fn ty(&self, id: ValueId) -> &TensorType {
        self.types[id.0].as_ref().expect("specialize types every live value")
    }

    fn producer(&self, id: ValueId) -> Option<(NodeId, &Node)> {
        self.producers.get(&id).map(|&n| (n, &self.graph.nodes[n.0]))
    }

    /// The only reader's view: whether nothing else needs a value.
    fn read_once(&self, id: ValueId) -> bool {
        self.readers.get(&id) == Some(&1)
    }

    /// The plane of a value of one sample, without border, and images per sample; `None` for shapes that are no
    /// image, row, or rows of numbers.
    fn plane(&self, id: ValueId) -> Option<(Plane, usize)> {
        let image = |h, w, c: usize| Plane { h, w, c: c.next_multiple_of(4), border: [0; 4] };
        match *self.ty(id).shape.as_slice() {
            [1, c] if c > 0 => Some((image(1, 1, c), 1)),
            [1, t, c] if !self.signals && t * c > 0 => Some((image(1, 1, c), t)),
            _ => self.image(id).filter(|[c, h, w]| c * h * w > 0).map(|[c, h, w]| (image(h, w, c), 1)),
        }
    }

    /// `[channels, height, width]` of one sample, if a value is an image or a signal (of height 1).
    fn image(&self, id: ValueId) -> Option<[usize; 3]> {
        match *self.ty(id).shape.as_slice() {
            [1, c, h, w] => Some([c, h, w]),
            [1, c, l] if self.signals => Some([c, 1, l]),
            _ => None,
        }
    }

    // Buffers and steps.

    fn buffer(&mut self, name: String, content: Content) -> BufferId {
        self.buffers.push(Buffer { name, content });
        BufferId(self.buffers.len() - 1)
    }

    fn float_buffer(&mut self, id: ValueId) -> BufferId {
        let len = self.ty(id).shape.iter().skip(1).product();
        let buffer = self.buffer(self.graph.value(id).name.clone(), Content::Float { len });
        self.floats.insert(id, buffer);
        buffer
    }

    /// A buffer for the codes of a value of this shape.
    fn code_buffer(&mut self, shaped: ValueId, grid: Grid) -> Option<BufferId> {
        let (plane, images) = self.plane(shaped)?;
        Some(self.buffer(self.graph.value(shaped).name.clone(), Content::Codes { plane, images, grid }))
    }

    fn step(&mut self, name: String, op: impl Into<Op>, reads: Vec<BufferId>, write: BufferId) -> BufferId {
        self.steps.push(Step { name, op: op.into(), reads, writes: vec![write] });
        write
    }

    /// The buffer that `want` asks for, for a value.
    fn wanted(&mut self, id: ValueId, want: Want) -> Option<BufferId> {
        match want {
            Want::Codes(grid) => self.code_buffer(id, grid),
            Want::Float => Some(self.float_buffer(id)),
        }
    }

    // The two ways to ask for a value.

    /// The grid of a value, if it is made of codes.
    fn grid(&self, id: ValueId) -> Option<Grid> {
        let (_, node) = self.producer(id)?;
        self.plane(id)?;
        match &node.op {
            GraphOp::FakeQuantize(_) | GraphOp::FakeLevels(_) => Grid::of_rounding(&node.op),
            _ => reshape::passes_codes(self, node, id).then(|| self.grid(node.input(0)?))?,
        }
    }

    /// The levels of a value, if it is made of codes of which few are used.
    fn levels(&self, id: ValueId) -> Option<&Levels> {
        let (_, node) = self.producer(id)?;
        match &node.op {
            GraphOp::FakeLevels(op) => Some(&op.code),
            _ => {
                let levels = self.levels(node.input(0)?)?;
                // What is added around is zero, which may be no level.
                let added =
                    matches!(node.op, GraphOp::Pad(_)) && !levels.levels.contains(&levels.grid.zero_point[0]);
                (!added && reshape::passes_codes(self, node, id)).then_some(levels)
            }
        }
    }

    /// Whether a node rounds a value to what it is already, as files round again behind every node.
    fn changes_nothing(&self, rounding: &GraphOp, source: ValueId) -> bool {
        match rounding {
            GraphOp::FakeQuantize(op) => {
                self.grid(source).is_some_and(|grid| Some(grid) == Grid::of(&op.code))
            }
            GraphOp::FakeLevels(op) => self.levels(source) == Some(&op.code),
            _ => false,
        }
    }

    /// The codes of a value that [`Lower::grid`] has a grid for.
    fn codes(&mut self, id: ValueId) -> BufferId {
        if let Some(&buffer) = self.codes.get(&id) {
            return buffer;
        }
        let grid = self.grid(id).expect("asked for codes of a value that has them");
        let (_, node) = self.producer(id).expect("codes are made by nodes");
        let node = node.clone();
        let buffer = match node.op {
            GraphOp::FakeQuantize(_) | GraphOp::FakeLevels(_) => {
                let source = node.input(0).expect("checked by its shape rule");
                self.rounded(&node, source, grid)
            }
            _ => reshape::lower(self, &node, id, grid),
        };
        self.codes.insert(id, buffer);
        buffer
    }

    /// The codes that rounding `source` to `grid` gives.
    fn rounded(&mut self, node: &Node, source: ValueId, grid: Grid) -> BufferId {
        if self.changes_nothing(&node.op, source) {
            return self.codes(source);
        }
        if let GraphOp::FakeLevels(op) = &node.op {
            // To the whole grid first; [`fuse::levels`] puts the two steps together.
            let whole = FakeQuantize { code: op.code.grid.clone() };
            let x = self.rounded(
                &Node { op: whole.into(), ..node.clone() },
                source,
                Grid { lo: 0, hi: 255, ..grid },
            );
            let y = self.code_buffer(source, grid).expect("grid() checked the shape");
            return self.step(node.name.clone(), Lookup::to_levels(steps(&op.code)), vec![x], y);
        }
        if let Some(buffer) = self.computed(source, Want::Codes(grid)) {
            return buffer;
        }
        let x = self.float(source);
        let y = self.code_buffer(source, grid).expect("grid() checked the shape");
        self.step(node.name.clone(), Quantize { shape: self.image_shape(source) }, vec![x], y)
    }

    /// The real numbers of a value.
    fn float(&mut self, id: ValueId) -> BufferId {
        if let Some(&buffer) = self.floats.get(&id) {
            return buffer;
        }
        if self.grid(id).is_some() {
            let x = self.codes(id);
            let y = self.float_buffer(id);
            let name = self.graph.value(id).name.clone();
            return self.step(name, Dequantize { shape: self.image_shape(id) }, vec![x], y);
        }
        match self.computed(id, Want::Float) {
            Some(buffer) => buffer,
            None => float::lower(self, id),
        }
    }

    /// A value by an integer step, if some kind of node there is has one.
    fn computed(&mut self, id: ValueId, want: Want) -> Option<BufferId> {
        layer::lower(self, id, want)
            .or_else(|| combine::lower(self, id, want))
            .or_else(|| pool::lower(self, id, want))
            .or_else(|| elementwise::lower(self, id, want))
            .or_else(|| sum::lower(self, id, want))
    }

    /// `[channels, height, width]` of one image of a value, for conversions between layouts.
    fn image_shape(&self, id: ValueId) -> [usize; 3] {
        self.image(id).unwrap_or([self.ty(id).shape.last().copied().unwrap_or(1), 1, 1])
    }
}

/// A number per spatial axis as one for rows and one for columns: signals have columns only.
fn both<T: Copy>(axes: &[T], rows: T) -> [T; 2] {
    match *axes {
        [rows, columns] => [rows, columns],
        [columns] => [rows, columns],
        _ => [rows; 2],
    }
}

/// `[top, left, bottom, right]` of the cells added before and after each spatial axis.
fn pads(begins: &[usize], ends: &[usize]) -> [usize; 4] {
    let ([top, left], [bottom, right]) = (both(begins, 0), both(ends, 0));
    [top, left, bottom, right]
}
