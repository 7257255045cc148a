//! Blocks as the user wants them: layers named together become one.

use super::arrange::arrange;
use super::flow::Flow;
use super::{Block, BlockKind, Core, layer_name, layers, owners};
use crate::{Graph, NodeId};
use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap};

/// A choice that makes no blocks; nodes go by their [`layer_name`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BlockError {
    /// A layer that was not chosen lies on a way between two that were.
    #[error("`{node}` lies between its layers `{before}` and `{after}` and must be in the same block")]
    Between {
        /// The layer between.
        node: String,
        /// A named node before it.
        before: String,
        /// A named node behind it.
        after: String,
    },
    /// A node is chosen twice.
    #[error("`{0}` is already in another block")]
    Twice(String),
    /// Two blocks each need the other's results.
    #[error("the blocks around `{0}` and `{1}` each read from the other: neither can be first")]
    Entangled(String, String),
}

/// The blocks of a network where each of the `chosen` sets is one block, whatever its structure.
///
/// Nodes without weights between chosen ones belong to the block without being named, as does what follows a layer
/// immediately (its activation), and all of a block in `blocks` whose layers are all chosen. Of other blocks that lose a node,
/// each remaining layer becomes a block of its own.
///
/// # Errors
/// When a layer lies between chosen ones, a node is chosen twice, or blocks cannot be put in order. The index is that of the
/// choice.
pub fn regroup(
    graph: &Graph,
    blocks: &[Block],
    chosen: &[Vec<NodeId>],
) -> Result<Vec<Block>, (usize, BlockError)> {
    let flow = Flow::new(graph);
    let single = layers::layers(graph, &flow, false);
    let mut cores: Vec<Core> = Vec::new();
    let mut taken: BTreeSet<NodeId> = BTreeSet::new();
    for (i, choice) in chosen.iter().enumerate() {
        let nodes = whole(graph, &flow, blocks, &single, choice).map_err(|e| (i, e))?;
        if let Some(twice) = nodes.intersection(&taken).next() {
            return Err((i, BlockError::Twice(name_of(graph, *twice))));
        }
        taken.extend(&nodes);
        let end = nodes.last().copied();
        cores.extend(end.map(|end| Core { kind: BlockKind::Chosen, nodes, end }));
    }
    let choices = cores.len();
    let untouched = blocks.iter().filter(|block| block.nodes.iter().all(|n| !taken.contains(n)));
    let kept: Vec<Core> = untouched
        .filter_map(|block| {
            let nodes: BTreeSet<NodeId> = block.nodes.iter().copied().collect();
            Some(Core { kind: block.kind, end: *nodes.last()?, nodes })
        })
        .collect();
    taken.extend(kept.iter().flat_map(|core| &core.nodes));
    cores.extend(kept);
    cores.extend(single.into_iter().filter(|core| core.nodes.is_disjoint(&taken)));
    let ranks = in_order(graph, &cores).map_err(|(a, b)| {
        let name = |c: usize| name_of(graph, cores[c].first());
        (a.min(b).min(choices.saturating_sub(1)), BlockError::Entangled(name(a), name(b)))
    })?;
    let mut ranked: Vec<(usize, Core)> = ranks.into_iter().zip(cores).collect();
    ranked.sort_by_key(|(rank, _)| *rank);
    Ok(arrange(graph, ranked.into_iter().map(|(_, core)| core).collect()))
}

fn name_of(graph: &Graph, n: NodeId) -> String {
    layer_name(graph, &graph.nodes[n.0]).to_owned()
}

/// A choice with all that belongs to it unnamed.
fn whole(
    graph: &Graph,
    flow: &Flow,
    blocks: &[Block],
    single: &[Core],
    choice: &[NodeId],
) -> Result<BTreeSet<NodeId>, BlockError> {
    let named: BTreeSet<NodeId> = choice.iter().copied().collect();
    let mut nodes = named.clone();
    for layer in single.iter().filter(|core| named.contains(&core.first())) {
        nodes.extend(&layer.nodes);
    }
    for block in blocks {
        let mut heavy = block.nodes.iter().filter(|&&n| flow.is_weighted(n)).peekable();
        if heavy.peek().is_some() && heavy.all(|n| named.contains(n)) {
            nodes.extend(&block.nodes);
        }
    }
    // A named node behind which each node lies, and one before which it does.
    let producers = graph.producers();
    let feeds =
        |n: usize| graph.nodes[n].inputs.iter().flatten().filter_map(|v| producers.get(v)).map(|p| p.0);
    let named = |n: usize| named.contains(&NodeId(n)).then_some(n);
    let mut behind: Vec<Option<usize>> = vec![None; graph.nodes.len()];
    let mut before = behind.clone();
    for n in 0..graph.nodes.len() {
        behind[n] = feeds(n).find_map(|p| named(p).or(behind[p]));
    }
    for n in (0..graph.nodes.len()).rev() {
        let next = named(n).or(before[n]);
        feeds(n).for_each(|p| before[p] = before[p].or(next));
    }
    for n in 0..graph.nodes.len() {
        let (Some(b), Some(a)) = (behind[n], before[n]) else { continue };
        if nodes.insert(NodeId(n)) && flow.is_weighted(NodeId(n)) {
            let [node, before, after] = [n, b, a].map(|n| name_of(graph, NodeId(n)));
            return Err(BlockError::Between { node, before, after });
        }
    }
    Ok(nodes)
}

/// Rank of each core in an order in which every path leads forward; nodes in no core count as cores of their own.
///
/// # Errors
/// Two cores that each lie behind the other.
fn in_order(graph: &Graph, cores: &[Core]) -> Result<Vec<usize>, (usize, usize)> {
    let owners = owners(graph, cores);
    let group = |n: usize| owners[n].unwrap_or(cores.len() + n);
    let mut readers: Vec<BTreeSet<usize>> = vec![BTreeSet::new(); cores.len() + graph.nodes.len()];
    let producers = graph.producers();
    for (n, node) in graph.nodes.iter().enumerate() {
        for p in node.inputs.iter().flatten().filter_map(|v| producers.get(v)) {
            if group(p.0) != group(n) {
                readers[group(p.0)].insert(group(n));
            }
        }
    }
    let mut waiting = vec![0; readers.len()];
    readers.iter().flatten().for_each(|&r| waiting[r] += 1);
    let place = |g: usize| cores.get(g).map_or(g.wrapping_sub(cores.len()), |core| core.first().0);
    let free = (0..readers.len()).filter(|&g| waiting[g] == 0);
    let mut open: BinaryHeap<Reverse<(usize, usize)>> = free.map(|g| Reverse((place(g), g))).collect();
    let mut ranks = vec![usize::MAX; cores.len()];
    let mut done = 0;
    while let Some(Reverse((_, g))) = open.pop() {
        if let Some(rank) = ranks.get_mut(g) {
            *rank = done;
        }
        done += 1;
        for &r in &readers[g] {
            waiting[r] -= 1;
            if waiting[r] == 0 {
                open.push(Reverse((place(r), r)));
            }
        }
    }
    // What waits for ever lies on a circle or behind one: walking back from it comes round.
    let stuck = |g: usize| waiting[g] > 0;
    let Some(start) = (0..cores.len()).find(|&c| stuck(c)) else { return Ok(ranks) };
    let back = |g: usize| (0..readers.len()).find(|&p| stuck(p) && readers[p].contains(&g));
    let mut path = vec![start];
    while let Some(p) = path.last().and_then(|&g| back(g)) {
        if let Some(at) = path.iter().position(|&g| g == p) {
            path.drain(..at);
            break;
        }
        path.push(p);
    }
    let mut on_circle = path.into_iter().filter(|&g| g < cores.len());
    let first = on_circle.next().unwrap_or(start);
    Err((first, on_circle.next().unwrap_or(first)))
}
