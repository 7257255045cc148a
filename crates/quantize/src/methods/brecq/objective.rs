//! What a block is fitted to: its float outputs, in the measure that the recipe chose.

use crate::method::MethodError;
use crate::rows::Rows;
use lowbit_engine::{Differentiable, Outside};
use lowbit_graph::TensorType;
use lowbit_kernels::{Isa, loss};
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

/// Samples measured together.
const BATCH: usize = 256;

/// Targets of a block, and how far from them it is.
pub(super) struct Objective {
    isa: Isa,
    targets: Vec<Target>,
    /// Exponent of the difference.
    power: f32,
    /// Working memory, one set per thread.
    idle: Mutex<Vec<[Vec<f32>; 2]>>,
}

struct Target {
    rows: Arc<Rows>,
    /// Weight of each element, where one is given: the square of the loss's gradient there.
    importance: Option<Arc<Rows>>,
    /// Pixels (or tokens) of a sample: the mean goes over them, the sum over channels.
    positions: usize,
}

impl Objective {
    /// `mean over samples and positions of the sum over channels of |y - target|^power`, of all outputs together.
    pub(super) fn new(isa: Isa, power: f32, targets: Vec<(Arc<Rows>, &TensorType)>) -> Objective {
        let target = |(rows, ty): (Arc<Rows>, &TensorType)| Target {
            rows,
            importance: None,
            positions: positions(&ty.shape),
        };
        Objective { isa, power, targets: targets.into_iter().map(target).collect(), idle: Mutex::default() }
    }

    /// Weighs each element, output by output.
    pub(super) fn weighted(mut self, importance: Vec<Arc<Rows>>) -> Objective {
        for (target, importance) in self.targets.iter_mut().zip(importance) {
            target.importance = Some(importance);
        }
        self
    }

    /// The part of the loss that rows `rows` of the batch have, the batch being the samples `batch`; writes its
    /// gradients where there is room for them.
    pub(super) fn measure(
        &self,
        batch: &[usize],
        rows: Range<usize>,
        outputs: &[&[f32]],
        gradients: &mut [&mut [f32]],
    ) -> Result<f64, Outside> {
        let lock = || self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let [mut target, mut weight] = lock().pop().unwrap_or_default();
        let mut sum = 0.0;
        for ((goal, output), gradient) in self.targets.iter().zip(outputs).zip(gradients) {
            target.resize(output.len(), 0.0);
            goal.rows.gather(&batch[rows.clone()], &mut target)?;
            let importance = match &goal.importance {
                None => None,
                Some(rows_of) => {
                    weight.resize(output.len(), 0.0);
                    rows_of.gather(&batch[rows.clone()], &mut weight)?;
                    Some(weight.as_slice())
                }
            };
            let factor = 1.0 / (batch.len() * goal.positions) as f64;
            let error =
                loss::power_error(self.isa, self.power, factor as f32, output, &target, importance, gradient);
            sum += factor * error;
        }
        lock().push([target, weight]);
        Ok(sum)
    }
}

impl Objective {
    /// The loss over these samples as `network` stands.
    pub(super) fn over(
        &self,
        network: &Differentiable,
        inputs: &[Arc<Rows>],
        samples: Range<usize>,
    ) -> Result<f64, MethodError> {
        let count = samples.len();
        let all: Vec<usize> = samples.collect();
        let mut sum = 0.0;
        for batch in all.chunks(BATCH) {
            let parts = Mutex::new(Vec::new());
            let lock = || parts.lock().unwrap_or_else(PoisonError::into_inner);
            network.run(
                batch.len(),
                |rows, buffers| feed(inputs, &batch[rows], buffers),
                |rows, outputs| {
                    let start = rows.start;
                    let mut gradients: Vec<Vec<f32>> = outputs.iter().map(|o| vec![0.0; o.len()]).collect();
                    let mut gradients: Vec<&mut [f32]> =
                        gradients.iter_mut().map(Vec::as_mut_slice).collect();
                    let part = self.measure(batch, rows, outputs, &mut gradients)?;
                    lock().push((start, part));
                    Ok(())
                },
            )?;
            // Chunks end in any order; their sum must not depend on it.
            let mut parts = parts.into_inner().unwrap_or_else(PoisonError::into_inner);
            parts.sort_unstable_by_key(|part| part.0);
            sum += parts.iter().map(|part| part.1).sum::<f64>() * batch.len() as f64;
        }
        Ok(sum / count as f64)
    }
}

/// The samples of a batch into the inputs of a block.
pub(super) fn feed(
    inputs: &[Arc<Rows>],
    samples: &[usize],
    buffers: &mut [&mut [f32]],
) -> Result<(), Outside> {
    inputs.iter().zip(buffers).try_for_each(|(rows, buffer)| Ok(rows.gather(samples, buffer)?))
}

/// Positions of a sample of that shape: pixels of pictures, tokens of sequences, one for vectors.
fn positions(shape: &[usize]) -> usize {
    match shape {
        [_, _] | [_] | [] => 1,
        [_, tokens, _] => *tokens,
        [_, _, pixels @ ..] => pixels.iter().product(),
    }
}
