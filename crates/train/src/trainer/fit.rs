//! Where quantizers of edges begin.

use super::Trainer;
use crate::augment::order;
use crate::error::TrainError;
use lowbit_engine::{Rounding, Training};
use lowbit_kernels::Isa;
use std::sync::{Arc, Mutex, PoisonError};

/// Values of an edge by the first of their rows.
type Seen = Vec<(usize, Vec<f32>)>;

/// Rows of the first batch that edges are first fitted to.
const SEEN_ROWS: usize = 32;
/// Values of an edge that they are fitted to at most.
const SEEN_VALUES: usize = 1 << 16;

impl Trainer<'_> {
    /// Fits the edges' quantizers to one batch, in the order in which training would see it: with weights as quantized,
    /// edges in float, normalizations by the batch. (By running statistics, layers not yet used to each other shrink
    /// deep edges, and steps fitted to those collapse.)
    ///
    /// # Errors
    /// When the network cannot be run.
    pub fn fit_edges(&mut self) -> Result<(), TrainError> {
        let model = &self.model;
        if model.edges.iter().all(|edge| edge.parameters.is_none()) {
            return Ok(());
        }
        let open: Vec<_> =
            model.edges.iter().map(|e| (e.rounded, Arc::new(Open) as Arc<dyn Rounding>)).collect();
        let constants: Vec<_> = model.tape_parameters();
        let constants: Vec<_> =
            constants.into_iter().filter(|p| matches!(p, lowbit_engine::Parameter::Constant(_))).collect();
        let mut tape = Training::new(&model.graph, self.options.batch, &constants, open)?;
        for (at, &group) in self.groups.iter().take(constants.len()).enumerate() {
            tape.set(at, &self.seen(group, None))?;
        }
        let order = order(self.data.labels.len(), self.seed, 0);
        let batch = self.batch(&order[..self.options.batch], 0)?;
        let values: Vec<_> = model.edges.iter().map(|e| e.rounded).collect();
        let kept: Vec<Mutex<Seen>> = values.iter().map(|_| Mutex::default()).collect();
        tape.observe(
            self.options.batch,
            |rows, inputs| batch.feed(rows, inputs),
            &values,
            |i, rows, values| {
                if rows.start < SEEN_ROWS {
                    kept[i]
                        .lock()
                        .unwrap_or_else(PoisonError::into_inner)
                        .push((rows.start, values.to_vec()));
                }
                Ok(())
            },
        )?;
        for (edge, kept) in self.model.edges.iter().zip(kept) {
            let mut kept = kept.into_inner().unwrap_or_else(PoisonError::into_inner);
            kept.sort_by_key(|(row, _)| *row);
            let all: Vec<f32> = kept.into_iter().flat_map(|(_, values)| values).collect();
            let every = all.len().div_ceil(SEEN_VALUES).max(1);
            let some: Vec<f32> = all.into_iter().step_by(every).collect();
            if let Some(group) = edge.parameters {
                self.model.groups[group].values = edge.quantizer.start(&some);
            }
        }
        self.averages = self.averages.as_ref().map(|_| self.model.values());
        self.good = self.model.values();
        Ok(())
    }
}

/// Rounds nothing: stands in for the edges' quantizers while they are fitted.
struct Open;

impl Rounding for Open {
    fn len(&self) -> usize {
        0
    }

    fn set(&self, _values: &[f32]) {}

    fn forward(&self, _isa: Isa, x: &[f32], y: &mut [f32]) {
        y.copy_from_slice(x);
    }

    fn backward(&self, _isa: Isa, _x: &[f32], _grad: &mut [f32], _parameters: &mut [f32]) {}
}
