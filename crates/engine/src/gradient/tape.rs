//! A graph compiled for one batch size, forward and back: steps over buffers that all live until the way back is done.

use super::GradientError;
use super::reverse::{Pull, RunBack, Sink, Update};
use crate::form::{Learned, Run};
use crate::{EngineError, EvalError, ops};
use lowbit_graph::{Op, ValueId};
use lowbit_kernels::AlignedVec;
use lowbit_tensor::{Data, Tensor};
use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

/// Index of a buffer.
pub(super) type Cell = usize;

/// Size of a buffer.
#[derive(Clone, Copy, Debug)]
pub(super) struct Span {
    /// Elements at the compiled batch.
    pub(super) len: usize,
    /// Whether axis 0 grows with the batch.
    pub(super) grows: bool,
}

/// A use of a parameter: by a step, as its `nth` parameter.
#[derive(Clone, Copy, Debug)]
pub(super) struct Use {
    pub(super) step: usize,
    pub(super) nth: usize,
}

pub(super) struct Step {
    pub(super) name: String,
    pub(super) kind: Kind,
    pub(super) reads: Vec<Cell>,
    pub(super) writes: Vec<Cell>,
    /// By read: whether its gradient is added to (or stored), `None` if none is wanted.
    pub(super) sinks: Vec<Option<bool>>,
    /// Places among all parameters.
    pub(super) parameters: Vec<usize>,
    /// Whether it is on the way back.
    pub(super) goes_back: bool,
}

pub(super) enum Kind {
    Fast {
        run: Run,
        back: Option<RunBack>,
        update: Option<Update>,
    },
    /// The plain twins, always on the whole compiled batch.
    Plain {
        op: Box<Op>,
        inputs: Vec<Option<Source>>,
        outputs: Vec<Place>,
        learned: Vec<(Learned, usize)>,
    },
}

pub(super) enum Source {
    Buffer { read: usize, shape: Vec<usize> },
    Parameter { parameter: usize, shape: Vec<usize> },
    Constant(Arc<Tensor>),
    Tensor(ValueId),
}

pub(super) enum Place {
    Buffer { write: usize, shape: Vec<usize> },
    Tensor(ValueId),
}

pub(super) struct Tape {
    /// Rows along axis 0 that it was compiled for, at least one.
    pub(super) batch: usize,
    pub(super) steps: Vec<Step>,
    pub(super) spans: Vec<Span>,
    /// By cell: whether it gets a gradient.
    pub(super) reached: Vec<bool>,
    pub(super) inputs: Vec<Cell>,
    pub(super) outputs: Vec<Cell>,
    /// Current values.
    pub(super) parameters: Vec<Vec<f32>>,
    pub(super) uses: Vec<Vec<Use>>,
    pub(super) scratch: usize,
}

/// The working memory of one thread.
#[derive(Default)]
pub(super) struct Arena {
    values: Vec<AlignedVec>,
    grads: Vec<AlignedVec>,
    scratch: AlignedVec,
    tensors: HashMap<ValueId, Tensor>,
}

/// Gradients of parameters from one chunk, by step.
pub(super) type Found = Vec<Vec<Vec<f32>>>;

impl Tape {
    /// Bytes of the buffers, of which one row of a batch takes its share.
    pub(super) fn bytes(&self) -> usize {
        let values: usize = self.spans.iter().map(|span| span.len).sum();
        let grads: usize =
            self.spans.iter().zip(&self.reached).filter(|(_, r)| **r).map(|(s, _)| s.len).sum();
        (values + grads).saturating_mul(size_of::<f32>())
    }

    /// Fresh buffers.
    pub(super) fn arena(&self) -> Result<Arena, EngineError> {
        let bytes = self.bytes() + self.scratch * size_of::<f32>();
        if Vec::<u8>::new().try_reserve_exact(bytes).is_err() {
            return Err(EngineError::OutOfMemory(bytes));
        }
        let grads = self.spans.iter().zip(&self.reached);
        Ok(Arena {
            values: self.spans.iter().map(|span| AlignedVec::zeroed(span.len)).collect(),
            grads: grads.map(|(s, &reached)| AlignedVec::zeroed(if reached { s.len } else { 0 })).collect(),
            scratch: AlignedVec::zeroed(self.scratch),
            tensors: HashMap::new(),
        })
    }

    /// Room for the gradients of one chunk.
    pub(super) fn found(&self) -> Found {
        let of = |step: &Step| step.parameters.iter().map(|&p| vec![0.0; self.parameters[p].len()]).collect();
        self.steps.iter().map(of).collect()
    }

    /// Elements of a cell when `rows` of the compiled rows run.
    fn live(&self, cell: Cell, rows: usize) -> usize {
        let span = self.spans[cell];
        if span.grows { span.len / self.batch * rows } else { span.len }
    }

    /// The input buffers, for the caller to fill.
    pub(super) fn feed<T>(
        &self,
        arena: &mut Arena,
        rows: usize,
        fill: impl FnOnce(&mut [&mut [f32]]) -> T,
    ) -> T {
        let mut taken: Vec<AlignedVec> =
            self.inputs.iter().map(|&cell| std::mem::take(&mut arena.values[cell])).collect();
        let mut views: Vec<&mut [f32]> =
            taken.iter_mut().zip(&self.inputs).map(|(v, &cell)| &mut v[..self.live(cell, rows)]).collect();
        let result = fill(&mut views);
        for (&cell, buffer) in self.inputs.iter().zip(taken) {
            arena.values[cell] = buffer;
        }
        result
    }

    pub(super) fn forward(&self, arena: &mut Arena, rows: usize) -> Result<(), GradientError> {
        for step in &self.steps {
            self.step_forward(step, arena, rows).map_err(|source| named(step, source))?;
        }
        Ok(())
    }

    /// Shows the outputs.
    pub(super) fn outputs<'a>(&self, arena: &'a Arena, rows: usize) -> Vec<&'a [f32]> {
        self.outputs.iter().map(|&cell| &arena.values[cell][..self.live(cell, rows)]).collect()
    }

    /// Shows the outputs, and lets `loss` write their gradients.
    pub(super) fn judge<T>(
        &self,
        arena: &mut Arena,
        rows: usize,
        loss: impl FnOnce(&[&[f32]], &mut [&mut [f32]]) -> T,
    ) -> T {
        let mut taken: Vec<AlignedVec> = self
            .outputs
            .iter()
            .map(|&cell| {
                let grad = std::mem::take(&mut arena.grads[cell]);
                // Nothing may depend on an output; the loss still finds a place to write.
                if grad.is_empty() { AlignedVec::zeroed(self.spans[cell].len) } else { grad }
            })
            .collect();
        let outputs = self.outputs(arena, rows);
        let mut grads: Vec<&mut [f32]> =
            taken.iter_mut().zip(&outputs).map(|(grad, output)| &mut grad[..output.len()]).collect();
        let result = loss(&outputs, &mut grads);
        for (&cell, grad) in self.outputs.iter().zip(taken) {
            arena.grads[cell] = grad;
        }
        result
    }

    pub(super) fn backward(
        &self,
        arena: &mut Arena,
        rows: usize,
        found: &mut Found,
    ) -> Result<(), GradientError> {
        for (step, found) in self.steps.iter().zip(found).rev().filter(|(step, _)| step.goes_back) {
            self.step_back(step, arena, rows, found).map_err(|source| named(step, source))?;
        }
        Ok(())
    }

    /// Gradients of the inputs, where they were wanted.
    pub(super) fn input_grads<'a>(&self, arena: &'a Arena, rows: usize) -> Vec<&'a [f32]> {
        let grad = |cell: Cell| &arena.grads[cell][..self.live(cell, rows).min(arena.grads[cell].len())];
        self.inputs.iter().map(|&cell| grad(cell)).collect()
    }

    fn step_forward(&self, step: &Step, arena: &mut Arena, rows: usize) -> Result<(), EvalError> {
        match &step.kind {
            Kind::Fast { run, .. } => {
                let target = step.writes[0];
                let mut out = std::mem::take(&mut arena.values[target]);
                let reads: Vec<&[f32]> =
                    step.reads.iter().map(|&cell| &arena.values[cell][..self.live(cell, rows)]).collect();
                run(&reads, &mut arena.scratch, &mut out[..self.live(target, rows)]);
                arena.values[target] = out;
            }
            Kind::Plain { op, inputs, outputs, learned } => {
                let results = {
                    let held = self.held(step, inputs, arena, rows)?;
                    let tensors = tensors(inputs, &held, arena);
                    ops::evaluate(&self.current(op, learned), &tensors)?
                };
                for (place, tensor) in outputs.iter().zip(results) {
                    match place {
                        Place::Buffer { write, .. } => {
                            let values = tensor.to_f32();
                            arena.values[step.writes[*write]][..values.len()].copy_from_slice(&values);
                        }
                        Place::Tensor(id) => {
                            arena.tensors.insert(*id, tensor);
                        }
                    }
                }
            }
        }
        Ok(())
    }

    fn step_back(
        &self,
        step: &Step,
        arena: &mut Arena,
        rows: usize,
        found: &mut [Vec<f32>],
    ) -> Result<(), EvalError> {
        let mut taken: Vec<Option<AlignedVec>> = step
            .reads
            .iter()
            .zip(&step.sinks)
            .map(|(&cell, sink)| sink.map(|_| std::mem::take(&mut arena.grads[cell])))
            .collect();
        let result = match &step.kind {
            Kind::Fast { back: None, .. } => Ok(()),
            Kind::Fast { back: Some(back), .. } => {
                let target = step.writes[0];
                let mut grad = std::mem::take(&mut arena.grads[target]);
                let reads: Vec<&[f32]> =
                    step.reads.iter().map(|&cell| &arena.values[cell][..self.live(cell, rows)]).collect();
                let mut sinks: Vec<Option<Sink<'_>>> = taken
                    .iter_mut()
                    .zip(step.reads.iter().zip(&step.sinks))
                    .map(|(taken, (&cell, add))| {
                        let grad = &mut taken.as_mut()?[..self.live(cell, rows)];
                        Some(Sink { grad, add: (*add)? })
                    })
                    .collect();
                let mut parameters: Vec<&mut [f32]> = found.iter_mut().map(Vec::as_mut_slice).collect();
                let len = self.live(target, rows);
                back(&mut Pull {
                    inputs: &reads,
                    output: &arena.values[target][..len],
                    grad: &mut grad[..len],
                    sinks: &mut sinks,
                    parameters: &mut parameters,
                    scratch: &mut arena.scratch,
                });
                arena.grads[target] = grad;
                Ok(())
            }
            Kind::Plain { .. } => self.plain_back(step, arena, rows, &mut taken, found),
        };
        for (&cell, taken) in step.reads.iter().zip(taken) {
            if let Some(taken) = taken.filter(|taken| !taken.is_empty()) {
                arena.grads[cell] = taken;
            }
        }
        result
    }

    fn plain_back(
        &self,
        step: &Step,
        arena: &Arena,
        rows: usize,
        taken: &mut [Option<AlignedVec>],
        found: &mut [Vec<f32>],
    ) -> Result<(), EvalError> {
        let Kind::Plain { op, inputs, outputs, learned } = &step.kind else { return Ok(()) };
        let held = self.held(step, inputs, arena, rows)?;
        let inputs_given = tensors(inputs, &held, arena);
        // Rows beyond those that run hold whatever ran before; their gradient is zero.
        let grads = outputs.iter().map(|place| match place {
            Place::Buffer { write, shape } if self.reached[step.writes[*write]] => {
                let cell = step.writes[*write];
                let mut grad = arena.grads[cell][..self.live(cell, rows)].to_vec();
                grad.resize(self.spans[cell].len, 0.0);
                Ok(Some(Tensor::new(shape.clone(), Data::F32(grad))?))
            }
            _ => Ok(None),
        });
        let grads: Vec<Option<Tensor>> = grads.collect::<Result<_, EvalError>>()?;
        let grads: Vec<Option<&Tensor>> = grads.iter().map(Option::as_ref).collect();
        let op = self.current(op, learned);
        let results = ops::gradient(&op, &inputs_given, &grads)?;
        let mut stored = vec![false; taken.len()];
        for (source, result) in inputs.iter().zip(&results) {
            let Some(Source::Buffer { read, .. }) = source else { continue };
            // Of a buffer read twice, the first place among the reads holds the gradient.
            let cell = step.reads[*read];
            let at = step.reads.iter().position(|&c| c == cell).unwrap_or(*read);
            let Some(grad) = &mut taken[at] else { continue };
            let live = self.live(cell, rows);
            let add = stored[at] || step.sinks[at] == Some(true);
            stored[at] = true;
            match result.as_ref().map(Tensor::to_f32) {
                Some(values) if add => {
                    grad[..live].iter_mut().zip(values).for_each(|(g, v)| *g += v);
                }
                Some(values) => grad[..live].copy_from_slice(&values[..live]),
                None if !add => grad[..live].fill(0.0),
                None => {}
            }
        }
        for ((learned, _), found) in learned.iter().zip(found) {
            let values = match learned {
                Learned::Input(i) => results.get(*i).and_then(Option::as_ref).map(Tensor::to_f32),
                Learned::Step => self.step_gradient(&op, &inputs_given, &grads)?,
            };
            match values {
                Some(values) => found.copy_from_slice(&values),
                None => found.fill(0.0),
            }
        }
        Ok(())
    }

    fn step_gradient(
        &self,
        op: &Op,
        inputs: &[Option<&Tensor>],
        grads: &[Option<&Tensor>],
    ) -> Result<Option<Vec<f32>>, EvalError> {
        match (op, inputs.first(), grads.first()) {
            (Op::FakeQuantize(op), Some(&Some(x)), Some(&Some(grad))) => {
                Ok(Some(ops::step_gradient(op, x, grad)?.to_f32()))
            }
            _ => Ok(None),
        }
    }

    /// The operator with the step sizes that it has now.
    fn current<'a>(&self, op: &'a Op, learned: &[(Learned, usize)]) -> Cow<'a, Op> {
        match (op, learned.iter().find(|(l, _)| *l == Learned::Step)) {
            (Op::FakeQuantize(op), Some(&(_, parameter))) => {
                let mut op = op.clone();
                op.code.scale.clone_from(&self.parameters[parameter]);
                Cow::Owned(Op::FakeQuantize(op))
            }
            _ => Cow::Borrowed(op),
        }
    }

    /// Tensors made of buffers and parameters, by input.
    fn held(
        &self,
        step: &Step,
        inputs: &[Option<Source>],
        arena: &Arena,
        rows: usize,
    ) -> Result<Vec<Option<Tensor>>, EvalError> {
        let one = |source: &Option<Source>| match source {
            Some(Source::Buffer { read, shape }) => {
                let cell = step.reads[*read];
                let values = self.whole(&arena.values[cell], cell, rows);
                Ok(Some(Tensor::new(shape.clone(), Data::F32(values))?))
            }
            Some(Source::Parameter { parameter, shape }) => {
                Ok(Some(Tensor::new(shape.clone(), Data::F32(self.parameters[*parameter].clone()))?))
            }
            _ => Ok(None),
        };
        inputs.iter().map(one).collect()
    }

    /// The live values, their last row repeated up to the compiled batch: twins must see data that can occur.
    fn whole(&self, values: &[f32], cell: Cell, rows: usize) -> Vec<f32> {
        let (live, len) = (self.live(cell, rows), self.spans[cell].len);
        let mut whole = values[..live].to_vec();
        let row = len / self.batch;
        while whole.len() < len {
            whole.extend_from_slice(&values[live - row..live]);
        }
        whole
    }
}

fn tensors<'a>(
    inputs: &'a [Option<Source>],
    held: &'a [Option<Tensor>],
    arena: &'a Arena,
) -> Vec<Option<&'a Tensor>> {
    let one = |(source, held): (&'a Option<Source>, &'a Option<Tensor>)| match source {
        Some(Source::Tensor(id)) => arena.tensors.get(id),
        Some(Source::Constant(tensor)) => Some(tensor.as_ref()),
        _ => held.as_ref(),
    };
    inputs.iter().zip(held).map(one).collect()
}

fn named(step: &Step, source: EvalError) -> GradientError {
    EngineError::Node { node: step.name.clone(), source }.into()
}
