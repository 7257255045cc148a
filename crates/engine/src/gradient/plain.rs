//! Steps by the plain twins, which know only the whole compiled batch.

use super::rooms::{Home, Local, Rooms, Taken};
use super::tape::{Cell, Kind, Place, Source, Step, Tape};
use crate::form::Learned;
use crate::{EvalError, ops};
use lowbit_graph::Op;
use lowbit_tensor::{Data, Tensor};
use std::borrow::Cow;

impl Tape {
    /// Runs the twin.
    pub(super) fn plain_forward(&self, step: &Step, rooms: &mut Rooms<'_>) -> Result<(), EvalError> {
        let Kind::Plain { op, inputs, outputs, learned } = &step.kind else { return Ok(()) };
        let results = {
            let held = self.held(step, inputs, rooms)?;
            ops::evaluate(&self.current(op, learned), &tensors(inputs, &held, rooms.local))?
        };
        for (place, tensor) in outputs.iter().zip(results) {
            match place {
                Place::Buffer { write, .. } => {
                    let (values, mut out) = (tensor.to_f32(), rooms.take_value(self, step.writes[*write]));
                    let live = out.live();
                    live.copy_from_slice(&values[..live.len()]);
                    rooms.put(out);
                }
                Place::Tensor(id) => {
                    rooms.local.tensors.insert(*id, tensor);
                }
            }
        }
        Ok(())
    }

    /// The way back by the twin's own.
    pub(super) fn plain_back(
        &self,
        step: &Step,
        rooms: &Rooms<'_>,
        taken: &mut [Option<Taken>],
        sums: &mut [&mut [f32]],
    ) -> Result<(), EvalError> {
        let Kind::Plain { op, inputs, outputs, learned } = &step.kind else { return Ok(()) };
        let held = self.held(step, inputs, rooms)?;
        let inputs_given = tensors(inputs, &held, rooms.local);
        // Rows beyond those that run hold whatever ran before; their gradient is zero.
        let grads = outputs.iter().map(|place| match place {
            Place::Buffer { write, shape } if self.grads[step.writes[*write]] != Home::Nowhere => {
                let cell = step.writes[*write];
                let mut grad = rooms.grad(self, cell).to_vec();
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
            let Some(grad) = taken[at].as_mut().map(Taken::live) else { continue };
            let add = stored[at] || step.sinks[at] == Some(true);
            stored[at] = true;
            match result.as_ref().map(Tensor::to_f32) {
                Some(values) if add => {
                    grad.iter_mut().zip(values).for_each(|(g, v)| *g += v);
                }
                Some(values) => grad.copy_from_slice(&values[..grad.len()]),
                None if !add => grad.fill(0.0),
                None => {}
            }
        }
        for ((learned, _), sums) in learned.iter().zip(sums) {
            let values = match learned {
                Learned::Input(i) => results.get(*i).and_then(Option::as_ref).map(Tensor::to_f32),
                Learned::Step => self.step_gradient(&op, &inputs_given, &grads)?,
            };
            sums.iter_mut().zip(values.unwrap_or_default()).for_each(|(sum, value)| *sum += value);
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
        rooms: &Rooms<'_>,
    ) -> Result<Vec<Option<Tensor>>, EvalError> {
        let one = |source: &Option<Source>| match source {
            Some(Source::Buffer { read, shape }) => {
                let cell = step.reads[*read];
                let values = self.whole(rooms.value(self, cell), cell);
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
    fn whole(&self, values: &[f32], cell: Cell) -> Vec<f32> {
        let mut whole = values.to_vec();
        while whole.len() < self.spans[cell].len {
            whole.extend_from_slice(&values[values.len() - self.row(cell)..]);
        }
        whole
    }
}

fn tensors<'a>(
    inputs: &'a [Option<Source>],
    held: &'a [Option<Tensor>],
    local: &'a Local,
) -> Vec<Option<&'a Tensor>> {
    let one = |(source, held): (&'a Option<Source>, &'a Option<Tensor>)| match source {
        Some(Source::Tensor(id)) => local.tensors.get(id),
        Some(Source::Constant(tensor)) => Some(tensor.as_ref()),
        _ => held.as_ref(),
    };
    inputs.iter().zip(held).map(one).collect()
}
