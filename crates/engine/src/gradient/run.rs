//! The steps of a tape, forward and back, on the rows of some [`Rooms`].

use super::GradientError;
use super::reverse::{Pull, Sink};
use super::rooms::{Home, Rooms, Taken};
use super::tape::{Kind, Step, Tape};
use crate::EngineError;
use lowbit_kernels::AlignedVec;

impl Tape {
    /// The input buffers, for the caller to fill.
    pub(super) fn feed<T>(&self, rooms: &mut Rooms<'_>, fill: impl FnOnce(&mut [&mut [f32]]) -> T) -> T {
        let mut taken: Vec<Taken> = self.inputs.iter().map(|&cell| rooms.take_value(self, cell)).collect();
        let mut views: Vec<&mut [f32]> = taken.iter_mut().map(Taken::live).collect();
        let result = fill(&mut views);
        taken.into_iter().for_each(|taken| rooms.put(taken));
        result
    }

    /// Shows the outputs.
    pub(super) fn outputs<'a>(&self, rooms: &'a Rooms<'_>) -> Vec<&'a [f32]> {
        self.outputs.iter().map(|&cell| rooms.value(self, cell)).collect()
    }

    /// Shows the outputs, and lets `loss` write their gradients.
    pub(super) fn judge<T>(
        &self,
        rooms: &mut Rooms<'_>,
        loss: impl FnOnce(&[&[f32]], &mut [&mut [f32]]) -> T,
    ) -> T {
        let mut taken: Vec<Taken> = self.outputs.iter().map(|&cell| rooms.take_grad(self, cell)).collect();
        let outputs = self.outputs(rooms);
        // Nothing may depend on an output; the loss still finds a place to write.
        let mut spare: Vec<AlignedVec> = outputs.iter().map(|y| AlignedVec::zeroed(y.len())).collect();
        let mut grads: Vec<&mut [f32]> = self
            .outputs
            .iter()
            .zip(taken.iter_mut().zip(&mut spare))
            .map(|(&cell, (taken, spare))| match self.grads[cell] {
                Home::Nowhere => &mut spare[..],
                _ => taken.live(),
            })
            .collect();
        let result = loss(&outputs, &mut grads);
        taken.into_iter().for_each(|taken| rooms.put(taken));
        result
    }

    /// Gradients of the inputs, where they were wanted.
    pub(super) fn input_grads<'a>(&self, rooms: &'a Rooms<'_>) -> Vec<&'a [f32]> {
        self.inputs.iter().map(|&cell| rooms.grad(self, cell)).collect()
    }

    /// Runs a step.
    pub(super) fn forward(&self, step: &Step, rooms: &mut Rooms<'_>) -> Result<(), GradientError> {
        match &step.kind {
            Kind::Fast { run, .. } => {
                let mut out = rooms.take_value(self, step.writes[0]);
                let mut scratch = std::mem::take(&mut rooms.local.scratch);
                let reads: Vec<&[f32]> = step.reads.iter().map(|&cell| rooms.value(self, cell)).collect();
                run(&reads, &mut scratch, out.live());
                rooms.local.scratch = scratch;
                rooms.put(out);
                Ok(())
            }
            Kind::Plain { .. } => self
                .plain_forward(step, rooms)
                .map_err(|source| EngineError::Node { node: step.name.clone(), source }.into()),
            Kind::Gather(norm) => {
                let mut part = std::mem::take(&mut rooms.parts[*norm]);
                self.norms[*norm].gather(rooms.value(self, step.reads[0]), &mut part);
                rooms.parts[*norm] = part;
                Ok(())
            }
            Kind::Normalize(norm) => {
                let mut out = rooms.take_value(self, step.writes[0]);
                let residual = step.reads.get(1).map(|&cell| rooms.value(self, cell));
                let x = rooms.value(self, step.reads[0]);
                self.norms[*norm].normalize(&rooms.normalized[*norm], x, residual, out.live());
                rooms.put(out);
                Ok(())
            }
            Kind::Drop(ratio) => {
                let mut out = rooms.take_value(self, step.writes[0]);
                out.live().copy_from_slice(rooms.value(self, step.reads[0]));
                super::dropout::drop(*ratio, rooms.seed, self.drop_stream(step, rooms), out.live());
                rooms.put(out);
                Ok(())
            }
        }
    }

    /// Runs a step back; gradients of its parameters are added to `sums`.
    pub(super) fn backward(
        &self,
        step: &Step,
        rooms: &mut Rooms<'_>,
        sums: &mut [&mut [f32]],
    ) -> Result<(), GradientError> {
        // A plain step may read a cell twice; its first place among the reads holds the gradient.
        let first = |place: usize| !step.reads[..place].contains(&step.reads[place]);
        let places = step.sinks.iter().enumerate();
        let mut taken: Vec<Option<Taken>> = places
            .map(|(i, sink)| sink.filter(|_| first(i)).map(|_| rooms.take_grad(self, step.reads[i])))
            .collect();
        let result = match &step.kind {
            Kind::Plain { .. } => self
                .plain_back(step, rooms, &mut taken, sums)
                .map_err(|source| EngineError::Node { node: step.name.clone(), source }.into()),
            Kind::Gather(norm) => {
                let (grad, x) = (rooms.grad(self, self.norms[*norm].y), rooms.value(self, step.reads[0]));
                if let Some(sink) = &mut self.sinks(step, &mut taken)[0] {
                    self.norms[*norm].backward(&rooms.normalized[*norm], grad, x, sink);
                }
                Ok(())
            }
            Kind::Normalize(norm) => {
                let mut grad = rooms.take_grad(self, step.writes[0]);
                let mut part = std::mem::take(&mut rooms.parts[*norm]);
                let (x, y) = (rooms.value(self, step.reads[0]), rooms.value(self, step.writes[0]));
                self.norms[*norm].slopes(&rooms.normalized[*norm], x, y, grad.live(), &mut part);
                if let Some(Some(sink)) = self.sinks(step, &mut taken).get_mut(1) {
                    sink.put(self.isa, grad.live());
                }
                rooms.parts[*norm] = part;
                rooms.put(grad);
                Ok(())
            }
            Kind::Drop(ratio) => {
                let mut grad = rooms.take_grad(self, step.writes[0]);
                super::dropout::drop(*ratio, rooms.seed, self.drop_stream(step, rooms), grad.live());
                if let Some(sink) = &mut self.sinks(step, &mut taken)[0] {
                    sink.put(self.isa, grad.live());
                }
                rooms.put(grad);
                Ok(())
            }
            Kind::Fast { back: None, .. } => Ok(()),
            Kind::Fast { back: Some(back), .. } => {
                let mut grad = rooms.take_grad(self, step.writes[0]);
                let mut scratch = std::mem::take(&mut rooms.local.scratch);
                let reads: Vec<&[f32]> = step.reads.iter().map(|&cell| rooms.value(self, cell)).collect();
                let mut parameters: Vec<&mut [f32]> = sums.iter_mut().map(|sums| &mut **sums).collect();
                back(&mut Pull {
                    inputs: &reads,
                    output: rooms.value(self, step.writes[0]),
                    grad: grad.live(),
                    sinks: &mut self.sinks(step, &mut taken),
                    parameters: &mut parameters,
                    scratch: &mut scratch,
                });
                rooms.local.scratch = scratch;
                rooms.put(grad);
                Ok(())
            }
        };
        taken.into_iter().flatten().for_each(|taken| rooms.put(taken));
        result
    }

    /// The gradients of a step's inputs, as they were taken out.
    fn sinks<'a>(&self, step: &Step, taken: &'a mut [Option<Taken>]) -> Vec<Option<Sink<'a>>> {
        let one = |(taken, add): (&'a mut Option<Taken>, &Option<bool>)| {
            Some(Sink { grad: taken.as_mut()?.live(), add: (*add)? })
        };
        taken.iter_mut().zip(&step.sinks).map(one).collect()
    }

    /// Which numbers a dropout draws: those of its own cell from the first element of the rows on.
    fn drop_stream(&self, step: &Step, rooms: &Rooms<'_>) -> [u64; 2] {
        let cell = step.writes[0];
        let first = (rooms.before + rooms.rows.start) * self.row(cell);
        [cell as u64, first as u64]
    }
}
