//! What a tuner is, and what it is told.

use super::space::Strategy;
use std::cmp::Ordering;

/// How good a strategy is for what is wanted: less is better, the first number before the second.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rank(pub f64, pub f64);

impl Eq for Rank {}

impl PartialOrd for Rank {
    fn partial_cmp(&self, other: &Rank) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Rank {
    fn cmp(&self, other: &Rank) -> Ordering {
        self.0.total_cmp(&other.0).then(self.1.total_cmp(&other.1))
    }
}

/// What strategies are made of, and how one is measured. A strategy that was measured before costs nothing.
pub trait Problem {
    /// Why a measurement failed.
    type Error;

    /// Number of choices of each dimension; choice 0 is the default.
    fn sizes(&self) -> Vec<usize>;

    /// Measures strategies, all of them together.
    ///
    /// # Errors
    /// When one cannot be measured, or the search is to stop.
    fn measure(&mut self, strategies: &[Strategy]) -> Result<Vec<Score>, Self::Error>;

    /// What the strategy takes: bytes or nanoseconds, whatever is to be saved.
    fn cost(&self, strategy: &Strategy) -> f64;
}

/// What a measurement says to a tuner.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Score {
    /// How good it is for what is wanted.
    pub rank: Rank,
    /// How far the answers are from those of the float network; 0 is none.
    pub loss: f64,
}

/// A way of walking through a space.
pub trait Tuner {
    /// Walks; what was measured is the result.
    ///
    /// # Errors
    /// Those of measuring.
    fn run<P: Problem>(&self, problem: &mut P) -> Result<(), P::Error>;
}

/// Measures one strategy.
///
/// # Errors
/// Those of measuring.
pub fn measure_one<P: Problem>(problem: &mut P, strategy: &Strategy) -> Result<Score, P::Error> {
    Ok(problem.measure(std::slice::from_ref(strategy))?[0])
}

/// The problems that tuners are tested on.
#[cfg(test)]
pub(super) mod testing {
    use super::*;

    /// A table of ranks, with a log of what was asked for.
    pub(crate) struct Asked<F> {
        pub(crate) sizes: Vec<usize>,
        pub(crate) rank: F,
        pub(crate) log: Vec<Strategy>,
    }

    impl<F: Fn(&[usize]) -> (f64, f64)> Asked<F> {
        pub(crate) fn new(sizes: &[usize], rank: F) -> Asked<F> {
            Asked { sizes: sizes.to_vec(), rank, log: Vec::new() }
        }

        pub(crate) fn best(&self) -> Strategy {
            let rank = |s: &Strategy| {
                let (a, b) = (self.rank)(s.as_slice());
                Rank(a, b)
            };
            self.log.iter().min_by_key(|s| rank(s)).unwrap().clone()
        }
    }

    impl<F: Fn(&[usize]) -> (f64, f64)> Problem for Asked<F> {
        type Error = ();

        fn sizes(&self) -> Vec<usize> {
            self.sizes.clone()
        }

        fn measure(&mut self, strategies: &[Strategy]) -> Result<Vec<Score>, ()> {
            self.log.extend(strategies.iter().cloned());
            let score = |s: &Strategy| {
                let (loss, tie) = (self.rank)(s.as_slice());
                Score { rank: Rank(loss, tie), loss }
            };
            Ok(strategies.iter().map(score).collect())
        }

        fn cost(&self, strategy: &Strategy) -> f64 {
            (self.rank)(strategy.as_slice()).1
        }
    }
}
