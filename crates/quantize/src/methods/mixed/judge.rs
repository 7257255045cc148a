//! How far a network's answers are from those of the float network, sample by sample.
//!
//! The measure is the Kullback-Leibler divergence of the scores, both softened: on images that a network was trained on it
//! is so sure that plain scores hide what a layer loses until it is large.

use super::ID;
use crate::method::MethodError;
use crate::methods::lapq::loss::{divergence, log_probabilities};
use crate::rows::Rows;
use crate::workbench::Workbench;
use lowbit_graph::ValueId;

/// Compares answers.
#[derive(Clone, Copy, Debug)]
pub(super) struct Judge {
    /// Whose values are the answers.
    pub(super) output: ValueId,
    /// Scores that belong together, side by side.
    pub(super) classes: usize,
    temperature: f64,
}

impl Judge {
    /// For the first result of the network.
    pub(super) fn new(bench: &Workbench<'_>, temperature: f64) -> Result<Judge, MethodError> {
        let message = "the network has no result to compare".into();
        let output = bench.graph.outputs.first().copied();
        let output = output.ok_or(MethodError::Needs { step: ID, message })?;
        let shape = bench.types[output.0].as_ref().map_or(&[][..], |ty| &ty.shape);
        // Scores of one position lie side by side: rows of pictures have channels last.
        let classes = match shape {
            [_, classes] | [_, _, classes] | [_, classes, _, _, ..] => *classes,
            _ => shape.iter().skip(1).product(),
        };
        Ok(Judge { output, classes: classes.max(1), temperature })
    }

    /// The divergence of each sample, summed over positions, in nats.
    pub(super) fn each(&self, float: &Rows, found: &Rows) -> Result<Vec<f64>, MethodError> {
        let (mut p, mut q) = (vec![0.0; float.row_len()], vec![0.0; float.row_len()]);
        let mut of = |i: usize| -> Result<f64, MethodError> {
            float.read(i..i + 1, &mut p)?;
            found.read(i..i + 1, &mut q)?;
            let positions = p.chunks(self.classes).zip(q.chunks(self.classes));
            Ok(positions.map(|(p, q)| softened_divergence(p, q, self.temperature)).sum())
        };
        (0..float.rows()).map(&mut of).collect()
    }
}

/// Divergence of the scores `q` from `p`, both divided by `temperature`.
fn softened_divergence(p: &[f32], q: &[f32], temperature: f64) -> f64 {
    divergence(&log_probabilities(p, temperature), &log_probabilities(q, temperature))
}

/// Mean and standard error of what `new` has more than `old`, sample by sample. Both see the same samples, whose own
/// hardness drops out of the difference.
pub fn difference(new: &[f64], old: &[f64]) -> (f64, f64) {
    let n = new.len().min(old.len()).max(1) as f64;
    let each = || new.iter().zip(old).map(|(a, b)| a - b);
    let mean = each().sum::<f64>() / n;
    let spread = each().map(|d| (d - mean).powi(2)).sum::<f64>() / (n - 1.0).max(1.0);
    (mean, (spread / n).sqrt())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn divergence_is_zero_for_equal_answers_whatever_their_offset() {
        assert!(softened_divergence(&[0.5, -1.0, 2.0], &[3.5, 2.0, 5.0], 4.0).abs() < 1e-12);
        // softmax (3/4, 1/4) against (1/2, 1/2).
        let expected = 0.75 * 1.5f64.ln() + 0.25 * 0.5f64.ln();
        assert!((softened_divergence(&[3f32.ln(), 0.0], &[1.0, 1.0], 1.0) - expected).abs() < 1e-6);
    }

    #[test]
    fn differences_are_those_of_pairs() {
        // −1, −2, −3, −2: mean −2, variance 2/3, of the mean 1/6.
        let (mean, error) = difference(&[10.0, 1.0, 4.0, 0.0], &[11.0, 3.0, 7.0, 2.0]);
        assert_eq!(mean, -2.0);
        assert!((error - (1f64 / 6.0).sqrt()).abs() < 1e-12);
        assert_eq!(difference(&[1.0], &[1.0]), (0.0, 0.0));
    }
}
