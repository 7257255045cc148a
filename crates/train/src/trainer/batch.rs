//! The samples of a step, augmented, and what a teacher says of them.

use super::Trainer;
use crate::error::TrainError;
use lowbit_quantize::rows::Rows;
use lowbit_tensor::Tensor;
use rayon::prelude::*;

/// Labelled samples.
#[derive(Debug)]
pub struct Data {
    /// One row per sample, channels last.
    pub samples: Rows,
    /// Of a sample, channels last.
    pub shape: Vec<usize>,
    /// Class of each.
    pub labels: Vec<u32>,
}

/// Samples of a step.
pub(super) struct Batch {
    row: usize,
    values: Vec<f32>,
    pub(super) labels: Vec<u32>,
}

impl Batch {
    /// Fills the inputs of some of its rows.
    pub(super) fn feed(
        &self,
        rows: std::ops::Range<usize>,
        inputs: &mut [&mut [f32]],
    ) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        inputs[0].copy_from_slice(&self.values[rows.start * self.row..rows.end * self.row]);
        Ok(())
    }
}

impl Trainer<'_> {
    /// Samples of a batch as the network takes them, augmented.
    pub(super) fn batch(&self, chosen: &[usize], pass: u64) -> Result<Batch, TrainError> {
        let row = self.data.samples.row_len();
        let mut values = vec![0.0; chosen.len() * row];
        let augment = self.options.augment;
        let one = |(out, &sample): (&mut [f32], &usize)| {
            let [h, w, c] = self.data.shape[..] else {
                return self.data.samples.read(sample..sample + 1, out).map_err(TrainError::from);
            };
            let mut image = vec![0.0; row];
            self.data.samples.read(sample..sample + 1, &mut image)?;
            augment.apply([h, w, c], &image, self.seed, pass, sample as u64, out);
            Ok(())
        };
        values.par_chunks_mut(row.max(1)).zip(chosen).try_for_each(one)?;
        Ok(Batch { row, values, labels: chosen.iter().map(|&i| self.data.labels[i]).collect() })
    }

    /// Scores of the teacher.
    pub(super) fn taught(&self, batch: &Batch) -> Result<Option<Vec<f32>>, TrainError> {
        let Some(teacher) = self.teacher.as_ref().filter(|_| self.options.loss.distillation > 0.0) else {
            return Ok(None);
        };
        let samples = batch.labels.len();
        let input = match self.data.shape[..] {
            [h, w, c] => {
                let mut planes = vec![0.0; batch.values.len()];
                for (from, to) in batch.values.chunks(batch.row).zip(planes.chunks_mut(batch.row)) {
                    lowbit_kernels::layout::nhwc_to_nchw(c, h * w, from, to);
                }
                Tensor::from_f32([samples, c, h, w], planes)
            }
            ref shape => Tensor::from_f32([&[samples], shape].concat(), batch.values.clone()),
        };
        Ok(teacher.run(&[input])?.first().map(Tensor::to_f32))
    }
}
