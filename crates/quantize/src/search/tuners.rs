//! The tuners: one file each, and this list.

pub mod annealing;
pub mod batched;
pub mod fixed;
pub mod genetic;
pub mod greedy;
pub mod random;
pub mod sensitivity;

use super::tuner::{Problem, Tuner};
use crate::strict::{self, ConfigError};

/// A tuner by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the list below says what they are")]
pub enum Kind {
    Default,
    Random,
    Greedy,
    Batched,
    Annealing,
    Sensitivity,
    Genetic,
}

/// Every tuner: its name, and a line for people.
pub const ALL: &[(&str, Kind, &str)] = &[
    ("sensitivity", Kind::Sensitivity, "each choice alone, then the path of most saved per loss (default)"),
    ("genetic", Kind::Genetic, "each choice alone, then a genetic search over the sums for a row of limits"),
    ("greedy", Kind::Greedy, "dimension by dimension, down while it gets no worse"),
    ("batched", Kind::Batched, "dimension by dimension, the best of all its choices"),
    ("annealing", Kind::Annealing, "steps of a tenth of the dimensions, accepted ever more strictly"),
    ("random", Kind::Random, "choices drawn at random"),
    ("default", Kind::Default, "the widest choices alone"),
];

impl Kind {
    /// The tuner of that name.
    ///
    /// # Errors
    /// When there is none.
    pub fn named(name: &str) -> Result<Kind, ConfigError> {
        let names = ALL.iter().map(|(n, _, _)| *n);
        let found = ALL.iter().find(|(n, _, _)| *n == name);
        found.map(|(_, kind, _)| *kind).ok_or_else(|| strict::unknown("tuner", name, names))
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        ALL.iter().find(|(_, kind, _)| *kind == self).map_or("", |(name, _, _)| name)
    }

    /// Whether its first trials do not depend on one another, so that shards may share them.
    pub fn spreads(self) -> bool {
        matches!(self, Kind::Sensitivity | Kind::Genetic | Kind::Random | Kind::Default)
    }

    /// Walks through a space; `trials` bounds what would not end by itself.
    ///
    /// # Errors
    /// Those of measuring.
    pub fn run<P: Problem>(self, problem: &mut P, trials: usize, seed: u64) -> Result<(), P::Error> {
        match self {
            Kind::Default => fixed::Fixed.run(problem),
            Kind::Random => random::Random { trials, seed }.run(problem),
            Kind::Greedy => greedy::Greedy.run(problem),
            Kind::Batched => batched::Batched.run(problem),
            Kind::Annealing => annealing::Annealing { trials, seed }.run(problem),
            Kind::Sensitivity => sensitivity::Sensitivity { trials }.run(problem),
            Kind::Genetic => genetic::Genetic { trials, seed }.run(problem),
        }
    }

    /// The trials that do not depend on one another, in order.
    pub fn independent<P: Problem>(self, problem: &P, trials: usize, seed: u64) -> Vec<super::Strategy> {
        let sizes = problem.sizes();
        match self {
            Kind::Random => random::drawn(&sizes, trials, seed),
            Kind::Sensitivity | Kind::Genetic => sensitivity::alone(&sizes),
            _ => vec![vec![0; sizes.len()]],
        }
    }
}
