//! `inspect`: what a network is made of, and where fewer bits are possible.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Result;
use lowbit_graph::NodeId;
use lowbit_quantize::describe::{layers_with_sites, macs};
use lowbit_quantize::{Target, site};

use super::load;
use crate::facade::DEFAULT_TARGET;
use crate::{Inspection, LayerInspection, OpCount};

pub(crate) fn inspect(path: &Path) -> Result<Inspection> {
    let network = load::network(path)?;
    let (graph, types) = (&network.graph, &network.types);
    let sites = site::find(graph, types, &Target::named(DEFAULT_TARGET)?);
    let with_sites = layers_with_sites(graph, &sites);
    let layers = graph.nodes.iter().enumerate().map(|(n, node)| {
        let own = with_sites.iter().find(|l| l.node == Some(NodeId(n)));
        let kinds = [
            own.and_then(|l| l.weight).map(|_| "weight"),
            own.and_then(|l| l.activation).map(|_| "activation"),
        ];
        let parameters = node.inputs.iter().flatten().filter_map(|&v| graph.constant(v));
        let shape = types[node.outputs[0].0].as_ref().map_or(&[][..], |t| &t.shape);
        LayerInspection {
            name: node.name.clone(),
            op: node.op.name().to_owned(),
            output_shape: shape.iter().skip(1).copied().collect(),
            parameters: parameters.filter(|t| t.dtype().is_float()).map(|t| t.len() as u64).sum(),
            macs: macs(graph, types, NodeId(n)),
            sites: kinds.into_iter().flatten().collect::<Vec<_>>().join(", "),
            kept_float: sites.kept_float.iter().find(|k| k.node == node.name).map(|k| k.reason.clone()),
        }
    });
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for node in &graph.nodes {
        *counts.entry(node.op.name()).or_default() += 1;
    }
    let mut ops: Vec<OpCount> =
        counts.into_iter().map(|(op, count)| OpCount { op: op.to_owned(), count }).collect();
    ops.sort_by_key(|o| std::cmp::Reverse(o.count));
    Ok(Inspection { model: network.summary(path), layers: layers.collect(), ops })
}
