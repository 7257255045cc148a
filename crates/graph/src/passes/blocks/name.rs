//! Names of blocks, from those of their layers.

use crate::{Graph, Node, NodeId, Role, ValueId};
use std::collections::HashMap;

/// The name by which people know a layer: that of its module, where the weight tells it (`layer1.0.conv1.weight`), as some
/// exporters number the nodes; else the node's.
pub fn layer_name<'a>(graph: &'a Graph, node: &'a Node) -> &'a str {
    let weight = weight_of(graph, node).map_or("", |v| graph.value(v).name.as_str());
    match weight.find(".weight") {
        Some(end) if end > 0 => &weight[..end],
        _ => &node.name,
    }
}

/// The constant that a node multiplies by, if it is a layer with a weight.
pub fn weight_of(graph: &Graph, node: &Node) -> Option<ValueId> {
    let mut inputs = node.inputs.iter().enumerate().filter_map(|(i, v)| Some((i, (*v)?)));
    let weight =
        inputs.find(|&(i, v)| matches!(node.op.role(i), Role::Weight { .. }) && graph.constant(v).is_some());
    weight.map(|(_, v)| v)
}

/// A name for each block: the path that its layers share; where there is none, or another block has it too, the first
/// layer's.
pub(super) fn names(graph: &Graph, blocks: &[Vec<NodeId>]) -> Vec<String> {
    let layers = |nodes: &Vec<NodeId>| -> Vec<&str> {
        let nodes = nodes.iter().map(|n| &graph.nodes[n.0]);
        let heavy = nodes.clone().filter(|n| weight_of(graph, n).is_some());
        let names: Vec<&str> = heavy.map(|n| layer_name(graph, n)).collect();
        if names.is_empty() { nodes.take(1).map(|n| n.name.as_str()).collect() } else { names }
    };
    let layers: Vec<Vec<&str>> = blocks.iter().map(layers).collect();
    let shared: Vec<&str> = layers.iter().map(|names| shared_path(names)).collect();
    let mut uses: HashMap<&str, usize> = HashMap::new();
    shared.iter().for_each(|&name| *uses.entry(name).or_default() += 1);
    let chosen = layers.iter().zip(&shared).map(|(layers, &shared)| match shared {
        "" => layers.first().copied().unwrap_or_default(),
        path if uses[path] > 1 => layers.first().copied().unwrap_or(path),
        path => path,
    });
    // Shared weights give one name to several layers.
    let mut taken: HashMap<String, usize> = HashMap::new();
    let mut names = Vec::with_capacity(blocks.len());
    for name in chosen {
        let mut unique = name.to_owned();
        while let Some(times) = taken.get_mut(&unique) {
            *times += 1;
            unique = format!("{name}#{times}");
        }
        taken.insert(unique.clone(), 1);
        names.push(unique);
    }
    names
}

/// The longest beginning that all names share, up to a `.` or `/`.
fn shared_path<'a>(names: &[&'a str]) -> &'a str {
    let Some((&first, rest)) = names.split_first() else { return "" };
    let ends = |name: &str, at: usize| name.len() == at || name[at..].starts_with(['.', '/']);
    let mut cuts: Vec<usize> = first.match_indices(['.', '/']).map(|(at, _)| at).collect();
    cuts.push(first.len());
    let shares = |&at: &usize| rest.iter().all(|name| name.starts_with(&first[..at]) && ends(name, at));
    cuts.into_iter().rev().find(shares).map_or("", |at| &first[..at])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shared_path_ends_between_its_parts() {
        for (names, shared) in [
            (&["layer1.0.conv1", "layer1.0.conv2"][..], "layer1.0"),
            (&["/f/block/conv1/Conv", "/f/block/conv2/Conv"], "/f/block"),
            (&["layer1.0.conv1", "layer1.10.conv1"], "layer1"),
            (&["/Conv_3", "/Conv_6"], ""),
            (&["fc"], "fc"),
        ] {
            assert_eq!(shared_path(names), shared);
        }
    }
}
