//! What the steps are chosen by: how wrong the scores of one sample are.

/// A loss per sample, given the scores before softmax. Means of it are sums in the order of the samples, in f64: the same
/// for any number of threads.
#[derive(Clone, Debug, PartialEq)]
pub enum Loss {
    /// Cross-entropy with the class of each sample, in nats.
    CrossEntropy(Vec<u32>),
    /// Kullback-Leibler divergence from the float network's distribution, in nats, both softened by a temperature.
    Divergence {
        /// Scores are divided by it.
        temperature: f64,
        /// The float network's [`log_probabilities`] at that temperature, `[samples, classes]`.
        float: Vec<f64>,
    },
}

impl Loss {
    /// The loss of sample `i`.
    pub fn of(&self, i: usize, scores: &[f32]) -> f64 {
        match self {
            Loss::CrossEntropy(labels) => {
                let log = log_probabilities(scores, 1.0);
                -log.get(labels[i] as usize).copied().unwrap_or(f64::NAN)
            }
            Loss::Divergence { temperature, float } => {
                let log = log_probabilities(scores, *temperature);
                let float = &float[i * log.len()..(i + 1) * log.len()];
                divergence(float, &log)
            }
        }
    }
}

/// Kullback-Leibler divergence of the second distribution from the first, both as log-probabilities, in nats.
pub fn divergence(float: &[f64], found: &[f64]) -> f64 {
    float.iter().zip(found).map(|(f, q)| libm::exp(*f) * (f - q)).sum()
}

/// Logarithms of the softmax of scores divided by `temperature`.
pub fn log_probabilities(scores: &[f32], temperature: f64) -> Vec<f64> {
    let scores: Vec<f64> = scores.iter().map(|&s| f64::from(s) / temperature).collect();
    let most = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let total: f64 = scores.iter().map(|s| libm::exp(s - most)).sum();
    let norm = most + libm::log(total);
    scores.iter().map(|s| s - norm).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_scores_cost_the_logarithm_of_their_number_and_shifts_cost_nothing() {
        let loss = Loss::CrossEntropy(vec![1, 0]);
        assert!((loss.of(0, &[5.0; 4]) - 4f64.ln()).abs() < 1e-12);
        assert!((loss.of(1, &[1.0, 3.0]) - loss.of(1, &[1001.0, 1003.0])).abs() < 1e-9);
    }

    #[test]
    fn divergence_is_zero_for_the_float_scores_alone() {
        let scores = [0.5, -1.0, 2.0];
        let loss = Loss::Divergence { temperature: 2.0, float: log_probabilities(&scores, 2.0) };
        assert!(loss.of(0, &scores).abs() < 1e-12);
        assert!(loss.of(0, &[0.5, -1.0, 1.9]) > 0.0);
    }

    #[test]
    fn scores_that_are_not_numbers_are_no_loss() {
        let loss = Loss::CrossEntropy(vec![0]);
        assert!(loss.of(0, &[f32::NAN, 1.0]).is_nan() && loss.of(0, &[f32::INFINITY, 1.0]).is_nan());
    }
}
