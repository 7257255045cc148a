//! How far a network's answers are from those of the float network, sample by sample.
//!
//! The measure is the Kullback-Leibler divergence of the scores, both softened: on images that a network was trained on it
//! is so sure that plain scores hide what a layer loses until it is large. A single score is no distribution over
//! classes; it counts as the mean of a normal one, whose standard deviation is the temperature.

use super::ID;
use crate::method::MethodError;
use crate::methods::lapq::loss::{divergence, log_probabilities};
use crate::rows::Rows;
use crate::workbench::Workbench;
use lowbit_graph::{Node, Op, ValueId};

/// Probabilities below count as so much: their logarithms have an end.
const LEAST: f32 = 1e-20;

/// Compares answers.
#[derive(Clone, Copy, Debug)]
pub(super) struct Judge {
    /// Whose values are the answers.
    pub(super) output: ValueId,
    /// Scores of one position.
    classes: usize,
    /// Whether those lie side by side in a row; else scores of one class of all positions do.
    side_by_side: bool,
    /// Whether the network ends in a softmax. Logarithms of its probabilities are scores as good as those before it.
    probabilities: bool,
    temperature: f64,
}

impl Judge {
    /// For the first result of the network.
    pub(super) fn new(bench: &Workbench<'_>, temperature: f64) -> Result<Judge, MethodError> {
        let message = "the network has no result to compare".into();
        let output = bench.graph.outputs.first().copied();
        let output = output.ok_or(MethodError::Needs { step: ID, message })?;
        let shape = bench.types[output.0].as_ref().map_or(&[][..], |ty| &ty.shape);
        // Rows have axis 1 last from rank 3 on: classes of pictures, positions of sequences.
        let (classes, side_by_side) = match shape {
            [_, classes] | [_, classes, _, _, ..] => (*classes, true),
            [_, _, classes] => (*classes, false),
            _ => (shape.iter().skip(1).product(), true),
        };
        let makes = |node: &Node| node.outputs.contains(&output) && matches!(node.op, Op::Softmax(_));
        let probabilities = bench.graph.nodes.iter().any(makes);
        Ok(Judge { output, classes: classes.max(1), side_by_side, probabilities, temperature })
    }

    /// Positions of a row of so many values.
    pub(super) fn positions(&self, row_len: usize) -> usize {
        row_len / self.classes
    }

    /// The scores of a position of a row.
    pub(super) fn scores(&self, row: &[f32], position: usize) -> Vec<f32> {
        let score = |x: f32| if self.probabilities { libm::logf(x.max(LEAST)) } else { x };
        self.places(row.len(), position).map(|at| score(row[at])).collect()
    }

    /// Sets the gradient by a row at the places of a position, given the one by its scores.
    pub(super) fn back(&self, row: &[f32], position: usize, by_scores: Vec<f32>, gradient: &mut [f32]) {
        for (at, g) in self.places(row.len(), position).zip(by_scores) {
            gradient[at] = if self.probabilities { g / row[at].max(LEAST) } else { g };
        }
    }

    /// Where the scores of a position lie in a row, class by class.
    fn places(&self, row_len: usize, position: usize) -> impl Iterator<Item = usize> + use<> {
        let (classes, positions) = (self.classes, self.positions(row_len));
        let side_by_side = self.side_by_side;
        (0..classes).map(
            move |class| {
                if side_by_side { position * classes + class } else { class * positions + position }
            },
        )
    }

    /// The divergence of each sample, summed over positions, in nats.
    pub(super) fn each(&self, float: &Rows, found: &Rows) -> Result<Vec<f64>, MethodError> {
        let len = float.row_len();
        let (mut p, mut q) = (vec![0.0; len], vec![0.0; len]);
        let mut of = |i: usize| -> Result<f64, MethodError> {
            float.read(i..i + 1, &mut p)?;
            found.read(i..i + 1, &mut q)?;
            let at = |position| {
                softened_divergence(&self.scores(&p, position), &self.scores(&q, position), self.temperature)
            };
            Ok((0..self.positions(len)).map(at).sum())
        };
        (0..float.rows()).map(&mut of).collect()
    }
}

/// Divergence of the scores `q` from `p`, both divided by `temperature`.
fn softened_divergence(p: &[f32], q: &[f32], temperature: f64) -> f64 {
    if let ([p], [q]) = (p, q) {
        return 0.5 * (f64::from(p - q) / temperature).powi(2);
    }
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
    use lowbit_engine::Differentiable;
    use lowbit_graph::ops::MatMul;
    use lowbit_graph::{Dim, Graph};
    use lowbit_tensor::{DType, Tensor};

    #[test]
    fn divergence_is_zero_for_equal_answers_whatever_their_offset() {
        assert!(softened_divergence(&[0.5, -1.0, 2.0], &[3.5, 2.0, 5.0], 4.0).abs() < 1e-12);
        // softmax (3/4, 1/4) against (1/2, 1/2).
        let expected = 0.75 * 1.5f64.ln() + 0.25 * 0.5f64.ln();
        assert!((softened_divergence(&[3f32.ln(), 0.0], &[1.0, 1.0], 1.0) - expected).abs() < 1e-6);
    }

    #[test]
    fn one_score_is_the_mean_of_a_normal_distribution() {
        // Two of standard deviation 4, 2 apart.
        assert_eq!(softened_divergence(&[1.0], &[3.0], 4.0), 0.125);
    }

    #[test]
    fn rows_of_sequences_have_positions_last() {
        // Two positions of three values, of which the first and last are kept.
        let mut graph = Graph::default();
        let dims = [Dim::Symbol("N".into()), Dim::Known(2), Dim::Known(3)];
        let x = graph.add_input("x", DType::F32, dims.to_vec());
        let w = graph.add_constant("w", Tensor::from_f32([3, 2], vec![1.0, 0.0, 0.0, 0.0, 0.0, 1.0]));
        let y = graph.add_node("y", MatMul, &[x, w]);
        graph.values[y.0].dtype = Some(DType::F32);
        graph.outputs = vec![y];
        let network = Differentiable::new(&graph, 1, &[]).unwrap();
        let place = |position: usize, value: usize| value * 2 + position;
        let feed = |_, inputs: &mut [&mut [f32]]| {
            for (position, value) in (0..2).flat_map(|p| (0..3).map(move |v| (p, v))) {
                inputs[0][place(position, value)] = (10 * position + value) as f32;
            }
            Ok(())
        };
        let take = |_, outputs: &[&[f32]]| {
            assert_eq!(outputs[0], [0.0, 10.0, 2.0, 12.0]);
            Ok(())
        };
        network.run(1, feed, take).unwrap();
    }

    #[test]
    fn scores_of_a_position_are_found_in_rows_of_either_order() {
        let judge = |side_by_side| Judge {
            output: ValueId(0),
            classes: 3,
            side_by_side,
            probabilities: false,
            temperature: 1.0,
        };
        assert_eq!(judge(true).places(6, 1).collect::<Vec<_>>(), [3, 4, 5]);
        assert_eq!(judge(false).places(6, 1).collect::<Vec<_>>(), [1, 3, 5]);
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
