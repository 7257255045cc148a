//! The default strategy alone: all limits (HAGO, 3.8.1).

use crate::search::tuner::{Problem, Tuner, measure_one};

/// One trial.
#[derive(Clone, Copy, Debug)]
pub struct Fixed;

impl Tuner for Fixed {
    fn run<P: Problem>(&self, problem: &mut P) -> Result<(), P::Error> {
        let strategy = vec![0; problem.sizes().len()];
        measure_one(problem, &strategy).map(drop)
    }
}
