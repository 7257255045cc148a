//! The one trait of methods, and the entry by which a method is found.

use crate::observe::Needs;
use crate::plan::Plan;
use crate::rows::RowsError;
use crate::strict::{self, ConfigError};
use crate::workbench::Workbench;
use lowbit_engine::EngineError;
use serde::de::DeserializeOwned;
use std::fmt::Debug;
use std::io;

/// A step of a recipe: improves the plan, returns untouched what it has no opinion on.
pub trait Method: Debug + Send + Sync {
    /// Returns the plan with this step's choices.
    ///
    /// # Errors
    /// When the step lacks what it needs.
    fn refine(&self, plan: Plan, bench: &Workbench<'_>) -> Result<Plan, MethodError>;

    /// What calibration must measure for this step, beyond extremes and means.
    fn needs(&self) -> Needs {
        Needs::default()
    }
}

/// Why a step could not do its work.
#[derive(Debug, thiserror::Error)]
pub enum MethodError {
    /// A site was left without a code at the end of the recipe.
    #[error("no step chose a code for the {0}; add a step such as `minmax` or `mse` for it")]
    NoCode(String),
    /// Calibration has not seen what the network has.
    #[error("calibration saw {found} edges on {samples} samples; the network has {expected}")]
    NothingSeen {
        /// Edges with statistics.
        found: usize,
        /// Edges to quantize.
        expected: usize,
        /// Samples seen.
        samples: usize,
    },
    /// An edge took infinite values, or none that is a number.
    #[error("edge `{0}` takes values that are not finite on the calibration samples")]
    NotFinite(String),
    /// A step needs what an earlier step did not provide.
    #[error("{step}: {message}")]
    Needs {
        /// The step.
        step: &'static str,
        /// What is missing, and how to provide it.
        message: String,
    },
    /// The network, or a part of it, could not be run.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// A part of the network could not be differentiated.
    #[error(transparent)]
    Gradient(lowbit_engine::GradientError),
    /// What is kept of the samples could not be.
    #[error(transparent)]
    Rows(#[from] RowsError),
    /// What a killed run would resume from could not be saved. The source says where and why.
    #[error(
        "{step}: what was done up to `{place}` could not be saved; what was saved before it is still there"
    )]
    State {
        /// The step.
        step: &'static str,
        /// The part of the network just done.
        place: String,
        /// What the system said.
        source: io::Error,
    },
    /// Fewer samples than the step can learn from.
    #[error(
        "{step}: {found} calibration samples are too few, it needs at least {needed}; raise the limit or give more data"
    )]
    TooFewSamples {
        /// The step.
        step: &'static str,
        /// Samples there are.
        found: usize,
        /// Samples it needs.
        needed: usize,
    },
    /// The step's loss needs labels.
    #[error(
        "{step}: this loss needs labels, and the calibration samples have none; give labelled samples, or choose a loss that \
         compares with the float network"
    )]
    NoLabels {
        /// The step.
        step: &'static str,
    },
    /// The loss stopped being a number.
    #[error(
        "{step}: the loss at `{place}` is no longer a number after {iteration} iterations; the parts before it are \
         unharmed. A smaller learning rate, or more bits for this part, usually helps"
    )]
    NotANumber {
        /// The step.
        step: &'static str,
        /// The part of the network being worked on.
        place: String,
        /// Iterations done there.
        iteration: usize,
    },
}

/// Parses a method's options.
type Parse = fn(&str, toml::Table) -> Result<Box<dyn Method>, ConfigError>;

/// How a method is listed and made.
#[derive(Clone, Copy)]
pub struct Entry {
    /// Name in recipes.
    pub id: &'static str,
    /// One line for people.
    pub summary: &'static str,
    /// Options: name and meaning, with range and default.
    pub options: &'static [(&'static str, &'static str)],
    parse: Parse,
}

impl Entry {
    /// An entry for a method whose options are its fields.
    pub const fn new<M: Method + DeserializeOwned + 'static>(
        id: &'static str,
        summary: &'static str,
        options: &'static [(&'static str, &'static str)],
    ) -> Entry {
        Entry {
            id,
            summary,
            options,
            parse: |place, table| Ok(Box::new(strict::from_table::<M>(place, table)?)),
        }
    }

    /// Makes the method from its options.
    ///
    /// # Errors
    /// On unknown options or values of another kind.
    pub fn parse(&self, place: &str, table: toml::Table) -> Result<Box<dyn Method>, ConfigError> {
        (self.parse)(&format!("{place} ({})", self.id), table)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_say_what_was_found_and_what_to_do() {
        let step = "brecq";
        let place = || "layer1.0".to_owned();
        for (error, said) in [
            (
                MethodError::TooFewSamples { step, found: 8, needed: 32 },
                "brecq: 8 calibration samples are too few, it needs at least 32; raise the limit or give more data",
            ),
            (
                MethodError::NoLabels { step: "lapq" },
                "lapq: this loss needs labels, and the calibration samples have none; give labelled samples, or choose a \
                 loss that compares with the float network",
            ),
            (
                MethodError::NotANumber { step, place: place(), iteration: 310 },
                "brecq: the loss at `layer1.0` is no longer a number after 310 iterations; the parts before it are \
                 unharmed. A smaller learning rate, or more bits for this part, usually helps",
            ),
            (
                MethodError::State { step, place: place(), source: io::ErrorKind::StorageFull.into() },
                "brecq: what was done up to `layer1.0` could not be saved; what was saved before it is still there",
            ),
        ] {
            assert_eq!(error.to_string(), said);
        }
    }
}
