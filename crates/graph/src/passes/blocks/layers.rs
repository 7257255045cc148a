//! The small blocks: weighted layers with what belongs to each, and inverted residuals, which are three in a row.

use super::flow::Flow;
use super::{BlockKind, Core, LARGEST};
use crate::{Graph, Node, NodeId, Op};
use std::collections::{BTreeMap, BTreeSet};

/// Each weighted layer with the functions behind it, in network order; with `gates`, also what computes a factor for each
/// of its channels (squeeze-excite), weights and all.
pub(super) fn layers(graph: &Graph, flow: &Flow, gates: bool) -> Vec<Core> {
    let mut cores: Vec<Core> = Vec::new();
    let mut taken: BTreeSet<NodeId> = BTreeSet::new();
    for n in (0..graph.nodes.len()).map(NodeId).filter(|&n| flow.is_weighted(n)) {
        if taken.contains(&n) {
            continue;
        }
        let mut core = Core { kind: BlockKind::Layer, nodes: BTreeSet::from([n]), end: n };
        grow(graph, flow, &mut core, if gates { LARGEST } else { 0 });
        taken.extend(&core.nodes);
        cores.push(core);
    }
    cores
}

/// Takes in what follows a core and depends on nothing else: elementwise functions, one after the other, also those of
/// several nodes (`x · sigmoid(x)`), and gates of at most so many weights.
pub(super) fn grow(graph: &Graph, flow: &Flow, core: &mut Core, gate_weights: usize) {
    while let Some(next) = flow.meeting(core.end) {
        let Some(region) = flow.region(flow.point(core.end), next, gate_weights) else { break };
        let gate = matches!(graph.nodes[next.0].op, Op::Mul(_))
            && flow.feeds(next).contains(&flow.point(core.end))
            && region.iter().any(|&n| flow.is_weighted(n));
        if !gate && !region.iter().all(|n| follows(graph, core, &graph.nodes[n.0])) {
            break;
        }
        core.nodes.extend(region);
        core.end = next;
    }
}

/// Whether a node belongs to what it reads, rather than to what reads it.
fn follows(graph: &Graph, core: &Core, node: &Node) -> bool {
    match node.op {
        Op::Add(_)
        | Op::Sub(_)
        | Op::Mul(_)
        | Op::Div(_)
        | Op::Pow(_)
        | Op::Sqrt(_)
        | Op::Erf(_)
        | Op::Relu(_)
        | Op::LeakyRelu(_)
        | Op::PRelu(_)
        | Op::Clip(_)
        | Op::HardSwish(_)
        | Op::HardSigmoid(_)
        | Op::Sigmoid(_)
        | Op::Tanh(_)
        | Op::Gelu(_) => true,
        // Of a transformer layer that normalizes last; one that normalizes first has it for the next.
        Op::LayerNormalization(_) => {
            !core.nodes.iter().any(|n| matches!(graph.nodes[n.0].op, Op::LayerNormalization(_)))
        }
        _ => is_affine(node),
    }
}

/// What scales and rounds, but does not bend.
fn is_affine(node: &Node) -> bool {
    matches!(
        node.op,
        Op::BatchNormalization(_)
            | Op::FakeQuantize(_)
            | Op::FakeLevels(_)
            | Op::QuantizeLinear(_)
            | Op::DequantizeLinear(_)
            | Op::Identity(_)
            | Op::Dropout(_)
    )
}

/// Joins the layers of each inverted residual. The last of them is linear, which tells the block from plain separable
/// convolutions; the first is missing where nothing is expanded.
pub(super) fn inverted(graph: &Graph, flow: &Flow, cores: Vec<Core>) -> Vec<Core> {
    let mut by_first: BTreeMap<NodeId, Core> = cores.into_iter().map(|core| (core.first(), core)).collect();
    let depthwise: Vec<NodeId> =
        by_first.keys().copied().filter(|&n| shape_of(graph, n) == Some(Shape::Depthwise)).collect();
    for middle in depthwise {
        let Some((last, between)) = next_layer(graph, flow, by_first[&middle].end) else { continue };
        let linear = by_first.get(&last).is_some_and(|core| {
            core.kind == BlockKind::Layer
                && core.nodes.iter().skip(1).all(|n| is_affine(&graph.nodes[n.0]))
                && matches!(shape_of(graph, last), Some(Shape::Pointwise { .. }))
        });
        if !linear {
            continue;
        }
        let mut parts = vec![between];
        if let Some((first, between)) = expansion(graph, flow, &by_first, middle) {
            parts.extend([between, by_first.remove(&first).map(|core| core.nodes).unwrap_or_default()]);
        }
        let (Some(core), Some(end)) = (by_first.remove(&middle), by_first.remove(&last)) else { continue };
        parts.extend([core.nodes, end.nodes]);
        let nodes = parts.into_iter().flatten().collect();
        let joined = Core { kind: BlockKind::InvertedResidual, nodes, end: end.end };
        by_first.insert(joined.first(), joined);
    }
    by_first.into_values().collect()
}

/// The widening 1×1 convolution with an activation that feeds a depthwise one and nothing else, and what lies between.
fn expansion(
    graph: &Graph,
    flow: &Flow,
    by_first: &BTreeMap<NodeId, Core>,
    middle: NodeId,
) -> Option<(NodeId, BTreeSet<NodeId>)> {
    // The nearest layer before it in the file is almost always it; else there is none.
    let (&first, core) = by_first.range(..middle).next_back()?;
    let widens =
        matches!(shape_of(graph, first), Some(Shape::Pointwise { inputs, outputs }) if outputs > inputs);
    let bends = core.nodes.iter().skip(1).any(|n| !is_affine(&graph.nodes[n.0]));
    let (next, between) = next_layer(graph, flow, core.end)?;
    (core.kind == BlockKind::Layer && widens && bends && next == middle).then_some((first, between))
}

/// The one layer that reads a node, and the padding between, if any.
fn next_layer(graph: &Graph, flow: &Flow, end: NodeId) -> Option<(NodeId, BTreeSet<NodeId>)> {
    let mut next = flow.meeting(end)?;
    if matches!(graph.nodes[next.0].op, Op::Pad(_)) {
        next = flow.meeting(next)?;
    }
    let mut between = flow.region(flow.point(end), next, 1)?;
    between.remove(&next);
    let padding = between.iter().all(|n| matches!(graph.nodes[n.0].op, Op::Pad(_)));
    (flow.is_weighted(next) && padding).then_some((next, between))
}

#[derive(PartialEq)]
enum Shape {
    /// Each channel by itself.
    Depthwise,
    /// All channels of one cell.
    Pointwise { inputs: usize, outputs: usize },
}

fn shape_of(graph: &Graph, n: NodeId) -> Option<Shape> {
    let node = &graph.nodes[n.0];
    let Op::Conv(conv) = &node.op else { return None };
    match graph.constant_input(node, 1)?.shape() {
        [_, 1, ..] if conv.group > 1 => Some(Shape::Depthwise),
        &[outputs, inputs, ref kernel @ ..] if conv.group == 1 && kernel.iter().all(|&k| k == 1) => {
            Some(Shape::Pointwise { inputs, outputs })
        }
        _ => None,
    }
}
