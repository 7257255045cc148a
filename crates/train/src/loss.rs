//! What training makes small: cross-entropy with smoothed labels, and the distance from a teacher's scores.

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
    pub fn of(
        &self,
        scores: &[f32],
        label: usize,
        teacher: Option<&[f32]>,
        factor: f32,
        gradient: &mut [f32],
    ) -> f64 {
        let n = scores.len() as f32;
        let log = log_softmax(scores, 1.0);
        let smooth = self.label_smoothing;
        let target = |k: usize| f32::from(u8::from(k == label)) * (1.0 - smooth) + smooth / n;
        let own = if teacher.is_some() { 1.0 - self.distillation } else { 1.0 };
        let mut loss = 0.0;
        for (k, (g, log)) in gradient.iter_mut().zip(&log).enumerate() {
            loss -= f64::from(target(k) * own) * f64::from(*log);
            *g = factor * own * (libm::expf(*log) - target(k));
        }
        if let Some(teacher) = teacher.filter(|_| self.distillation > 0.0) {
            let t = self.temperature;
            let (taught, found) = (log_softmax(teacher, t), log_softmax(scores, t));
            for ((g, taught), found) in gradient.iter_mut().zip(&taught).zip(&found) {
                let p = libm::expf(*taught);
                loss += f64::from(self.distillation * t * t * p * (taught - found));
                *g += factor * self.distillation * t * (libm::expf(*found) - p);
            }
        }
        loss
    }
}

/// Logarithms of the softmax of `scores / temperature`.
fn log_softmax(scores: &[f32], temperature: f32) -> Vec<f32> {
    let largest = scores.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let moved: Vec<f32> = scores.iter().map(|s| (s - largest) / temperature).collect();
    let sum: f64 = moved.iter().map(|&s| libm::exp(f64::from(s))).sum();
    moved.into_iter().map(|s| s - libm::log(sum) as f32).collect()
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
