//! Shares out the nodes that are in no core, and writes the blocks down.

use super::{Block, BlockKind, Core, name, owners};
use crate::{Graph, Node, NodeId, ValueId};
use std::collections::HashSet;

/// The blocks around cores given in network order, by which every path between two of them leads forward.
///
/// A node in no core goes to the first block that reads it. All its readers are that block or later ones, and what it reads
/// is no later: paths still lead forward. One that no block reads goes to the last block that it reads.
pub(super) fn arrange(graph: &Graph, mut cores: Vec<Core>) -> Vec<Block> {
    if cores.is_empty() && !graph.nodes.is_empty() {
        cores.push(Core { kind: BlockKind::Layer, nodes: [NodeId(0)].into(), end: NodeId(0) });
    }
    let mut owner = owners(graph, &cores);
    let producer = producers(graph);
    let feeds =
        |node: &Node| -> Vec<usize> { node.inputs.iter().flatten().filter_map(|v| producer[v.0]).collect() };
    let mut first_reader = vec![usize::MAX; graph.nodes.len()];
    for (n, node) in graph.nodes.iter().enumerate().rev() {
        let block = *owner[n].get_or_insert(first_reader[n]);
        feeds(node).into_iter().for_each(|p| first_reader[p] = first_reader[p].min(block));
    }
    let mut block_of: Vec<usize> = Vec::with_capacity(graph.nodes.len());
    for (node, owner) in graph.nodes.iter().zip(owner) {
        let last_read = feeds(node).into_iter().map(|p| block_of[p]).max().unwrap_or(0);
        block_of.push(owner.filter(|&b| b != usize::MAX).unwrap_or(last_read));
    }
    let mut nodes = vec![Vec::new(); cores.len()];
    block_of.iter().enumerate().for_each(|(n, &b)| nodes[b].push(NodeId(n)));
    let names = name::names(graph, &nodes);
    let edges = Edges::new(graph, &producer, &block_of, cores.len());
    let parts = cores.into_iter().zip(names).zip(nodes).zip(edges.inputs.into_iter().zip(edges.outputs));
    parts
        .map(|(((core, name), nodes), (inputs, outputs))| Block {
            name,
            kind: core.kind,
            nodes,
            inputs,
            outputs,
        })
        .collect()
}

/// Node that computes each value, by value; constants have none.
fn producers(graph: &Graph) -> Vec<Option<usize>> {
    let mut producer = vec![None; graph.values.len()];
    for (n, node) in graph.nodes.iter().enumerate() {
        node.outputs.iter().filter(|&&o| graph.constant(o).is_none()).for_each(|o| producer[o.0] = Some(n));
    }
    producer
}

/// Edges into and out of each block.
struct Edges {
    inputs: Vec<Vec<ValueId>>,
    outputs: Vec<Vec<ValueId>>,
}

impl Edges {
    fn new(graph: &Graph, producer: &[Option<usize>], block_of: &[usize], blocks: usize) -> Edges {
        let mut edges = Edges { inputs: vec![Vec::new(); blocks], outputs: vec![Vec::new(); blocks] };
        let mut seen = HashSet::new();
        let mut read_outside: HashSet<ValueId> = graph.outputs.iter().copied().collect();
        for (node, &block) in graph.nodes.iter().zip(block_of) {
            for &value in node.inputs.iter().flatten().filter(|&&v| graph.constant(v).is_none()) {
                if producer[value.0].is_none_or(|p| block_of[p] != block) {
                    read_outside.insert(value);
                    if seen.insert((block, value)) {
                        edges.inputs[block].push(value);
                    }
                }
            }
        }
        for (node, &block) in graph.nodes.iter().zip(block_of) {
            edges.outputs[block].extend(node.outputs.iter().filter(|o| read_outside.contains(o)));
        }
        edges
    }
}
