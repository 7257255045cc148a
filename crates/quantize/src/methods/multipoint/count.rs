//! How many points each channel gets: until its output error is small, or as many as a budget of bits buys.
//!
//! The error of the weights falls with every point, that of the output need not; so both look further than the next
//! point, and never keep a point that made things worse.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

/// A channel that may get more points.
#[derive(Clone, Debug)]
pub struct Candidate {
    /// Output error with 1, 2, … points, in a unit that all channels share.
    pub errors: Vec<f64>,
    /// Bits that each point beyond the first takes.
    pub bits: usize,
}

/// Points of a channel with output errors `errors` (with 1, 2, … points): they are added while the error is above
/// `most`, and of the numbers tried the one of least error is kept, the smallest of equals. At least 1.
pub fn until(errors: &[f64], most: f64) -> usize {
    let enough = errors.iter().position(|e| *e <= most).unwrap_or(errors.len().saturating_sub(1));
    best_of(&errors[..(enough + 1).min(errors.len())]) + 1
}

/// Index of the least error, the first of equals.
fn best_of(errors: &[f64]) -> usize {
    (1..errors.len()).fold(0, |best, i| if errors[i] < errors[best] { i } else { best })
}

/// Points of each channel, where all further points together may take `budget` bits: always the step of most error
/// reduction per bit next, of those that the rest of the budget still pays.
pub fn within(candidates: &[Candidate], mut budget: usize) -> Vec<usize> {
    let mut points = vec![1; candidates.len()];
    let step = |channel: usize, from: usize, budget: usize| Step::best(candidates, channel, from, budget);
    let mut queue: BinaryHeap<Step> =
        (0..candidates.len()).filter_map(|channel| step(channel, 1, budget)).collect();
    while let Some(next) = queue.pop() {
        let Candidate { bits, .. } = candidates[next.channel];
        let cost = (next.to - points[next.channel]) * bits;
        if cost <= budget {
            budget -= cost;
            points[next.channel] = next.to;
        }
        // Also where the step was too large for what is left: a shorter one may not be.
        queue.extend(step(next.channel, points[next.channel], budget));
    }
    points
}

/// From the points that a channel has to `to` points.
#[derive(Debug)]
struct Step {
    channel: usize,
    to: usize,
    /// Error reduction per bit.
    gain: f64,
}

impl Step {
    /// The step of `channel` from `from` points that gains most per bit and costs at most `budget`; `None` if
    /// none gains.
    fn best(candidates: &[Candidate], channel: usize, from: usize, budget: usize) -> Option<Step> {
        let Candidate { errors, bits } = &candidates[channel];
        let bits = (*bits).max(1);
        let affordable = (from + 1..=errors.len()).take(budget / bits);
        let steps = affordable.map(|to| {
            let gain = (errors[from - 1] - errors[to - 1]) / ((to - from) * bits) as f64;
            Step { channel, to, gain }
        });
        steps.filter(|step| step.gain > 0.0).max_by(|a, b| a.gain.total_cmp(&b.gain).then(b.to.cmp(&a.to)))
    }
}

impl Ord for Step {
    fn cmp(&self, other: &Step) -> Ordering {
        // Of equal gains the first channel comes first, so that the order does not depend on the queue.
        self.gain.total_cmp(&other.gain).then(other.channel.cmp(&self.channel)).then(other.to.cmp(&self.to))
    }
}

impl PartialOrd for Step {
    fn partial_cmp(&self, other: &Step) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Step {
    fn eq(&self, other: &Step) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Step {}

#[cfg(test)]
mod tests {
    use super::*;

    /// Output errors of the worked example, channels A, B, C at 2 and 3 bits.
    const TWO_BITS: [&[f64]; 3] =
        [&[7.342e-2, 1.717e-2, 1.597e-3, 5.377e-5], &[1.289e-3, 2.612e-5, 0.0], &[0.0]];
    const THREE_BITS: [&[f64]; 3] =
        [&[8.803e-3, 1.117e-4, 4.628e-6], &[2.931e-5, 7.932e-7, 2.356e-9], &[0.0]];

    fn candidate(errors: &[f64], bits: usize) -> Candidate {
        Candidate { errors: errors.to_vec(), bits }
    }

    #[test]
    fn points_until_the_threshold_of_the_worked_example() {
        let thresholds = [1e-1, 1e-2, 1e-3, 1e-4];
        let counts = |errors: &[f64]| thresholds.map(|most| until(errors, most));
        assert_eq!(TWO_BITS.map(counts), [[1, 3, 4, 4], [1, 1, 2, 2], [1; 4]]);
        assert_eq!(THREE_BITS.map(counts), [[1, 1, 2, 3], [1; 4], [1; 4]]);
        let extra: usize = TWO_BITS.iter().map(|e| until(e, 1e-2) - 1).sum();
        assert_eq!(extra, 2);
    }

    #[test]
    fn a_lower_threshold_never_takes_points_away() {
        let errors = [0.5, 0.2, 0.3, 0.1, 0.4];
        let counts: Vec<usize> = (0..=60).map(|i| until(&errors, f64::from(i) / 100.0)).collect();
        assert!(counts.is_sorted_by(|a, b| a >= b), "{counts:?}");
        assert_eq!((counts[0], counts[60]), (4, 1));
        assert_eq!((until(&[], 0.0), until(&[1.0, 1.0], 0.0)), (1, 1));
    }

    #[test]
    fn a_budget_buys_the_points_that_reduce_most_per_bit() {
        let channels = [candidate(&[9.0, 1.0], 10), candidate(&[9.0, 4.0], 5), candidate(&[1.0, 0.5], 1)];
        assert_eq!(within(&channels, 0), [1, 1, 1]);
        assert_eq!(within(&channels, 5), [1, 2, 1]);
        assert_eq!(within(&channels, 6), [1, 2, 2]);
        // Ten bits go to the second channel first; the first no longer fits, the third does.
        assert_eq!(within(&channels, 14), [1, 2, 2]);
        assert_eq!(within(&channels, 16), [2, 2, 2]);
    }

    #[test]
    fn a_point_that_only_helps_with_the_next_is_bought_with_it_or_not_at_all() {
        let channels = [candidate(&[4.0, 5.0, 1.0], 10)];
        assert_eq!((within(&channels, 19), within(&channels, 20)), (vec![1], vec![3]));
        assert_eq!(within(&[candidate(&[4.0, 5.0, 6.0], 1)], 100), [1]);
    }

    #[test]
    fn a_larger_budget_never_leaves_more_error() {
        let errors = |seed: usize| -> Vec<f64> { (0..4).map(|n| ((seed * 7 + n * 5) % 11) as f64).collect() };
        let channels: Vec<Candidate> = (0..9).map(|i| candidate(&errors(i), 3)).collect();
        let left = |budget: usize| -> f64 {
            within(&channels, budget).iter().zip(&channels).map(|(n, c)| c.errors[n - 1]).sum()
        };
        let all: Vec<f64> = (0..80).step_by(3).map(left).collect();
        assert!(all.is_sorted_by(|a, b| a >= b), "{all:?}");
    }
}
