//! A graph with static shapes to a [`Program`].
//!
//! Picks each node's fast form with the group that follows it fused in, inserts layout changes where two neighbours
//! disagree, and assigns buffers by last use.

use crate::form::{Form, Layout, Operand, Run, Site, Tail};
use crate::fusion::{Fused, Fusions};
use crate::program::{Place, Program, Sink, Slot, Source, Span, Step};
use crate::slots::Slots;
use crate::{EngineError, ops};
use lowbit_graph::{Graph, Node, NodeId, Op, TensorType, ValueId};
use lowbit_kernels::{Isa, layout};
use lowbit_tensor::DType;
use std::collections::HashMap;

/// Most bytes that the buffers of a program may take: 64 GiB. Beyond it a shape is a mistake.
pub(crate) const LIMIT: usize = 64 << 30;

/// Longest axis of a fast form.
const LONGEST_AXIS: usize = 1 << 24;

/// A graph with static shapes and what its surroundings want of it.
pub(crate) struct Plan<'a> {
    pub(crate) graph: &'a Graph,
    /// By value; `None` where no node uses it.
    pub(crate) types: &'a [Option<TensorType>],
    /// Which values grow with the batch along axis 0, by value; `None` if the batch is never cut.
    pub(crate) grows: Option<&'a [bool]>,
    /// Rows along axis 0 of the inputs.
    pub(crate) batch: usize,
    /// Values that must exist when a run ends.
    pub(crate) taps: &'a [ValueId],
    pub(crate) isa: Isa,
}

/// Compiles.
///
/// # Errors
/// When the buffers would take more than [`LIMIT`] bytes, or a tap is a value that nothing computes.
pub(crate) fn compile(plan: &Plan<'_>) -> Result<Program, EngineError> {
    // Before any form is made: forms allocate in proportion to extents.
    for (value, ty) in plan.graph.values.iter().zip(plan.types) {
        if ty.as_ref().is_some_and(|ty| ty.bytes().is_none_or(|bytes| bytes > LIMIT)) {
            return Err(EngineError::TooLarge { what: format!("value `{}`", value.name), limit: LIMIT });
        }
    }
    if let Some(tap) = plan.taps.iter().find(|tap| !matches!(plan.types.get(tap.0), Some(Some(_)))) {
        let name = plan.graph.values.get(tap.0).map_or_else(|| format!("{}", tap.0), |v| v.name.clone());
        return Err(EngineError::Tap(name));
    }
    let compiler = Compiler { plan, drafts: Vec::new(), present: HashMap::new(), scratch: 0 };
    let program = compiler.compile();
    if program.bytes() > LIMIT {
        return Err(EngineError::TooLarge { what: "the network's working memory".into(), limit: LIMIT });
    }
    Ok(program)
}

/// A value in one layout.
type Key = (ValueId, Layout);

/// A step before buffers are assigned.
struct Draft {
    name: String,
    kind: DraftKind,
    reads: Vec<Key>,
    writes: Vec<Key>,
}

enum DraftKind {
    Fast(Run),
    Plain(Node),
}

struct Compiler<'a> {
    plan: &'a Plan<'a>,
    drafts: Vec<Draft>,
    /// Layouts in which each f32 value exists so far; the first is the one it was computed in.
    present: HashMap<ValueId, Vec<Layout>>,
    scratch: usize,
}

impl<'a> Compiler<'a> {
    fn ty(&self, id: ValueId) -> &'a TensorType {
        self.plan.types[id.0].as_ref().expect("specialize types every live value")
    }

    /// Whether the value lives in an f32 buffer; all others are tensors or constants.
    fn is_buffer(&self, id: ValueId) -> bool {
        self.plan.graph.constant(id).is_none() && self.ty(id).dtype == DType::F32
    }

    fn buffers(&self, ids: &[ValueId]) -> Vec<ValueId> {
        ids.iter().copied().filter(|&id| self.is_buffer(id)).collect()
    }

    fn compile(mut self) -> Program {
        let graph = self.plan.graph;
        for input in self.buffers(&graph.inputs) {
            self.present.insert(input, vec![Layout::RowMajor]);
        }
        let fusions = Fusions::find(graph, self.plan.types, self.plan.taps);
        for (i, node) in graph.nodes.iter().enumerate() {
            match fusions.by_last.get(&NodeId(i)) {
                Some(fused) => self.place_group(fused),
                None if fusions.absorbed.contains(&NodeId(i)) => {}
                None => self.place(node),
            }
        }
        for output in self.buffers(&graph.outputs) {
            self.want(output, Layout::RowMajor);
        }
        self.assign()
    }

    /// The key of `id` in `layout`, after a layout change if it does not exist so.
    fn want(&mut self, id: ValueId, layout: Layout) -> Key {
        let (layouts, [channels, cells]) = (&self.present[&id], split(&self.ty(id).shape));
        if layouts.contains(&layout) {
            return (id, layout);
        }
        let from = layouts[0];
        // One channel or one cell (or none): both layouts are the same bytes.
        if channels <= 1 || cells <= 1 {
            return (id, from);
        }
        let convert = match layout {
            Layout::ChannelsLast => layout::nchw_to_nhwc,
            Layout::RowMajor => layout::nhwc_to_nchw,
        };
        let run: Run = Box::new(move |x, _, y| {
            let images = x[0].chunks(channels * cells).zip(y.chunks_mut(channels * cells));
            images.for_each(|(from, to)| convert(channels, cells, from, to));
        });
        self.drafts.push(Draft {
            name: format!("layout of {}", self.plan.graph.value(id).name),
            kind: DraftKind::Fast(run),
            reads: vec![(id, from)],
            writes: vec![(id, layout)],
        });
        self.present.get_mut(&id).expect("just read").push(layout);
        (id, layout)
    }

    /// An anchor with what follows it, or one by one if there is no fast form of that.
    fn place_group(&mut self, fused: &Fused) {
        let graph = self.plan.graph;
        let anchor = &graph.nodes[fused.anchor.0];
        match self.form(anchor, 0, Some(fused)) {
            Some(form) => self.place_form(anchor, form, fused.output, fused.residual),
            None => {
                self.place(anchor);
                fused.nodes.iter().for_each(|n| self.place(&graph.nodes[n.0]));
            }
        }
    }

    fn place(&mut self, node: &Node) {
        let forms: Option<Vec<Form>> =
            (0..node.outputs.len()).map(|which| self.form(node, which, None)).collect();
        match forms {
            Some(forms) => {
                for (form, &output) in forms.into_iter().zip(&node.outputs) {
                    self.place_form(node, form, output, None);
                }
            }
            None => self.place_plain(node),
        }
    }

    fn place_form(&mut self, node: &Node, form: Form, output: ValueId, residual: Option<ValueId>) {
        let wanted =
            form.reads.iter().map(|&(i, layout)| (node.input(i).expect("forms read what exists"), layout));
        let wanted = wanted.chain(residual.map(|id| (id, form.output)));
        let reads = wanted.map(|(id, layout)| self.want(id, layout)).collect();
        self.scratch = self.scratch.max(form.scratch);
        self.present.insert(output, vec![form.output]);
        self.drafts.push(Draft {
            name: node.name.clone(),
            kind: DraftKind::Fast(form.run),
            reads,
            writes: vec![(output, form.output)],
        });
    }

    fn place_plain(&mut self, node: &Node) {
        let inputs: Vec<ValueId> = node.inputs.iter().flatten().copied().collect();
        let reads = self.buffers(&inputs).into_iter().map(|id| self.want(id, Layout::RowMajor)).collect();
        let writes = self.buffers(&node.outputs);
        for &id in &writes {
            self.present.insert(id, vec![Layout::RowMajor]);
        }
        self.drafts.push(Draft {
            name: node.name.clone(),
            kind: DraftKind::Plain(node.clone()),
            reads,
            writes: writes.into_iter().map(|id| (id, Layout::RowMajor)).collect(),
        });
    }

    /// The fast form of output `which` of a node.
    fn form(&self, node: &Node, which: usize, fused: Option<&Fused>) -> Option<Form> {
        let several = matches!(node.op, Op::Split(_));
        if !several && node.outputs.len() > 1 || !self.is_buffer(node.outputs[which]) {
            return None;
        }
        let operand = |id: ValueId| Operand {
            ty: self.ty(id),
            layout: self.computed(id),
            constant: self.plan.graph.constant(id).map(|c| c.as_ref()),
        };
        let site = Site {
            inputs: node.inputs.iter().map(|i| i.map(operand)).collect(),
            output: self.ty(node.outputs[which]),
            which,
            bias: fused.and_then(|f| f.bias.as_deref()),
            tail: fused.map_or(Tail::default(), |f| f.tail),
            isa: self.plan.isa,
            learned: Vec::new(),
            data_gradient: false,
        };
        // Kernels are spared the case of no elements at all, and forms that write down where each index of an axis
        // comes from, axes longer than any network has.
        let data = site.inputs.iter().flatten().filter(|o| o.is_data()).map(|o| o.ty);
        let odd = |ty: &TensorType| ty.is_empty() || ty.shape.iter().any(|&n| n > LONGEST_AXIS);
        if data.chain([site.output]).any(odd) {
            return None;
        }
        ops::forward(&node.op, &site)
    }

    /// The program, once all steps are drafted.
    fn assign(mut self) -> Program {
        let (map, slots) = self.lend();
        let drafts = std::mem::take(&mut self.drafts);
        let steps = drafts.into_iter().map(|draft| self.step(draft, &map)).collect();
        let Plan { graph, taps, batch, .. } = *self.plan;
        let place = |id: ValueId, layout: Layout| match graph.constant(id) {
            Some(constant) => Place::Constant(constant.clone()),
            None if self.is_buffer(id) => {
                Place::Buffer { span: self.span((id, layout), &map), ty: self.ty(id).clone(), layout }
            }
            None => Place::Tensor { id, grows: self.grows(id) },
        };
        Program {
            batch,
            steps,
            inputs: graph.inputs.iter().map(|&id| place(id, Layout::RowMajor)).collect(),
            outputs: graph.outputs.iter().map(|&id| place(id, self.row_major(id))).collect(),
            taps: taps.iter().map(|&id| place(id, self.computed(id))).collect(),
            buffer_lens: slots.lens,
            scratch: self.scratch,
        }
    }

    /// Gives each key a buffer from its first write to its last read; inputs, outputs and taps for longer.
    fn lend(&self) -> (HashMap<Key, Slot>, Slots) {
        let (graph, mut last) = (self.plan.graph, HashMap::new());
        for (i, draft) in self.drafts.iter().enumerate() {
            last.extend(draft.reads.iter().chain(&draft.writes).map(|&key| (key, i)));
        }
        last.extend(
            self.buffers(&graph.outputs).into_iter().map(|id| ((id, self.row_major(id)), usize::MAX)),
        );
        last.extend(self.buffers(self.plan.taps).into_iter().map(|id| ((id, self.computed(id)), usize::MAX)));

        let (mut slots, mut map) = (Slots::default(), HashMap::new());
        // An input that nobody reads keeps its buffer: the copy in needs the place.
        for input in self.buffers(&graph.inputs) {
            map.insert((input, Layout::RowMajor), slots.acquire(self.ty(input).len()));
        }
        for (i, draft) in self.drafts.iter().enumerate() {
            for &key in &draft.writes {
                map.insert(key, slots.acquire(self.ty(key.0).len()));
            }
            // Given back only now, so that a step never writes where it reads.
            for &key in draft.reads.iter().chain(&draft.writes).filter(|key| last[key] == i) {
                slots.release(map[&key]);
            }
        }
        (map, slots)
    }

    fn step(&self, draft: Draft, map: &HashMap<Key, Slot>) -> (String, Step) {
        let step = match draft.kind {
            DraftKind::Fast(run) => Step::Fast {
                run,
                inputs: draft.reads.iter().map(|&key| self.span(key, map)).collect(),
                output: self.span(draft.writes[0], map),
            },
            DraftKind::Plain(node) => {
                let source = |id: ValueId| match self.plan.graph.constant(id) {
                    Some(constant) => Source::Constant(constant.clone()),
                    None => match draft.reads.iter().find(|key| key.0 == id) {
                        Some(&key) => Source::Buffer(self.span(key, map), self.ty(id).shape.clone()),
                        None => Source::Tensor(id),
                    },
                };
                let sink = |id: ValueId| match draft.writes.iter().find(|key| key.0 == id) {
                    Some(key) => Sink::Buffer(map[key]),
                    None => Sink::Tensor(id),
                };
                Step::Plain {
                    inputs: node.inputs.iter().map(|id| id.map(source)).collect(),
                    outputs: node.outputs.iter().map(|&id| sink(id)).collect(),
                    op: Box::new(node.op),
                }
            }
        };
        (draft.name, step)
    }

    fn span(&self, key: Key, map: &HashMap<Key, Slot>) -> Span {
        Span { slot: map[&key], len: self.ty(key.0).len(), grows: self.grows(key.0) }
    }

    fn grows(&self, id: ValueId) -> bool {
        self.plan.grows.is_some_and(|grows| grows[id.0])
    }

    /// The layout in which a value was computed.
    fn computed(&self, id: ValueId) -> Layout {
        self.present.get(&id).map_or(Layout::RowMajor, |layouts| layouts[0])
    }

    /// The layout in which an output is read: row-major if it exists so, else equal to it.
    fn row_major(&self, id: ValueId) -> Layout {
        let layouts = self.present.get(&id).map_or(&[][..], Vec::as_slice);
        if layouts.contains(&Layout::RowMajor) { Layout::RowMajor } else { self.computed(id) }
    }
}

/// Channels and cells (product of the spatial axes) of a shape; `[1, 1]` below rank 3, where layouts agree.
fn split(shape: &[usize]) -> [usize; 2] {
    match shape {
        [_, c, rest @ ..] if !rest.is_empty() => [*c, rest.iter().product()],
        _ => [1, 1],
    }
}
