//! `strategy`: a width and a way of finding codes for each layer and edge, by name: what a search chose, as a step that
//! reproduces it.

use crate::method::{Entry, Method, MethodError};
use crate::observe::Needs;
use crate::plan::Plan;
use crate::search::settings;
use crate::search::space::{Choice, Place, Space};
use crate::strict;
use crate::workbench::Workbench;
use serde::Deserialize;
use std::collections::BTreeMap;

/// Name in recipes and messages.
const ID: &str = "strategy";

pub(super) const ENTRY: Entry = Entry::new::<Strategy>(
    ID,
    "codes by name of layer and edge: what a search chose",
    &[
        (
            "weights",
            "table of layer = \"8 mse symmetric\", \"float\", …; a layer without an entry stays as it is",
        ),
        ("edges", "table of edge = \"4 percentile\", \"float\", …; likewise"),
    ],
);

/// Options.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Strategy {
    /// By layer.
    pub weights: BTreeMap<String, String>,
    /// By edge.
    pub edges: BTreeMap<String, String>,
}

impl Method for Strategy {
    fn refine(&self, mut plan: Plan, bench: &Workbench<'_>) -> Result<Plan, MethodError> {
        let sites = bench.sites;
        let weights: Vec<&str> = sites.weights.iter().map(|s| s.name.as_str()).collect();
        let edges: Vec<&str> = sites.activations.iter().map(|s| s.name.as_str()).collect();
        let mut asked: BTreeMap<Choice, Vec<Place>> = BTreeMap::new();
        for (kind, names, entries) in [("layer", &weights, &self.weights), ("edge", &edges, &self.edges)] {
            for (name, text) in entries {
                let refuse = |message: String| MethodError::Needs { step: ID, message };
                let choice: Choice =
                    text.parse().map_err(|error| refuse(format!("{kind} `{name}`: {error}")))?;
                let places: Vec<usize> = (0..names.len()).filter(|&i| names[i] == name.as_str()).collect();
                if places.is_empty() {
                    let near = strict::nearest(name, names.iter().copied());
                    let near = near.map_or(String::new(), |n| format!("; nearest: `{n}`"));
                    return Err(refuse(format!("there is no {kind} `{name}`{near}")));
                }
                let place = if kind == "layer" { Place::Weight } else { Place::Edge };
                asked.entry(choice).or_default().extend(places.into_iter().map(place));
            }
        }
        for (choice, places) in asked {
            let codes = settings::codes(bench, choice, &|place| places.contains(&place))?;
            for place in places {
                let (setting, found) = match place {
                    Place::Weight(i) => (&mut plan.weights[i], &codes.weights[i]),
                    Place::Edge(i) => (&mut plan.activations[i], &codes.activations[i]),
                };
                *setting = found.clone();
                setting.set_by.push(ID.to_owned());
            }
        }
        Ok(plan)
    }

    fn needs(&self) -> Needs {
        Needs { histogram: true, ..Needs::default() }
    }
}

/// The recipe that comes to a strategy of a space. Embedding tables are no part of one and stay as they are, where recipes would
/// pack them by default.
pub fn recipe(space: &Space, strategy: &[usize], summary: &str, seed: u64) -> String {
    let quoted = |text: &str| toml::Value::String(text.to_owned()).to_string();
    let mut tables = [String::new(), String::new()];
    for (g, gene) in space.genes.iter().enumerate() {
        let table = &mut tables[usize::from(matches!(gene.place, Place::Edge(_)))];
        let choice = space.choice(strategy, g).to_string();
        table.push_str(&format!("{} = {}\n", quoted(&gene.name), quoted(&choice)));
    }
    let [weights, edges] = tables;
    format!(
        "summary = {}\nseed = {seed}\nweights = {{ bits = 8 }}\nactivations = {{ bits = 8 }}\n\
         tables = {{ method = \"none\" }}\n\n[[step]]\nmethod = \"{ID}\"\n\
         [step.weights]\n{weights}[step.edges]\n{edges}",
        quoted(summary)
    )
}
