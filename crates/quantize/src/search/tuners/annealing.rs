//! Simulated annealing (HAGO, 3.8.5): temperature 0.5 to 0.0005, cooled by 0.99, which is 688 steps; each step moves a tenth of
//! the dimensions by up to two choices, and is accepted when it is no worse or with probability exp(−rise / temperature).

use super::random::draw;
use crate::search::tuner::{Problem, Tuner, measure_one};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

const HOT: f64 = 0.5;
const COLD: f64 = 0.0005;
const COOLING: f64 = 0.99;
/// One dimension in so many moves.
const SHARE: usize = 10;

/// So many steps at most.
#[derive(Clone, Copy, Debug)]
pub struct Annealing {
    /// Most trials.
    pub trials: usize,
    /// Seed of the moves.
    pub seed: u64,
}

impl Tuner for Annealing {
    fn run<P: Problem>(&self, problem: &mut P) -> Result<(), P::Error> {
        let sizes = problem.sizes();
        let mut rng = ChaCha8Rng::seed_from_u64(self.seed);
        let mut at = vec![0; sizes.len()];
        let mut rank = measure_one(problem, &at)?.rank;
        let mut temperature = HOT;
        let mut trials = 1;
        // With fewer trials than the full course has steps, it cools faster and ends as cold.
        let steps = (libm::log(COLD / HOT) / libm::log(COOLING)).ceil();
        let cooling = libm::pow(COOLING, (steps / self.trials.max(1) as f64).max(1.0));
        while temperature > COLD && trials < self.trials {
            let mut next = at.clone();
            for _ in 0..sizes.len().div_ceil(SHARE) {
                let dimension = draw(&mut rng, sizes.len());
                let step = draw(&mut rng, 5) as isize - 2;
                let moved = next[dimension].saturating_add_signed(step);
                next[dimension] = moved.min(sizes[dimension] - 1);
            }
            let found = measure_one(problem, &next)?.rank;
            trials += 1;
            let rise = found.0 - rank.0;
            let chance = (rng.next_u64() >> 11) as f64 / (1u64 << 53) as f64;
            if found <= rank || rise > 0.0 && chance < libm::exp(-rise / temperature) {
                (at, rank) = (next, found);
            }
            temperature *= cooling;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::tuner::testing::Asked;
    use super::*;

    #[test]
    fn it_comes_close_to_the_bottom_in_the_published_number_of_steps() {
        let run = |seed| {
            let hole = |s: &[usize]| s.iter().map(|&c| (c as f64 - 3.0).powi(2) / 50.0).sum::<f64>();
            let mut asked = Asked::new(&[6; 12], |s| (hole(s), 0.0));
            Annealing { trials: 10_000, seed }.run(&mut asked).unwrap();
            let best = asked.best();
            (hole(&best), asked.log)
        };
        let (best, log) = run(3);
        assert!(best < 0.2, "{best}");
        assert_eq!(log.len(), 689);
        assert_eq!(log, run(3).1);
    }
}
