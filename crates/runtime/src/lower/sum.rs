//! Additions of real numbers to what a layer gives: networks whose sums stay float, while their layers run on integers.

use super::{Lower, Want};
use crate::ops::Sum;
use crate::program::BufferId;
use lowbit_graph::passes::Group;
use lowbit_graph::{Graph, Op, ValueId};

/// What the layer of a group gives to the group's addition, and the layer as a group of its own.
pub(super) fn summand(graph: &Graph, group: &Group) -> Option<(ValueId, Group)> {
    let (add, residual) = (&graph.nodes[group.add?.0], group.residual?);
    let id = add.inputs.iter().copied().flatten().find(|&input| input != residual)?;
    let alone =
        Group { add: None, residual: None, activation: None, pre_activation: id, output: id, ..*group };
    Some((id, alone))
}

/// The step of an addition (with a clip behind it) that ends in `id` and is given real numbers by a layer on integers.
pub(super) fn lower(lower: &mut Lower, id: ValueId, want: Want) -> Option<BufferId> {
    if !matches!(want, Want::Float) {
        return None;
    }
    let (n, node) = lower.producer(id)?;
    let (bounds, sum) = match lower.bounds(n) {
        Some(bounds) => (bounds, node.input(0).filter(|&v| lower.read_once(v))?),
        None => ([f32::NEG_INFINITY, f32::INFINITY], id),
    };
    let (_, node) = lower.producer(sum)?;
    let node = node.clone();
    let &[Some(a), Some(b)] = node.inputs.as_slice() else { return None };
    let shape = &lower.ty(sum).shape;
    if !matches!(node.op, Op::Add(_)) || [a, b].iter().any(|v| &lower.ty(*v).shape != shape) {
        return None;
    }
    if [a, b].iter().any(|&v| lower.graph.constant(v).is_some()) {
        return None;
    }
    // In a network that is float anyway, the engine fuses more.
    let layer =
        [a, b].into_iter().find(|v| lower.summands.contains_key(v) && !lower.floats.contains_key(v))?;
    let given = super::layer::lower(lower, layer, Want::Float)?;
    let other = lower.float(if layer == a { b } else { a });
    let reads = if layer == a { vec![given, other] } else { vec![other, given] };
    let y = lower.float_buffer(id);
    Some(lower.step(node.name, Sum { bounds }, reads, y))
}
