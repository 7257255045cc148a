//! `inspect`: what a network is made of, and where fewer bits are possible.

use std::collections::BTreeMap;

use anyhow::Result;
use lowbit_graph::passes::{self, Block, layer_name, weight_of};
use lowbit_graph::{Node, NodeId, ValueId};
use lowbit_quantize::describe::{layers_with_sites, macs};
use lowbit_quantize::{Target, site};

use super::load::{self, Loaded};
use super::tables;
use crate::blame::{Blame, Given};
use crate::facade::DEFAULT_TARGET;
use crate::{BlockInspection, Inspection, LayerInspection, ModelSource, OpCount};

pub(crate) fn inspect(model: &ModelSource) -> Result<Inspection> {
    let network = load::network(model)?;
    let (graph, types) = (&network.graph, &network.types);
    let sites = site::find(graph, types, &Target::named(DEFAULT_TARGET)?);
    let with_sites = layers_with_sites(graph, &sites);
    let packable = tables::of(graph);
    let own = |node: &Node| Some(node.outputs[0]) == network.integers;
    let nodes = graph.nodes.iter().enumerate().filter(|(_, node)| !own(node));
    let layers = nodes.map(|(n, node)| {
        let own = with_sites.iter().find(|l| l.node == Some(NodeId(n)));
        let kinds = [
            own.and_then(|l| l.weight).map(|_| "weight"),
            own.and_then(|l| l.activation).map(|_| "activation"),
            tables::picks_rows(node, &packable).then_some("table"),
        ];
        LayerInspection {
            name: node.name.clone(),
            op: node.op.name().to_owned(),
            output_shape: sample_shape(&network, node.outputs[0]),
            parameters: parameters(&network, NodeId(n)),
            macs: macs(graph, types, NodeId(n)),
            sites: kinds.into_iter().flatten().collect::<Vec<_>>().join(", "),
            kept_float: sites
                .kept_float
                .iter()
                .find(|k| k.node == node.name && !tables::picks_rows(node, &packable))
                .map(|k| k.reason.clone()),
        }
    });
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for node in graph.nodes.iter().filter(|node| !own(node)) {
        *counts.entry(node.op.name()).or_default() += 1;
    }
    let mut ops: Vec<OpCount> =
        counts.into_iter().map(|(op, count)| OpCount { op: op.to_owned(), count }).collect();
    ops.sort_by_key(|o| std::cmp::Reverse(o.count));
    let blocks = passes::blocks(graph).iter().map(|found| block(&network, found)).collect();
    Ok(Inspection { model: network.summary(model), layers: layers.collect(), blocks, ops })
}

pub(crate) fn input_shape(model: &ModelSource) -> Result<Vec<usize>> {
    load::network(model)?.sample_shape().blame(Given::Model)
}

fn block(network: &Loaded, block: &Block) -> BlockInspection {
    let (graph, nodes) = (&network.graph, || block.nodes.iter().map(|n| &network.graph.nodes[n.0]));
    let weighted = nodes().filter(|node| weight_of(graph, node).is_some());
    let shapes = |ids: &[ValueId]| ids.iter().map(|&id| sample_shape(network, id)).collect();
    BlockInspection {
        name: block.name.clone(),
        kind: block.kind.name().to_owned(),
        layers: weighted.map(|node| layer_name(graph, node).to_owned()).collect(),
        nodes: nodes().map(|node| node.name.clone()).collect(),
        parameters: block.nodes.iter().map(|&n| parameters(network, n)).sum(),
        macs: block.nodes.iter().map(|&n| macs(graph, &network.types, n)).sum(),
        input_shapes: shapes(&block.inputs),
        output_shapes: shapes(&block.outputs),
    }
}

/// Float constants that a node reads, in elements.
fn parameters(network: &Loaded, n: NodeId) -> u64 {
    let inputs = network.graph.nodes[n.0].inputs.iter().flatten();
    let constants = inputs.filter_map(|&v| network.graph.constant(v));
    constants.filter(|t| t.dtype().is_float()).map(|t| t.len() as u64).sum()
}

/// Without the batch axis.
fn sample_shape(network: &Loaded, id: ValueId) -> Vec<usize> {
    network.types[id.0].as_ref().map_or(Vec::new(), |ty| ty.shape.iter().skip(1).copied().collect())
}
