//! A graph compiled for one batch size, forward and back: steps over buffers, every value at hand on the way back.

use super::norm::Norm;
use super::reverse::{Learns, RunBack};
use super::rooms::Home;
use crate::form::{Learned, Run};
use lowbit_graph::{Op, ValueId};
use lowbit_kernels::Isa;
use lowbit_tensor::Tensor;
use std::collections::HashMap;
use std::sync::Arc;

/// Index of a value that lies in a buffer.
pub(super) type Cell = usize;

/// Size of a cell.
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
    /// How many sums over the whole batch must be complete before it: its phase.
    pub(super) phase: usize,
}

pub(super) enum Kind {
    Fast {
        run: Run,
        back: Option<RunBack>,
        learns: Option<Learns>,
    },
    /// The plain twins, always on the whole compiled batch.
    Plain {
        op: Box<Op>,
        inputs: Vec<Option<Source>>,
        outputs: Vec<Place>,
        learned: Vec<(Learned, usize)>,
    },
    /// The statistics of a batch normalization; on the way back, the gradient of what it normalizes.
    Gather(usize),
    /// What it makes of them, with addition and activation; on the way back, the sums that `Gather` needs.
    Normalize(usize),
    /// Zeros a share of the elements, and makes up for it.
    Drop(f32),
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
    /// In the order of their phases.
    pub(super) steps: Vec<Step>,
    pub(super) spans: Vec<Span>,
    /// By cell: where its value lies, and its gradient; [`Home::Nowhere`] if it gets none.
    pub(super) values: Vec<Home>,
    pub(super) grads: Vec<Home>,
    pub(super) inputs: Vec<Cell>,
    pub(super) outputs: Vec<Cell>,
    /// Current values.
    pub(super) parameters: Vec<Vec<f32>>,
    pub(super) uses: Vec<Vec<Use>>,
    pub(super) norms: Vec<Norm>,
    /// The cell in which each value was computed.
    pub(super) cells: HashMap<ValueId, Cell>,
    pub(super) scratch: usize,
    pub(super) isa: Isa,
}

impl Tape {
    /// Values of a row of a cell.
    pub(super) fn row(&self, cell: Cell) -> usize {
        self.spans[cell].len / self.batch
    }

    /// Elements of a cell when `rows` of the compiled rows run.
    pub(super) fn live(&self, cell: Cell, rows: usize) -> usize {
        let span = self.spans[cell];
        if span.grows { span.len / self.batch * rows } else { span.len }
    }

    /// Values of the sums of each parameter of a step.
    pub(super) fn sums(&self, step: &Step) -> Vec<usize> {
        match &step.kind {
            Kind::Fast { learns: Some(learns), .. } => learns.sums.clone(),
            Kind::Gather(_) | Kind::Normalize(_) => Vec::new(),
            _ => step.parameters.iter().map(|&p| self.parameters[p].len()).collect(),
        }
    }

    /// Brings the sums of the `nth` parameter of a step into the parameter's order.
    pub(super) fn unpack(&self, step: &Step, nth: usize, sums: &[f32], gradient: &mut [f32]) {
        match &step.kind {
            Kind::Fast { learns: Some(learns), .. } => (learns.unpack)(nth, sums, gradient),
            _ => gradient.copy_from_slice(sums),
        }
    }

    /// Tells the steps that read a parameter its new values.
    pub(super) fn set(&mut self, parameter: usize, values: &[f32]) -> Result<(), super::GradientError> {
        let held = &mut self.parameters[parameter];
        if held.len() != values.len() {
            return Err(super::GradientError::Length { expected: held.len(), found: values.len() });
        }
        held.copy_from_slice(values);
        for place in &self.uses[parameter] {
            if let Kind::Fast { learns: Some(learns), .. } = &self.steps[place.step].kind {
                (learns.update)(place.nth, values);
            }
        }
        Ok(())
    }
}
