//! What a block is fitted to: its float outputs, in the measure that the recipe chose.

use crate::method::MethodError;
use crate::rows::Rows;
use lowbit_engine::{Differentiable, Outside};
use lowbit_graph::TensorType;
use lowbit_kernels::{Isa, loss};
use serde::Deserialize;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

/// Samples measured together.
const BATCH: usize = 256;

/// How the difference `d` of an output from its target is measured; `g` is how much the network's own output
/// depends on it, `|∂L/∂z| + 1`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Loss {
    /// Mean over samples and positions of `Σ_channels |d|^power`.
    #[default]
    Mse,
    /// Mean over samples and positions of `Σ_channels d²·g²`.
    FisherDiagonal,
    /// Mean over samples and elements of `(Σ |d|·g)·|d|·g / 100`, the sum over the elements of a sample.
    FisherFull,
}

/// Targets of a block, and how far from them it is.
pub(super) struct Objective {
    isa: Isa,
    loss: Loss,
    targets: Vec<Target>,
    /// Exponent of the difference.
    power: f32,
    /// Working memory, one set per thread.
    idle: Mutex<Vec<[Vec<f32>; 2]>>,
}

struct Target {
    rows: Arc<Rows>,
    importance: Option<Arc<Rows>>,
    /// Pixels (or tokens) of a sample: the mean goes over them, the sum over channels.
    positions: usize,
}

impl Objective {
    /// Without importance, of all outputs together.
    pub(super) fn new(isa: Isa, power: f32, targets: Vec<(Arc<Rows>, &TensorType)>) -> Objective {
        let target = |(rows, ty): (Arc<Rows>, &TensorType)| Target {
            rows,
            importance: None,
            positions: positions(&ty.shape),
        };
        let targets = targets.into_iter().map(target).collect();
        Objective { isa, loss: Loss::Mse, power, targets, idle: Mutex::default() }
    }

    /// With an importance for each output.
    pub(super) fn weighted(mut self, loss: Loss, importance: Vec<Arc<Rows>>) -> Objective {
        self.loss = loss;
        for (target, importance) in self.targets.iter_mut().zip(importance) {
            target.importance = Some(importance);
        }
        self
    }

    /// The part of the loss that rows `rows` of the batch have, the batch being the samples `batch`; writes its
    /// gradients.
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
            let weight = match &goal.importance {
                None => None,
                Some(importance) => {
                    weight.resize(output.len(), 0.0);
                    importance.gather(&batch[rows.clone()], &mut weight)?;
                    Some(&mut weight)
                }
            };
            sum += match (self.loss, weight) {
                (Loss::FisherFull, Some(weight)) => {
                    full(batch.len(), rows.len(), (output, &target, weight), gradient)
                }
                (_, weight) => {
                    let factor = 1.0 / (batch.len() * goal.positions) as f64;
                    let power = if weight.is_some() { 2.0 } else { self.power };
                    let squares = weight.map(|weight| {
                        weight.iter_mut().for_each(|g| *g *= *g);
                        weight.as_slice()
                    });
                    let (isa, scale) = (self.isa, factor as f32);
                    factor * loss::power_error(isa, power, scale, output, &target, squares, gradient)
                }
            };
        }
        lock().push([target, weight]);
        Ok(sum)
    }

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

/// [`Loss::FisherFull`] of `rows` rows of a batch: with `S = Σ |d|·g` of a sample of `n` elements, `S² / (100·n)`.
fn full(
    batch: usize,
    rows: usize,
    (output, target, importance): (&[f32], &[f32], &[f32]),
    gradient: &mut [f32],
) -> f64 {
    let n = output.len() / rows.max(1);
    let factor = 1.0 / (100 * n * batch) as f64;
    let samples = output.chunks_exact(n).zip(target.chunks_exact(n)).zip(importance.chunks_exact(n));
    let mut total = 0.0;
    for (((y, t), g), to) in samples.zip(gradient.chunks_exact_mut(n)) {
        let sum: f64 = y.iter().zip(t).zip(g).map(|((y, t), g)| f64::from((y - t).abs() * g)).sum();
        total += factor * sum * sum;
        for ((to, (y, t)), g) in to.iter_mut().zip(y.iter().zip(t)).zip(g) {
            let d = y - t;
            *to = if d == 0.0 { 0.0 } else { (2.0 * factor * sum) as f32 * g * d.signum() };
        }
    }
    total
}

/// Positions of a sample of that shape: pixels of pictures, tokens of sequences, one for vectors.
fn positions(shape: &[usize]) -> usize {
    match shape {
        [_, _] | [_] | [] => 1,
        [_, tokens, _] => *tokens,
        [_, _, pixels @ ..] => pixels.iter().product(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rows::Budget;
    use lowbit_tensor::DType;

    /// The check of the specification: outputs `0.1·k` of shape `(2, 3, 2, 2)`, targets 0.5, here channels last.
    fn example(power: f32, loss: Loss) -> (f64, Vec<f32>, Vec<f32>) {
        let (mut output, budget) = (vec![0.0; 24], Budget::unlimited());
        for (n, c, p) in (0..2).flat_map(|n| (0..3).flat_map(move |c| (0..4).map(move |p| (n, c, p)))) {
            output[(n * 4 + p) * 3 + c] = 0.1 * ((n * 3 + c) * 4 + p) as f32;
        }
        let rows = |values: &[f32]| {
            let mut rows = Rows::new(&budget, 2, 12).unwrap();
            rows.write(0, values).unwrap();
            Arc::new(rows)
        };
        let ty = TensorType { dtype: DType::F32, shape: vec![1, 3, 2, 2] };
        let mut objective = Objective::new(Isa::best(), power, vec![(rows(&[0.5; 24]), &ty)]);
        if loss != Loss::Mse {
            let g: Vec<f32> = output.iter().map(|&y| if y > 1.0 { 2.0 } else { 1.0 }).collect();
            objective = objective.weighted(loss, vec![rows(&g)]);
        }
        let mut gradient = vec![0.0; 24];
        let value = objective.measure(&[0, 1], 0..2, &[&output], &mut [&mut gradient]).unwrap();
        (value, output, gradient)
    }

    #[test]
    fn losses_are_reduced_as_the_specification_says() {
        let cases = [
            (2.0, Loss::Mse, 2.705),
            (2.4, Loss::Mse, 3.021_914),
            (2.0, Loss::FisherDiagonal, 10.4075),
            (2.0, Loss::FisherFull, 0.382_35),
        ];
        for (power, loss, expected) in cases {
            let found = example(power, loss).0;
            assert!((found - expected).abs() < 1e-5 * expected, "{loss:?}: {found}");
        }
    }

    #[test]
    fn the_gradient_of_the_full_form_is_its_slope() {
        let (output, target) = ([0.3f32, -0.8, 1.1, 0.2], [0.0f32; 4]);
        let g = [1.0, 2.0, 1.5, 1.0];
        let value = |y: &[f32]| full(1, 1, (y, &target, &g), &mut [0.0; 4]);
        let mut gradient = [0.0; 4];
        full(1, 1, (&output, &target, &g), &mut gradient);
        for i in 0..4 {
            let at = |h: f32| {
                let mut y = output;
                y[i] += h;
                value(&y)
            };
            let slope = (at(1e-2) - at(-1e-2)) / 2e-2;
            assert!((slope - f64::from(gradient[i])).abs() < 1e-5, "{i}: {slope} {}", gradient[i]);
        }
    }
}
