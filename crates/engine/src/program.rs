//! A graph compiled for one batch size: steps over reused buffers.
//!
//! [`crate::compile`] makes it; this file runs it. Running makes no buffer, and may stop short of the compiled batch:
//! a chunk of fewer images costs only those.

use crate::form::{Layout, Run};
use crate::{EngineError, EvalError, ops};
use lowbit_graph::{Op, TensorType, ValueId};
use lowbit_kernels::AlignedVec;
use lowbit_tensor::{Data, Tensor};
use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

/// Index of a physical buffer.
pub(crate) type Slot = usize;

/// Where a value lies while it lives. Buffers are as long as their largest tenant.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Span {
    pub(crate) slot: Slot,
    /// Elements at the compiled batch.
    pub(crate) len: usize,
    /// Whether axis 0 grows with the batch.
    pub(crate) grows: bool,
}

impl Span {
    /// Elements that count when `live` of the compiled rows run.
    fn live(self, live: Live) -> usize {
        if self.grows { self.len / live.batch * live.rows } else { self.len }
    }
}

/// Rows that run now, of those compiled for (at least one).
#[derive(Clone, Copy, Debug)]
struct Live {
    rows: usize,
    batch: usize,
}

pub(crate) enum Step {
    /// A fast form.
    Fast { run: Run, inputs: Vec<Span>, output: Span },
    /// The plain twin, always on the whole compiled batch (shapes in its constants say so); f32 inputs and outputs are
    /// copied from and to row-major buffers.
    Plain { op: Box<Op>, inputs: Vec<Option<Source>>, outputs: Vec<Sink> },
}

pub(crate) enum Source {
    Buffer(Span, Vec<usize>),
    Tensor(ValueId),
    Constant(Arc<Tensor>),
}

pub(crate) enum Sink {
    Buffer(Slot),
    Tensor(ValueId),
}

/// Where an input, output or tap of the program is found.
pub(crate) enum Place {
    Buffer { span: Span, ty: TensorType, layout: Layout },
    Tensor { id: ValueId, grows: bool },
    Constant(Arc<Tensor>),
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

impl View<'_> {
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
}

/// The working memory of one thread.
#[derive(Default)]
pub(crate) struct Arena {
    buffers: Vec<AlignedVec>,
    scratch: AlignedVec,
    tensors: HashMap<ValueId, Tensor>,
}

pub(crate) struct Program {
    /// Rows along axis 0 that it was compiled for, at least one.
    pub(crate) batch: usize,
    /// Each with the name of its node.
    pub(crate) steps: Vec<(String, Step)>,
    pub(crate) buffer_lens: Vec<usize>,
    pub(crate) scratch: usize,
    pub(crate) inputs: Vec<Place>,
    pub(crate) outputs: Vec<Place>,
    pub(crate) taps: Vec<Place>,
}

impl Program {
    /// Bytes of all buffers, saturating.
    pub(crate) fn bytes(&self) -> usize {
        let values = self.buffer_lens.iter().fold(self.scratch, |sum, &len| sum.saturating_add(len));
        values.saturating_mul(size_of::<f32>())
    }

    /// Bytes of the buffers that hold values: what grows with the batch.
    pub(crate) fn value_bytes(&self) -> usize {
        self.bytes().saturating_sub(self.scratch.saturating_mul(size_of::<f32>()))
    }

    /// Names of the nodes that run by their plain twins.
    pub(crate) fn plain(&self) -> impl Iterator<Item = &str> {
        self.steps
            .iter()
            .filter(|(_, step)| matches!(step, Step::Plain { .. }))
            .map(|(name, _)| name.as_str())
    }

    /// Fresh buffers.
    ///
    /// # Errors
    /// When the system refuses the memory.
    pub(crate) fn arena(&self) -> Result<Arena, EngineError> {
        // Asked for and given back at once: a refusal in `AlignedVec` would end the process.
        if Vec::<u8>::new().try_reserve_exact(self.bytes()).is_err() {
            return Err(EngineError::OutOfMemory(self.bytes()));
        }
        Ok(Arena {
            buffers: self.buffer_lens.iter().map(|&len| AlignedVec::zeroed(len)).collect(),
            scratch: AlignedVec::zeroed(self.scratch),
            tensors: HashMap::new(),
        })
    }

    /// Runs on the rows `rows` (along axis 0, at most the compiled batch) of the inputs that grow with the batch.
    pub(crate) fn run(
        &self,
        arena: &mut Arena,
        inputs: &[Tensor],
        rows: Range<usize>,
    ) -> Result<(), EngineError> {
        let live = Live { rows: rows.len(), batch: self.batch };
        for (place, tensor) in self.inputs.iter().zip(inputs) {
            match place {
                Place::Buffer { span, .. } => {
                    let range = span_of(tensor, span.grows, &rows);
                    let values = tensor.as_f32().unwrap_or(&[]);
                    arena.buffers[span.slot][..range.len()].copy_from_slice(&values[range]);
                }
                Place::Tensor { id, grows } => {
                    let whole = if *grows { self.filled(tensor, rows.clone())? } else { tensor.clone() };
                    arena.tensors.insert(*id, whole);
                }
                Place::Constant(_) => {}
            }
        }
        for (name, step) in &self.steps {
            step.run(arena, live).map_err(|source| EngineError::Node { node: name.clone(), source })?;
        }
        Ok(())
    }

    /// The rows `rows` of a tensor, the last one repeated up to the compiled batch: plain twins always see whole
    /// batches, and what they see must be data that can occur.
    fn filled(&self, tensor: &Tensor, rows: Range<usize>) -> Result<Tensor, EngineError> {
        let mut shape = tensor.shape().to_vec();
        let per_row = tensor.len() / shape.first().copied().unwrap_or(1).max(1);
        let mut data = Data::zeros(tensor.dtype(), 0);
        data.extend_from(tensor.data(), rows.start * per_row..rows.end * per_row);
        for _ in rows.len()..self.batch {
            data.extend_from(tensor.data(), (rows.end - 1) * per_row..rows.end * per_row);
        }
        if let Some(first) = shape.first_mut() {
            *first = self.batch;
        }
        Ok(Tensor::new(shape, data)?)
    }

    /// Shows the tapped values, cut to `rows` rows.
    pub(crate) fn visit_taps<T>(
        &self,
        arena: &Arena,
        rows: usize,
        visit: impl FnOnce(&[View<'_>]) -> T,
    ) -> T {
        let live = Live { rows, batch: self.batch };
        let held: Vec<(Vec<usize>, Layout, Option<Vec<f32>>)> = self
            .taps
            .iter()
            .map(|place| match place {
                Place::Buffer { span, ty, layout } => (cut(&ty.shape, span.grows, live), *layout, None),
                Place::Tensor { id, grows } => {
                    let (tensor, shape) = (&arena.tensors[id], cut(arena.tensors[id].shape(), *grows, live));
                    let len = shape.iter().product();
                    let mut values = tensor.to_f32();
                    values.truncate(len);
                    (shape, Layout::RowMajor, Some(values))
                }
                Place::Constant(tensor) => (tensor.shape().to_vec(), Layout::RowMajor, Some(tensor.to_f32())),
            })
            .collect();
        let views: Vec<View<'_>> = self
            .taps
            .iter()
            .zip(&held)
            .map(|(place, (shape, layout, values))| {
                let data = match (place, values) {
                    (Place::Buffer { span, .. }, _) => &arena.buffers[span.slot][..span.live(live)],
                    (_, values) => values.as_deref().unwrap_or(&[]),
                };
                View { shape, layout: *layout, data }
            })
            .collect();
        visit(&views)
    }

    /// The outputs, cut to `rows` rows.
    pub(crate) fn outputs(&self, arena: &Arena, rows: usize) -> Result<Vec<Tensor>, EngineError> {
        let live = Live { rows, batch: self.batch };
        let output = |place: &Place| match place {
            Place::Buffer { span, ty, .. } => {
                let data = arena.buffers[span.slot][..span.live(live)].to_vec();
                Ok(Tensor::new(cut(&ty.shape, span.grows, live), Data::F32(data))?)
            }
            Place::Tensor { id, grows } => {
                let tensor = &arena.tensors[id];
                let shape = cut(tensor.shape(), *grows, live);
                let mut data = Data::zeros(tensor.dtype(), 0);
                data.extend_from(tensor.data(), 0..shape.iter().product());
                Ok(Tensor::new(shape, data)?)
            }
            Place::Constant(tensor) => Ok(tensor.as_ref().clone()),
        };
        self.outputs.iter().map(output).collect()
    }
}

/// The elements of `tensor` in these rows of axis 0, or all if it does not grow with the batch.
fn span_of(tensor: &Tensor, grows: bool, rows: &Range<usize>) -> Range<usize> {
    match tensor.shape().first() {
        Some(&n) if grows && n > 0 => rows.start * (tensor.len() / n)..rows.end * (tensor.len() / n),
        _ => 0..tensor.len(),
    }
}

/// A shape with axis 0 cut to the rows that run.
fn cut(shape: &[usize], grows: bool, live: Live) -> Vec<usize> {
    let mut shape = shape.to_vec();
    if let Some(first) = shape.first_mut().filter(|_| grows) {
        *first = *first / live.batch * live.rows;
    }
    shape
}

impl Step {
    fn run(&self, arena: &mut Arena, live: Live) -> Result<(), EvalError> {
        match self {
            Step::Fast { run, inputs, output } => {
                // Taking the output out of the arena lets the inputs be borrowed beside it; compilation never gives
                // a step the same buffer for both.
                let mut out = std::mem::take(&mut arena.buffers[output.slot]);
                let reads: Vec<&[f32]> =
                    inputs.iter().map(|span| &arena.buffers[span.slot][..span.live(live)]).collect();
                run(&reads, &mut arena.scratch, &mut out[..output.live(live)]);
                arena.buffers[output.slot] = out;
                Ok(())
            }
            Step::Plain { op, inputs, outputs } => {
                let held: Vec<Option<Tensor>> = inputs
                    .iter()
                    .map(|source| match source {
                        Some(Source::Buffer(span, shape)) => {
                            let values = repeated(&arena.buffers[span.slot][..span.live(live)], *span, live);
                            Tensor::new(shape.clone(), Data::F32(values)).map(Some)
                        }
                        _ => Ok(None),
                    })
                    .collect::<Result<_, _>>()?;
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

/// The live values, their last row repeated up to the compiled batch; see [`Program::filled`].
fn repeated(values: &[f32], span: Span, live: Live) -> Vec<f32> {
    let mut whole = Vec::with_capacity(span.len);
    whole.extend_from_slice(values);
    if span.grows {
        let row = &values[values.len() - span.len / live.batch..];
        while whole.len() < span.len {
            whole.extend_from_slice(row);
        }
    }
    whole
}
