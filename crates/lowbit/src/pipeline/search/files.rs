//! Trials as files: the one that is chosen, made by the recipe that will reproduce it, and those that are shown beside it.

use anyhow::{Result, anyhow};
use lowbit_quantize::lower::Flavour;
use lowbit_quantize::methods::strategy;
use lowbit_quantize::plan::Plan;
use lowbit_quantize::recipe::Recipe;
use lowbit_quantize::run::Run;
use lowbit_quantize::search::settings::Settings;
use lowbit_quantize::search::space::Space;
use lowbit_quantize::search::{Strategy, Trial};
use lowbit_tensor::Tensor;

use super::super::plan::{Calibrated, Origin};
use crate::facade::Goal;
use crate::render::units;

/// A network as a file, and the recipe that makes it.
pub(super) struct Made {
    pub(super) recipe: String,
    pub(super) bytes: Vec<u8>,
}

/// What files are made from.
pub(super) struct Maker<'a> {
    pub(super) calibrated: Calibrated<'a>,
    pub(super) space: &'a Space,
    pub(super) lent: &'a Run<'a>,
    pub(super) flavour: Flavour,
    pub(super) preprocess_toml: &'a str,
    /// Samples on which what is written must answer as what was simulated.
    pub(super) check: &'a Tensor,
}

impl Maker<'_> {
    /// As `lowbit quantize` does with the recipe.
    pub(super) fn make(&self, strategy: &Strategy, summary: &str) -> Result<Made> {
        let recipe = self.recipe(strategy, summary)?;
        let plan = self.calibrated.plan(&recipe, self.lent)?;
        self.write(plan, recipe)
    }

    /// The same by codes that the search knows already: for the recipe, each would be found again.
    pub(super) fn make_known(
        &self,
        strategy: &Strategy,
        summary: &str,
        settings: &Settings<'_>,
    ) -> Result<Made> {
        self.write(settings.plan(self.space, strategy)?, self.recipe(strategy, summary)?)
    }

    fn recipe(&self, strategy: &Strategy, summary: &str) -> Result<Recipe> {
        Ok(Recipe::parse("searched", &strategy::recipe(self.space, strategy, summary, self.lent.seed))?)
    }

    fn write(&self, plan: Plan, recipe: Recipe) -> Result<Made> {
        let Maker { flavour, preprocess_toml, .. } = *self;
        let origin = Origin { recipe: &recipe, flavour, seed: self.lent.seed, effort: None, preprocess_toml };
        let bytes = self.calibrated.write(plan, &origin, self.check)?.bytes;
        Ok(Made { recipe: recipe.text, bytes })
    }

    /// The first of the trials at the places `order` whose file keeps to the goal, by its place. Bytes are predicted; what counts
    /// is the file.
    pub(super) fn first(
        &self,
        trials: &[Trial],
        order: &[usize],
        goal: Goal,
        summary: &str,
    ) -> Result<(usize, Made)> {
        let most = match goal {
            Goal::Size(bytes) => bytes,
            _ => u64::MAX,
        };
        let mut smallest = u64::MAX;
        for &i in order {
            let made = self.make(&trials[i].strategy, summary)?;
            let bytes = made.bytes.len() as u64;
            if bytes <= most {
                return Ok((i, made));
            }
            smallest = smallest.min(bytes);
        }
        Err(anyhow!("no file fits {}: the nearest found has {}", units::bytes(most), units::bytes(smallest)))
    }
}
