//! From choices to a plan: what each choice makes of a site, worked out once.

use super::space::{Choice, Place, Space};
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
    plans: Mutex<HashMap<(Kind, Choice), Arc<Plan>>>,
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
        let plan = self.everywhere(Kind::of(place), choice)?;
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

    /// The plan in which every site of a kind has this choice.
    fn everywhere(&self, kind: Kind, choice: Choice) -> Result<Arc<Plan>, MethodError> {
        let lock = || self.plans.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(plan) = lock().get(&(kind, choice)) {
            return Ok(Arc::clone(plan));
        }
        let plan = Arc::new(codes(self.bench, choice, &|place| Kind::of(place) == kind)?);
        lock().insert((kind, choice), Arc::clone(&plan));
        Ok(plan)
    }
}

/// Weights and edges are chosen apart: what one is asked for says nothing of the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Kind {
    Weights,
    Edges,
}

impl Kind {
    fn of(place: Place) -> Kind {
        match place {
            Place::Weight(_) => Kind::Weights,
            Place::Edge(_) => Kind::Edges,
        }
    }
}

/// The plan in which the places asked for have this choice and all others stay float.
///
/// # Errors
/// When calibration does not tell.
pub(crate) fn codes(
    bench: &Workbench<'_>,
    choice: Choice,
    wanted: &dyn Fn(Place) -> bool,
) -> Result<Plan, MethodError> {
    let Workbench { graph, sites, target, .. } = *bench;
    let Choice::Codes { bits, clip, symmetric } = choice else {
        let float = |n: usize| vec![Setting::default(); n];
        let (weights, activations) = (float(sites.weights.len()), float(sites.activations.len()));
        return Ok(Plan { weights, activations, ..Plan::default() });
    };
    let step = clip.name();
    let text = format!(
        "[weights]\nbits = {bits}\n[activations]\nbits = {bits}\nother_bits = {bits}\nsymmetric = {symmetric}\n\
         [[step]]\nmethod = \"{step}\"\n"
    );
    let config = |error: ConfigError| MethodError::Needs { step: "strategy", message: error.to_string() };
    let recipe = Recipe::parse("strategy", &text).map_err(config)?;
    let mut plan = recipe.start(graph, sites, target).map_err(config)?;
    let leave = |settings: &mut [Setting], place: &dyn Fn(usize) -> Place| {
        for (i, setting) in settings.iter_mut().enumerate() {
            if !wanted(place(i)) {
                *setting = Setting::default();
            }
        }
    };
    leave(&mut plan.weights, &Place::Weight);
    leave(&mut plan.activations, &Place::Edge);
    recipe.steps[0].refine(plan, &Workbench { recipe: &recipe, ..*bench })
}
