//! Dimension by dimension, the best of all its choices (HAGO, 3.8.4): a batch can be measured at once.

use crate::search::space::Strategy;
use crate::search::tuner::{Problem, Tuner};

/// The batched greedy tuner.
#[derive(Clone, Copy, Debug)]
pub struct Batched;

impl Tuner for Batched {
    fn run<P: Problem>(&self, problem: &mut P) -> Result<(), P::Error> {
        let sizes = problem.sizes();
        let mut decided = vec![0; sizes.len()];
        for dimension in 0..sizes.len() {
            let of = |choice: usize| -> Strategy {
                let mut strategy = decided.clone();
                strategy[dimension] = choice;
                strategy
            };
            let batch: Vec<Strategy> = (0..sizes[dimension]).map(of).collect();
            let scores = problem.measure(&batch)?;
            let best = scores.iter().enumerate().min_by_key(|(_, score)| score.rank);
            decided[dimension] = best.map_or(0, |(choice, _)| choice);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::tuner::testing::Asked;
    use super::*;

    #[test]
    fn every_choice_of_a_dimension_is_seen() {
        // Not down a slope: 2 is worse than 0 and 1, and 3 is best.
        let loss = |s: &[usize]| [3.0, 2.0, 4.0, 1.0][s[0]] + if s[1] == 1 { 0.0 } else { 1.0 };
        let mut asked = Asked::new(&[4, 2], |s| (loss(s), 0.0));
        Batched.run(&mut asked).unwrap();
        assert_eq!((asked.best(), asked.log.len()), (vec![3, 1], 6));
    }
}
