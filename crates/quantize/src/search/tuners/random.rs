//! Choices drawn evenly (HAGO, 3.8.2), the default first.

use crate::search::space::Strategy;
use crate::search::tuner::{Problem, Tuner};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

/// So many trials.
#[derive(Clone, Copy, Debug)]
pub struct Random {
    /// How many, the default among them.
    pub trials: usize,
    /// What they are drawn by.
    pub seed: u64,
}

/// A number below `n`; the bias of the remainder is far below any difference it could make.
pub(super) fn draw(rng: &mut ChaCha8Rng, n: usize) -> usize {
    (rng.next_u64() % n.max(1) as u64) as usize
}

/// The strategies of a seed.
pub fn drawn(sizes: &[usize], trials: usize, seed: u64) -> Vec<Strategy> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut all = vec![vec![0; sizes.len()]];
    while all.len() < trials {
        all.push(sizes.iter().map(|&n| draw(&mut rng, n)).collect());
    }
    all
}

impl Tuner for Random {
    fn run<P: Problem>(&self, problem: &mut P) -> Result<(), P::Error> {
        for strategy in drawn(&problem.sizes(), self.trials, self.seed) {
            problem.measure(&[strategy])?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::tuner::testing::Asked;
    use super::*;

    #[test]
    fn a_seed_draws_one_row_of_trials_and_every_choice_comes_up() {
        let run = |seed| {
            let mut asked = Asked::new(&[3, 1, 4], |_| (0.0, 0.0));
            Random { trials: 60, seed }.run(&mut asked).unwrap();
            asked.log
        };
        assert_eq!(run(1), run(1));
        assert_ne!(run(1), run(2));
        assert_eq!(run(1)[0], [0, 0, 0]);
        assert!((0..3).all(|c| run(1).iter().any(|s| s[0] == c)) && run(1).iter().all(|s| s[1] == 0));
    }
}
