//! What a long-running method is lent beyond the network: the samples themselves, a place to cache, how much to try,
//! someone to tell how far it is, and what an earlier, killed run left.

use crate::rows::{Budget, Rows};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::io;
use std::sync::Arc;

/// The surroundings of a run. [`Run::quiet`] is one without any.
#[derive(Clone)]
pub struct Run<'a> {
    /// The calibration samples, where a step [needs](crate::observe::Needs::samples) them.
    pub samples: Option<&'a Samples>,
    /// Memory for caches.
    pub budget: Arc<Budget>,
    /// Seed of everything random. A method mixes its place in the network into it, never the number of threads.
    pub seed: u64,
    /// How long to try.
    pub effort: Effort,
    /// Who is told.
    pub watch: &'a dyn Watch,
    /// What a killed run resumes from.
    pub state: &'a dyn State,
}

impl Run<'_> {
    /// Without samples, unlimited memory, seed 0, balanced effort, nobody listening and nothing kept; for tests.
    pub fn quiet() -> Run<'static> {
        Run {
            samples: None,
            budget: Budget::unlimited(),
            seed: 0,
            effort: Effort::default(),
            watch: &Quiet,
            state: &Quiet,
        }
    }
}

impl fmt::Debug for Run<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Run")
            .field("samples", &self.samples)
            .field("budget", &self.budget)
            .field("seed", &self.seed)
            .field("effort", &self.effort)
            .finish_non_exhaustive()
    }
}

/// Calibration samples as the network takes them.
#[derive(Debug)]
pub struct Samples {
    /// One row per sample: network input 0 without its batch axis, row-major.
    pub inputs: Rows,
    /// Shape of one sample.
    pub shape: Vec<usize>,
    /// Class of each sample, below the number of classes; `None` where the data has none that fit the network.
    pub labels: Option<Vec<u32>>,
}

impl Samples {
    /// Number of samples.
    pub fn len(&self) -> usize {
        self.inputs.rows()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// How long methods that improve step by step go on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Effort {
    /// To see whether it works at all.
    Fast,
    /// Until further steps gain little.
    #[default]
    Balanced,
    /// As long as the papers do.
    Best,
}

impl Effort {
    /// Every effort, least first.
    pub const ALL: [Effort; 3] = [Effort::Fast, Effort::Balanced, Effort::Best];

    /// Its name in recipes, reports and on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Effort::Fast => "fast",
            Effort::Balanced => "balanced",
            Effort::Best => "best",
        }
    }
}

/// Who is told how far a method is. Called from any thread.
pub trait Watch: Sync {
    /// A stage begins, such as ``brecq `layer1.0` ``; `total` counts the steps to come where they are known.
    fn stage(&self, name: &str, total: Option<u64>);

    /// `steps` more of the current stage are done.
    fn advance(&self, steps: u64);

    /// A fact for the report: a choice made and why, what was resumed.
    fn note(&self, text: String);
}

/// What a killed run left, and where this one leaves the same. Keys are chosen by methods and begin with the step, such
/// as `brecq/layer1.0`; values are whatever bytes the method can go on from to the same result.
pub trait State: Sync {
    /// What was last saved under `key`.
    fn load(&self, key: &str) -> Option<Vec<u8>>;

    /// Saves `value` so that it outlives the process.
    ///
    /// # Errors
    /// When it cannot be written; what was saved before is still there.
    fn save(&self, key: &str, value: &[u8]) -> io::Result<()>;
}

/// Listens to nothing and keeps nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct Quiet;

impl Watch for Quiet {
    fn stage(&self, _name: &str, _total: Option<u64>) {}
    fn advance(&self, _steps: u64) {}
    fn note(&self, _text: String) {}
}

impl State for Quiet {
    fn load(&self, _key: &str) -> Option<Vec<u8>> {
        None
    }

    fn save(&self, _key: &str, _value: &[u8]) -> io::Result<()> {
        Ok(())
    }
}
