//! The blocks that reconstruction fits one at a time: as the network's structure says, or as the recipe does.
//!
//! ```toml
//! [blocks]
//! granularity = "layer"       # each weighted layer by itself; default: "block"
//! [[block]]                   # these together, whatever else
//! layers = ["layer1.0.*", "layer1.1.*"]
//! ```

use crate::recipe::Recipe;
use crate::strict::{self, ConfigError};
use lowbit_graph::passes::{self, Block, layer_name};
use lowbit_graph::{Graph, NodeId};
use serde::{Deserialize, Serialize};
use wildmatch::WildMatch;

/// How a network is cut.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Cut {
    /// How fine, where no [`Together`] says otherwise.
    pub granularity: Granularity,
}

/// What is a block.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Granularity {
    /// Each weighted layer ([`passes::layers`]).
    Layer,
    /// What the structure says ([`passes::blocks`]).
    #[default]
    Block,
}

/// Layers that form one block.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Together {
    /// Patterns (`*` stands for any text) for names of nodes, or of layers as [`layer_name`] gives them.
    pub layers: Vec<String>,
}

/// The blocks of a prepared network, in network order: every node is in exactly one.
///
/// # Errors
/// When a `[[block]]` names nothing, something that is already in another, or layers with one between that it does not name.
pub fn of(recipe: &Recipe, graph: &Graph) -> Result<Vec<Block>, ConfigError> {
    let found = match recipe.cut.granularity {
        Granularity::Layer => passes::layers(graph),
        Granularity::Block => passes::blocks(graph),
    };
    if recipe.together.is_empty() {
        return Ok(found);
    }
    let place = |i: usize| format!("{}: block {}", recipe.name, i + 1);
    let chosen = recipe.together.iter().enumerate().map(|(i, together)| {
        matching(together, graph).map_err(|message| ConfigError::Invalid { place: place(i), message })
    });
    let chosen: Vec<Vec<NodeId>> = chosen.collect::<Result<_, _>>()?;
    passes::regroup(graph, &found, &chosen)
        .map_err(|(i, error)| ConfigError::Invalid { place: place(i), message: error.to_string() })
}

/// The nodes that any of the patterns names; a pattern that names none is refused.
fn matching(together: &Together, graph: &Graph) -> Result<Vec<NodeId>, String> {
    let names = || graph.nodes.iter().map(|node| (layer_name(graph, node), node.name.as_str()));
    if together.layers.is_empty() {
        return Err("`layers` is empty; it takes names or patterns of layers".into());
    }
    let mut named = vec![false; graph.nodes.len()];
    for text in &together.layers {
        let pattern = WildMatch::new(text);
        let hits = names().map(|(layer, node)| pattern.matches(layer) || pattern.matches(node));
        let hits: Vec<bool> = hits.collect();
        if !hits.contains(&true) {
            let near = strict::nearest(text, names().map(|(layer, _)| layer));
            let near = near.map_or(String::new(), |name| format!("; nearest: `{name}`"));
            return Err(format!("no layer of `{}` matches `{text}`{near}", graph.name));
        }
        named.iter_mut().zip(hits).for_each(|(named, hit)| *named |= hit);
    }
    Ok((0..named.len()).filter(|&n| named[n]).map(NodeId).collect())
}
