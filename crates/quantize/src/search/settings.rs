//! From choices to a plan: what each choice makes of a site, worked out once.

use super::space::{Choice, Clip, Place, Space};
use crate::bias;
use crate::method::MethodError;
use crate::plan::{Plan, Setting};
use crate::recipe::Recipe;
use crate::strict::ConfigError;
use crate::workbench::Workbench;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

/// The codes of every site for every choice asked for so far.
pub struct Settings<'a> {
    bench: &'a Workbench<'a>,
    plans: Mutex<HashMap<Choice, Arc<Plan>>>,
}

impl<'a> Settings<'a> {
    /// None yet.
    pub fn new(bench: &'a Workbench<'a>) -> Settings<'a> {
        Settings { bench, plans: Mutex::default() }
    }

    /// What a choice makes of a site.
    ///
    /// # Errors
    /// When calibration does not tell.
    pub fn of(&self, place: Place, choice: Choice) -> Result<Setting, MethodError> {
        if choice == Choice::Float {
            return Ok(Setting::default());
        }
        let plan = self.everywhere(choice)?;
        Ok(match place {
            Place::Weight(i) => plan.weights[i].clone(),
            Place::Edge(i) => plan.activations[i].clone(),
        })
    }

    /// The plan of a strategy.
    ///
    /// # Errors
    /// As [`Settings::of`].
    pub fn plan(&self, space: &Space, strategy: &[usize]) -> Result<Plan, MethodError> {
        self.with(space.genes.iter().enumerate().map(|(g, gene)| (gene.place, space.choice(strategy, g))))
    }

    /// The plan with these choices; sites without one stay float.
    ///
    /// # Errors
    /// As [`Settings::of`].
    pub fn with(&self, choices: impl Iterator<Item = (Place, Choice)>) -> Result<Plan, MethodError> {
        let sites = self.bench.sites;
        let mut plan = Plan {
            weights: vec![Setting::default(); sites.weights.len()],
            activations: vec![Setting::default(); sites.activations.len()],
            ..Plan::default()
        };
        for (place, choice) in choices {
            let setting = self.of(place, choice)?;
            match place {
                Place::Weight(i) => plan.weights[i] = setting,
                Place::Edge(i) => plan.activations[i] = setting,
            }
        }
        plan.follow(sites);
        bias::make_room(self.bench.graph, sites, &mut plan);
        Ok(plan)
    }

    /// The plan in which every site has this choice.
    fn everywhere(&self, choice: Choice) -> Result<Arc<Plan>, MethodError> {
        let lock = || self.plans.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(plan) = lock().get(&choice) {
            return Ok(Arc::clone(plan));
        }
        let Choice::Codes { bits, clip, symmetric } = choice else { unreachable!("float has no codes") };
        let step = match clip {
            Clip::Mse => "mse",
            Clip::Minmax => "minmax",
            Clip::Percentile => "percentile",
        };
        let text = format!(
            "[weights]\nbits = {bits}\n[activations]\nbits = {bits}\nother_bits = {bits}\nsymmetric = {symmetric}\n\
             [[step]]\nmethod = \"{step}\"\n"
        );
        let config = |error: ConfigError| MethodError::Needs { step: "strategy", message: error.to_string() };
        let recipe = Recipe::parse("strategy", &text).map_err(config)?;
        let Workbench { graph, sites, target, .. } = *self.bench;
        let plan = recipe.start(graph, sites, target).map_err(config)?;
        let bench = Workbench { recipe: &recipe, ..*self.bench };
        let plan = Arc::new(recipe.steps[0].refine(plan, &bench)?);
        lock().insert(choice, Arc::clone(&plan));
        Ok(plan)
    }
}
