//! What training makes small: cross-entropy with smoothed labels, and the distance from a teacher's scores.

use lowbit_kernels::loss::{cross_entropy, cross_entropy_towards};
use serde::{Deserialize, Serialize};

/// The parts of the loss.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Loss {
    /// Share of the label that goes to all classes alike, from 0 up to 1.
    pub label_smoothing: f32,
    /// Weight of the teacher's scores, 0 to 1; the labels have the rest.
    pub distillation: f32,
    /// The teacher's and the network's scores are divided by it; the gradient is multiplied by its square.
    pub temperature: f32,
}

impl Default for Loss {
    fn default() -> Loss {
        Loss { label_smoothing: 0.0, distillation: 0.0, temperature: 4.0 }
    }
}

impl Loss {
    /// Loss of one sample; writes `factor` times its gradient with respect to the scores. `teacher` holds the scores of
    /// the float network where distillation has a weight.
    ///
    /// `(1 - d)·CE(label) + d·T²·KL(softmax(teacher/T) ‖ softmax(scores/T))` (Hinton et al. 2015).
    pub fn of(
        &self,
        scores: &[f32],
        label: usize,
        teacher: Option<&[f32]>,
        factor: f32,
        gradient: &mut [f32],
    ) -> f64 {
        let (n, smoothing) = (scores.len(), self.label_smoothing);
        let Some(teacher) = teacher else {
            return cross_entropy(n, scores, &[label], smoothing, factor, gradient);
        };
        let (d, t) = (self.distillation, self.temperature);
        let labels = cross_entropy(n, scores, &[label], smoothing, factor * (1.0 - d), gradient);
        let soft = |scores: &[f32]| -> Vec<f32> { scores.iter().map(|s| s / t).collect() };
        // The gradient of a cross-entropy towards zeros is the softmax itself.
        let mut taught = vec![0.0; n];
        cross_entropy_towards(n, &soft(teacher), &vec![0.0; n], 1.0, &mut taught);
        let mut slope = vec![0.0; n];
        let towards = cross_entropy_towards(n, &soft(scores), &taught, factor * d * t, &mut slope);
        gradient.iter_mut().zip(slope).for_each(|(g, s)| *g += s);
        let entropy: f64 =
            taught.iter().map(|&p| f64::from(p)).filter(|p| *p > 0.0).map(|p| -p * libm::log(p)).sum();
        f64::from(1.0 - d) * labels + f64::from(d * t * t) * (towards - entropy)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gradients_are_finite_differences() {
        let scores = [0.3f32, -1.2, 2.0, 0.5];
        let teacher = [1.0, 0.2, 1.5, -0.7];
        let all = [
            (Loss::default(), None),
            (Loss { label_smoothing: 0.1, ..Loss::default() }, None),
            (Loss { label_smoothing: 0.1, distillation: 0.7, temperature: 2.0 }, Some(&teacher[..])),
        ];
        for (loss, teacher) in all {
            let mut gradient = [0.0; 4];
            loss.of(&scores, 2, teacher, 1.0, &mut gradient);
            for k in 0..4 {
                let at = |d: f32| {
                    let mut moved = scores;
                    moved[k] += d;
                    loss.of(&moved, 2, teacher, 1.0, &mut [0.0; 4])
                };
                let difference = (at(1e-2) - at(-1e-2)) / 2e-2;
                assert!((difference - f64::from(gradient[k])).abs() < 1e-3, "{k}: {difference} {gradient:?}");
            }
        }
    }

    #[test]
    fn a_sure_and_right_answer_costs_nothing() {
        let mut gradient = [0.0; 2];
        assert!(Loss::default().of(&[40.0, 0.0], 0, None, 1.0, &mut gradient) < 1e-6);
        let even = Loss::default().of(&[0.0, 0.0], 0, None, 1.0, &mut gradient);
        assert!((even - 2f64.ln()).abs() < 1e-6 && gradient == [-0.5, 0.5]);
    }
}
