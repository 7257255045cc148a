//! A graph compiled for one batch size: instructions over reused buffers.
//!
//! Compilation specialises the graph (all shapes known), picks each node's fast form with the group that follows it
//! fused in, inserts layout changes where two neighbours disagree, and assigns buffers by last use. Running
//! allocates nothing for f32 values.

use crate::form::{Form, Layout, Operand, Run, Site, Tail};
use crate::{EngineError, ops};
use lowbit_graph::passes::{Group, groups, specialize};
use lowbit_graph::{Graph, Node, NodeId, Op, TensorType, ValueId};
use lowbit_kernels::{AlignedVec, Isa, layout};
use lowbit_tensor::{DType, Tensor};
use std::collections::{BTreeMap, HashMap, HashSet};

/// A value in one layout.
type Key = (ValueId, Layout);

/// Index of a physical buffer.
type Slot = usize;

enum Step {
    /// A fast form.
    Fast { run: Run, inputs: Vec<Slot>, output: Slot, len: usize },
    /// The plain twin, on tensors; f32 inputs and outputs are copied from and to row-major buffers.
    Plain { op: Op, inputs: Vec<Option<Source>>, outputs: Vec<Sink> },
}

enum Source {
    Buffer(Slot, Vec<usize>),
    Tensor(ValueId),
    Constant(std::sync::Arc<Tensor>),
}

enum Sink {
    Buffer(Slot),
    Tensor(ValueId),
}

/// Where an input, output or tap of the program is found.
enum Place {
    Buffer { slot: Slot, ty: TensorType, layout: Layout },
    Tensor(ValueId),
    Constant(std::sync::Arc<Tensor>),
}

/// A value as the program left it.
#[derive(Clone, Copy)]
pub struct View<'a> {
    /// Logical shape, as ONNX has it.
    pub shape: &'a [usize],
    /// Order of the elements.
    pub layout: Layout,
    /// The elements.
    pub data: &'a [f32],
}

impl<'a> View<'a> {
    /// Channels (axis 1), and the distance between successive elements of one channel when the channel is fastest:
    /// in [`Layout::ChannelsLast`] element `i` belongs to channel `i % channels`, in row-major to
    /// `i / inner % channels` with `inner` the product of the axes after 1.
    pub fn channel_of(&self) -> (usize, usize) {
        let channels = self.shape.get(1).copied().unwrap_or(1).max(1);
        let inner = match self.layout {
            Layout::ChannelsLast => 1,
            Layout::RowMajor => self.shape.get(2..).map_or(1, |s| s.iter().product()),
        };
        (channels, inner)
    }

    /// The first `images` rows of axis 0.
    fn first(self, images: usize, shape: &'a mut Vec<usize>) -> View<'a> {
        shape.clear();
        shape.extend_from_slice(self.shape);
        let per_row: usize = self.shape[1..].iter().product();
        shape[0] = images;
        View { shape, layout: self.layout, data: &self.data[..images * per_row] }
    }
}

/// The working memory of one thread.
#[derive(Default)]
pub(crate) struct Arena {
    buffers: Vec<AlignedVec>,
    scratch: AlignedVec,
    tensors: HashMap<ValueId, Tensor>,
}

pub(crate) struct Program {
    /// Rows along axis 0 that it was compiled for.
    batch: usize,
    steps: Vec<(String, Step)>,
    buffer_lens: Vec<usize>,
    scratch: usize,
    inputs: Vec<Place>,
    outputs: Vec<Place>,
    taps: Vec<Place>,
}

impl Program {
    /// Compiles `graph` with the symbols bound; `taps` are values that must exist when a run ends.
    pub(crate) fn compile(
        graph: &Graph,
        bindings: &BTreeMap<String, usize>,
        batch: usize,
        taps: &[ValueId],
        isa: Isa,
    ) -> Result<Program, EngineError> {
        let (graph, types) = specialize(graph, bindings, &ops::evaluate_for_pass)?;
        let mut program = Compiler::new(&graph, &types, taps, isa).compile();
        program.batch = batch;
        Ok(program)
    }

    /// Bytes of all buffers.
    pub(crate) fn bytes(&self) -> usize {
        4 * (self.buffer_lens.iter().sum::<usize>() + self.scratch)
    }

    pub(crate) fn arena(&self) -> Arena {
        Arena {
            buffers: self.buffer_lens.iter().map(|&len| AlignedVec::zeroed(len)).collect(),
            scratch: AlignedVec::zeroed(self.scratch),
            tensors: HashMap::new(),
        }
    }

    /// Runs on the rows `rows` of the inputs (along axis 0), whose number may fall short of the compiled batch:
    /// the rest is computed on what the buffers held and must be ignored.
    pub(crate) fn run(
        &self,
        arena: &mut Arena,
        inputs: &[Tensor],
        rows: std::ops::Range<usize>,
    ) -> Result<(), EngineError> {
        for (place, tensor) in self.inputs.iter().zip(inputs) {
            let per_row: usize = tensor.shape().get(1..).map_or(1, |s| s.iter().product());
            let range = rows.start * per_row..rows.end * per_row;
            match place {
                Place::Buffer { slot, .. } => {
                    let data = tensor.as_f32().ok_or(EngineError::InputType(tensor.dtype(), DType::F32))?;
                    arena.buffers[*slot][..range.len()].copy_from_slice(&data[range]);
                }
                Place::Tensor(id) => {
                    let mut data = lowbit_tensor::Data::zeros(tensor.dtype(), 0);
                    data.extend_from(tensor.data(), range);
                    let mut shape = tensor.shape().to_vec();
                    if let Some(first) = shape.first_mut() {
                        *first = self.batch;
                        let missing = self.batch.saturating_sub(rows.len()) * per_row;
                        data.extend_from(&lowbit_tensor::Data::zeros(tensor.dtype(), missing), 0..missing);
                    }
                    arena.tensors.insert(*id, Tensor::new(shape, data)?);
                }
                Place::Constant(_) => {}
            }
        }
        for (name, step) in &self.steps {
            step.run(arena).map_err(|source| EngineError::Node { node: name.clone(), source })?;
        }
        Ok(())
    }

    /// The tapped values, `images` rows of each.
    pub(crate) fn visit_taps<T>(&self, arena: &Arena, images: usize, visit: impl FnOnce(&[View<'_>]) -> T) -> T {
        let owned: Vec<Option<(Vec<usize>, Vec<f32>)>> = self
            .taps
            .iter()
            .map(|place| match place {
                Place::Buffer { .. } => None,
                Place::Tensor(id) => {
                    let t = &arena.tensors[id];
                    Some((t.shape().to_vec(), t.to_f32()))
                }
                Place::Constant(t) => Some((t.shape().to_vec(), t.to_f32())),
            })
            .collect();
        let mut shapes = vec![Vec::new(); self.taps.len()];
        let views: Vec<View<'_>> = self
            .taps
            .iter()
            .zip(&owned)
            .zip(&mut shapes)
            .map(|((place, owned), shape)| match (place, owned) {
                (Place::Buffer { slot, ty, layout }, _) => {
                    let data = &arena.buffers[*slot][..ty.len()];
                    View { shape: &ty.shape, layout: *layout, data }.first(images.min(ty.shape[0]), shape)
                }
                (_, Some((shape, data))) => View { shape, layout: Layout::RowMajor, data },
                (_, None) => unreachable!("every tap is a buffer or was copied above"),
            })
            .collect();
        visit(&views)
    }

    /// The outputs, cut to `images` rows.
    pub(crate) fn outputs(&self, arena: &Arena, images: usize) -> Result<Vec<Tensor>, EngineError> {
        let whole = self.outputs.iter().map(|place| match place {
            Place::Buffer { slot, ty, .. } => {
                Tensor::from_f32(ty.shape.clone(), arena.buffers[*slot][..ty.len()].to_vec())
            }
            Place::Tensor(id) => arena.tensors[id].clone(),
            Place::Constant(tensor) => tensor.as_ref().clone(),
        });
        whole.map(|tensor| rows(tensor, images)).collect()
    }
}

/// The first `images` rows of a tensor.
fn rows(tensor: Tensor, images: usize) -> Result<Tensor, EngineError> {
    if tensor.shape().first().is_none_or(|&n| n <= images) {
        return Ok(tensor);
    }
    let mut shape = tensor.shape().to_vec();
    shape[0] = images;
    let len = shape.iter().product();
    let mut data = lowbit_tensor::Data::zeros(tensor.dtype(), 0);
    data.extend_from(tensor.data(), 0..len);
    Ok(Tensor::new(shape, data)?)
}

impl Step {
    fn run(&self, arena: &mut Arena) -> Result<(), crate::EvalError> {
        match self {
            Step::Fast { run, inputs, output, len } => {
                // Taking the output out of the arena lets the inputs be borrowed beside it; compilation never gives
                // a step the same buffer for both.
                let mut out = std::mem::take(&mut arena.buffers[*output]);
                let reads: Vec<&[f32]> = inputs.iter().map(|&slot| &arena.buffers[slot][..]).collect();
                run(&reads, &mut arena.scratch, &mut out[..*len]);
                arena.buffers[*output] = out;
                Ok(())
            }
            Step::Plain { op, inputs, outputs } => {
                let held: Vec<Option<Tensor>> = inputs
                    .iter()
                    .map(|source| match source {
                        Some(Source::Buffer(slot, shape)) => {
                            let len = shape.iter().product();
                            Some(Tensor::from_f32(shape.clone(), arena.buffers[*slot][..len].to_vec()))
                        }
                        _ => None,
                    })
                    .collect();
                let tensors: Vec<Option<&Tensor>> = inputs
                    .iter()
                    .zip(&held)
                    .map(|(source, held)| match source {
                        Some(Source::Tensor(id)) => arena.tensors.get(id),
                        Some(Source::Constant(tensor)) => Some(tensor.as_ref()),
                        _ => held.as_ref(),
                    })
                    .collect();
                let results = ops::evaluate(op, &tensors)?;
                for (sink, tensor) in outputs.iter().zip(results) {
                    match sink {
                        Sink::Buffer(slot) => {
                            let values = tensor.to_f32();
                            arena.buffers[*slot][..values.len()].copy_from_slice(&values);
                        }
                        Sink::Tensor(id) => {
                            arena.tensors.insert(*id, tensor);
                        }
                    }
                }
                Ok(())
            }
        }
    }
}

/// A step before buffers are assigned.
struct Draft {
    name: String,
    kind: DraftKind,
    reads: Vec<Key>,
    writes: Vec<Key>,
    len: usize,
}

enum DraftKind {
    Fast(Run),
    Plain(Op, Vec<Option<ValueId>>, Vec<ValueId>),
}

struct Compiler<'a> {
    graph: &'a Graph,
    types: &'a [Option<TensorType>],
    taps: &'a [ValueId],
    isa: Isa,
    drafts: Vec<Draft>,
    /// Layouts in which each f32 value exists so far; the first is the one it was computed in.
    present: HashMap<ValueId, Vec<Layout>>,
    scratch: usize,
}

impl<'a> Compiler<'a> {
    fn new(graph: &'a Graph, types: &'a [Option<TensorType>], taps: &'a [ValueId], isa: Isa) -> Self {
        Compiler { graph, types, taps, isa, drafts: Vec::new(), present: HashMap::new(), scratch: 0 }
    }

    fn ty(&self, id: ValueId) -> &'a TensorType {
        self.types[id.0].as_ref().expect("specialize types every live value")
    }

    fn is_buffer(&self, id: ValueId) -> bool {
        self.graph.constant(id).is_none() && self.ty(id).dtype == DType::F32
    }

    fn compile(mut self) -> Program {
        for &input in &self.graph.inputs {
            if self.is_buffer(input) {
                self.present.insert(input, vec![Layout::RowMajor]);
            }
        }
        let fusions = Fusions::find(self.graph, self.types, self.taps);
        for (i, node) in self.graph.nodes.iter().enumerate() {
            match fusions.by_last.get(&NodeId(i)) {
                Some(fused) => self.place(&self.graph.nodes[fused.anchor.0], Some(fused)),
                None if fusions.absorbed.contains(&NodeId(i)) => {}
                None => self.place(node, None),
            }
        }
        for &output in &self.graph.outputs {
            if self.is_buffer(output) {
                self.want(output, Layout::RowMajor);
            }
        }
        self.assign()
    }

    /// Makes `id` exist in `layout`.
    fn want(&mut self, id: ValueId, layout: Layout) -> Key {
        let layouts = &self.present[&id];
        let ty = self.ty(id);
        // Rank below 3, one channel or one cell: both layouts are the same bytes.
        let [channels, cells] = split(&ty.shape);
        if layouts.contains(&layout) {
            return (id, layout);
        }
        if channels == 1 || cells == 1 {
            return (id, layouts[0]);
        }
        let from = layouts[0];
        let image = channels * cells;
        let convert = match layout {
            Layout::ChannelsLast => layout::nchw_to_nhwc,
            Layout::RowMajor => layout::nhwc_to_nchw,
        };
        let run: Run = Box::new(move |x, _, y| {
            for (from, to) in x[0].chunks(image).zip(y.chunks_mut(image)) {
                convert(channels, cells, from, to);
            }
        });
        self.drafts.push(Draft {
            name: format!("layout of {}", self.graph.value(id).name),
            kind: DraftKind::Fast(run),
            reads: vec![(id, from)],
            writes: vec![(id, layout)],
            len: ty.len(),
        });
        self.present.get_mut(&id).expect("just read").push(layout);
        (id, layout)
    }

    fn place(&mut self, node: &Node, fused: Option<&Fused>) {
        if let Some((form, output)) = self.form(node, fused) {
            let mut reads: Vec<Key> = Vec::new();
            for &(i, layout) in &form.reads {
                let id = node.input(i).expect("a form reads inputs that exist");
                reads.push(self.want(id, layout));
            }
            if let Some(residual) = fused.and_then(|f| f.residual) {
                reads.push(self.want(residual, form.output));
            }
            let lens: Vec<usize> = reads.iter().map(|(id, _)| self.ty(*id).len()).collect();
            let run = form.run;
            // Buffers are as long as their largest tenant: hand on just this one's values.
            let exact: Run = Box::new(move |inputs, scratch, y| {
                let mut cut = [&[][..]; 4];
                for ((cut, input), &len) in cut.iter_mut().zip(inputs).zip(&lens) {
                    *cut = &input[..len];
                }
                run(&cut[..lens.len().min(4)], scratch, y);
            });
            self.scratch = self.scratch.max(form.scratch);
            self.present.insert(output, vec![form.output]);
            self.drafts.push(Draft {
                name: node.name.clone(),
                kind: DraftKind::Fast(exact),
                reads,
                writes: vec![(output, form.output)],
                len: self.ty(output).len(),
            });
            return;
        }
        let mut reads = Vec::new();
        for &id in node.inputs.iter().flatten() {
            if self.is_buffer(id) {
                let key = self.want(id, Layout::RowMajor);
                reads.push(key);
            }
        }
        let buffers: Vec<ValueId> = node.outputs.iter().copied().filter(|&o| self.is_buffer(o)).collect();
        for &id in &buffers {
            self.present.insert(id, vec![Layout::RowMajor]);
        }
        self.drafts.push(Draft {
            name: node.name.clone(),
            kind: DraftKind::Plain(node.op.clone(), node.inputs.clone(), node.outputs.clone()),
            reads,
            writes: buffers.into_iter().map(|id| (id, Layout::RowMajor)).collect(),
            len: 0,
        });
        // What follows an anchor without a fast form is not fused after all: run it plainly too.
        for &follower in fused.iter().flat_map(|f| &f.nodes) {
            self.place(&self.graph.nodes[follower.0], None);
        }
    }

    fn form(&self, node: &Node, fused: Option<&Fused>) -> Option<(Form, ValueId)> {
        let output = fused.map_or(node.outputs[0], |f| f.output);
        if node.outputs.len() > 1 || !self.is_buffer(node.outputs[0]) {
            return None;
        }
        let operand = |id: ValueId| Operand {
            ty: self.ty(id),
            layout: self.present.get(&id).map_or(Layout::RowMajor, |l| l[0]),
            constant: self.graph.constant(id).map(|c| c.as_ref()),
        };
        let site = Site {
            inputs: node.inputs.iter().map(|i| i.map(operand)).collect(),
            output: self.ty(node.outputs[0]),
            tail: fused.map_or(Tail::default(), |f| f.tail),
            isa: self.isa,
        };
        let form = ops::forward(&node.op, &site)?;
        (form.reads.len() <= 3).then_some((form, output))
    }

    /// Assigns physical buffers: each key lives from its first write to its last read.
    fn assign(self) -> Program {
        let mut last: HashMap<Key, usize> = HashMap::new();
        for (i, draft) in self.drafts.iter().enumerate() {
            for &key in draft.reads.iter().chain(&draft.writes) {
                last.insert(key, i);
            }
        }
        let keep = |id: ValueId, last: &mut HashMap<Key, usize>, layout: Layout| {
            last.insert((id, layout), usize::MAX);
        };
        for &id in self.graph.outputs.iter().filter(|&&id| self.is_buffer(id)) {
            keep(id, &mut last, self.final_layout(id, Layout::RowMajor));
        }
        for &id in self.taps.iter().filter(|&&id| self.is_buffer(id)) {
            keep(id, &mut last, self.present[&id][0]);
        }
        let mut slots = Slots::default();
        let mut map: HashMap<Key, Slot> = HashMap::new();
        for &input in self.graph.inputs.iter().filter(|&&id| self.is_buffer(id)) {
            map.insert((input, Layout::RowMajor), slots.acquire(self.ty(input).len()));
        }
        // An unread input still needs its place for the copy in; it is never released.
        let mut steps = Vec::with_capacity(self.drafts.len());
        for (i, draft) in self.drafts.into_iter().enumerate() {
            for &key in &draft.writes {
                let len = self.types[key.0.0].as_ref().map_or(0, TensorType::len);
                map.insert(key, slots.acquire(len));
            }
            let step = match draft.kind {
                DraftKind::Fast(run) => Step::Fast {
                    run,
                    inputs: draft.reads.iter().map(|key| map[key]).collect(),
                    output: map[&draft.writes[0]],
                    len: draft.len,
                },
                DraftKind::Plain(op, inputs, outputs) => Step::Plain {
                    op,
                    inputs: inputs
                        .into_iter()
                        .map(|id| {
                            id.map(|id| match self.graph.constant(id) {
                                Some(constant) => Source::Constant(constant.clone()),
                                None => match draft.reads.iter().find(|key| key.0 == id) {
                                    Some(key) => Source::Buffer(map[key], type_of(self.types, id).shape.clone()),
                                    None => Source::Tensor(id),
                                },
                            })
                        })
                        .collect(),
                    outputs: outputs
                        .into_iter()
                        .map(|id| {
                            map.get(&(id, Layout::RowMajor))
                                .filter(|_| draft.writes.iter().any(|w| w.0 == id))
                                .map_or(Sink::Tensor(id), |&slot| Sink::Buffer(slot))
                        })
                        .collect(),
                },
            };
            steps.push((draft.name, step));
            let mut done: Vec<Key> = draft.reads.iter().chain(&draft.writes).copied().collect();
            done.sort_unstable_by_key(|k| (k.0, k.1 == Layout::ChannelsLast));
            done.dedup();
            for key in done.into_iter().filter(|key| last[key] == i) {
                slots.release(map[&key]);
            }
        }
        let place = |id: ValueId, layout: Layout| match self.graph.constant(id) {
            Some(constant) => Place::Constant(constant.clone()),
            None => match map.get(&(id, layout)) {
                Some(&slot) => Place::Buffer { slot, ty: type_of(self.types, id).clone(), layout },
                None => Place::Tensor(id),
            },
        };
        let layout_of = |id: &ValueId| self.present.get(id).map_or(Layout::RowMajor, |l| l[0]);
        let output_layout = |id: &ValueId| {
            let layouts = self.present.get(id).map_or(&[][..], Vec::as_slice);
            if layouts.contains(&Layout::RowMajor) { Layout::RowMajor } else { layout_of(id) }
        };
        Program {
            batch: 0,
            inputs: self.graph.inputs.iter().map(|&id| place(id, Layout::RowMajor)).collect(),
            outputs: self.graph.outputs.iter().map(|&id| place(id, output_layout(&id))).collect(),
            taps: self.taps.iter().map(|id| place(*id, layout_of(id))).collect(),
            steps,
            buffer_lens: slots.lens,
            scratch: self.scratch,
        }
    }

    /// The layout in which an output is read: row-major if it exists so, else equal to it.
    fn final_layout(&self, id: ValueId, wanted: Layout) -> Layout {
        let layouts = &self.present[&id];
        if layouts.contains(&wanted) { wanted } else { layouts[0] }
    }
}

fn type_of(types: &[Option<TensorType>], id: ValueId) -> &TensorType {
    types[id.0].as_ref().expect("specialize types every live value")
}

/// Channels and cells (product of the spatial axes) of a shape; `[1, …]` below rank 3, where layouts agree.
fn split(shape: &[usize]) -> [usize; 2] {
    match shape {
        [_, c, rest @ ..] if !rest.is_empty() => [*c, rest.iter().product()],
        _ => [1, 1],
    }
}

/// Physical buffers, reused by best fit.
#[derive(Default)]
struct Slots {
    lens: Vec<usize>,
    free: Vec<Slot>,
}

impl Slots {
    fn acquire(&mut self, len: usize) -> Slot {
        // The free buffer that fits best; if none is large enough, the largest grows.
        let fits = self.free.iter().copied().filter(|&s| self.lens[s] >= len).min_by_key(|&s| self.lens[s]);
        let Some(slot) = fits.or_else(|| self.free.iter().copied().max_by_key(|&s| self.lens[s])) else {
            self.lens.push(len);
            return self.lens.len() - 1;
        };
        self.free.retain(|&s| s != slot);
        self.lens[slot] = self.lens[slot].max(len);
        slot
    }

    fn release(&mut self, slot: Slot) {
        if !self.free.contains(&slot) {
            self.free.push(slot);
        }
    }
}

/// What follows an anchor and is computed with it, at the place of the last node: only there is a residual that a
/// later branch produces sure to exist.
struct Fused {
    anchor: NodeId,
    nodes: Vec<NodeId>,
    residual: Option<ValueId>,
    tail: Tail,
    output: ValueId,
}

struct Fusions {
    by_last: HashMap<NodeId, Fused>,
    absorbed: HashSet<NodeId>,
}

impl Fusions {
    /// Groups of the graph, each cut short before a value that someone wants to see.
    fn find(graph: &Graph, types: &[Option<TensorType>], taps: &[ValueId]) -> Fusions {
        let consumers = graph.consumers();
        let seen: HashSet<ValueId> = taps.iter().chain(&graph.outputs).copied().collect();
        let mut fusions = Fusions { by_last: HashMap::new(), absorbed: HashSet::new() };
        for Group { anchor, bias, add, residual, activation, .. } in groups(graph) {
            if bias.is_some() {
                continue;
            }
            let mut fused = Fused {
                anchor,
                nodes: Vec::new(),
                residual: None,
                tail: Tail::default(),
                output: graph.nodes[anchor.0].outputs[0],
            };
            let open = |output: ValueId| !seen.contains(&output) && consumers.get(&output).is_some_and(|c| c.len() == 1);
            if let Some(add) = add.filter(|_| open(fused.output)) {
                let node = &graph.nodes[add.0];
                let fits = residual.filter(|&v| {
                    types[v.0] == types[fused.output.0]
                        && types[v.0].as_ref().is_some_and(|t| t.dtype == DType::F32)
                });
                if let Some(residual) = fits {
                    fused.residual = Some(residual);
                    fused.tail.residual = true;
                    fused.output = node.outputs[0];
                    fused.nodes.push(add);
                }
            }
            if let Some(activation) = activation.filter(|_| fused.residual.is_some() == add.is_some() && open(fused.output)) {
                let node = &graph.nodes[activation.0];
                if let Some(unary) = ops::activation(graph, node) {
                    fused.tail.activation = Some(unary);
                    fused.output = node.outputs[0];
                    fused.nodes.push(activation);
                }
            }
            if let Some(&[(next, 0)]) = consumers.get(&fused.output).map(Vec::as_slice).filter(|_| open(fused.output))
                && let Op::FakeQuantize(op) = &graph.nodes[next.0].op
                && let Some(quant) = ops::per_tensor_fake_quant(op)
            {
                fused.tail.fake_quant = Some(quant);
                fused.output = graph.nodes[next.0].outputs[0];
                fused.nodes.push(next);
            }
            let free = fused.nodes.iter().all(|n| !fusions.absorbed.contains(n));
            if let Some(&last) = fused.nodes.last().filter(|_| free) {
                fusions.absorbed.insert(anchor);
                fusions.absorbed.extend(&fused.nodes);
                fusions.by_last.insert(last, fused);
            }
        }
        fusions
    }
}
