//! Residual blocks: what lies between a fork and the addition in which its ways meet again.

use super::flow::Flow;
use super::layers::grow;
use super::{BlockKind, Core, LARGEST, owners};
use crate::{Graph, NodeId, Op};
use std::collections::{BTreeMap, BTreeSet};

/// Joins the cores inside each residual block, in network order.
pub(super) fn residual(graph: &Graph, flow: &Flow, cores: Vec<Core>) -> Vec<Core> {
    let mut owners = owners(graph, &cores);
    let mut cores: BTreeMap<usize, Core> = cores.into_iter().enumerate().collect();
    // Fork of each residual core.
    let mut forks: BTreeMap<usize, usize> = BTreeMap::new();
    let additions = (0..graph.nodes.len())
        .map(NodeId)
        .filter(|&n| matches!(graph.nodes[n.0].op, Op::Add(_)) && flow.feeds(n).len() > 1);
    for (i, addition) in additions.enumerate() {
        let Some(fork) = flow.fork(addition).filter(|_| owners[addition.0].is_none()) else { continue };
        let Some(nodes) = flow.region(fork, addition, LARGEST) else { continue };
        let inside: BTreeSet<usize> = nodes.iter().filter_map(|n| owners[n.0]).collect();
        // A chain of additions over ways from one fork is one block; anything else that is complete stays as it is.
        let joins =
            |c: &usize| cores[c].nodes.is_subset(&nodes) && forks.get(c).is_none_or(|&other| other == fork);
        if inside.is_empty() || !inside.iter().all(joins) {
            continue;
        }
        let kind = kind(graph, flow, &nodes, inside.iter().map(|c| &cores[c]));
        let mut core = Core { kind, nodes, end: addition };
        grow(graph, flow, &mut core, 0);
        for c in &inside {
            cores.remove(c);
        }
        let id = owners.len() + i;
        core.nodes.iter().for_each(|n| owners[n.0] = Some(id));
        forks.insert(id, fork);
        cores.insert(id, core);
    }
    let mut cores: Vec<Core> = cores.into_values().collect();
    cores.sort_by_key(Core::first);
    cores
}

fn kind<'a>(
    graph: &Graph,
    flow: &Flow,
    nodes: &BTreeSet<NodeId>,
    mut inside: impl Iterator<Item = &'a Core>,
) -> BlockKind {
    let ops = || nodes.iter().map(|&n| (n, &graph.nodes[n.0].op));
    let product = |op: &Op| matches!(op, Op::MatMul(_) | Op::Gemm(_));
    let mut weights = ops().filter(|&(n, _)| flow.is_weighted(n));
    match inside.next() {
        Some(core) if core.kind == BlockKind::InvertedResidual && inside.next().is_none() => core.kind,
        // A product of two edges.
        _ if ops().any(|(n, op)| product(op) && !flow.is_weighted(n)) => BlockKind::Attention,
        _ if weights.all(|(_, op)| product(op)) => BlockKind::FeedForward,
        _ => BlockKind::Residual,
    }
}
