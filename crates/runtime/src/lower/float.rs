//! What stays float: nodes for the float engine, neighbours together.

use super::{Left, Lower};
use crate::ops::{Float, Op};
use crate::program::{BufferId, Step};
use lowbit_graph::{Op as GraphOp, ValueId};
use lowbit_tensor::DType;
use std::collections::HashSet;

/// The step of the node that makes `id`, in float.
pub(super) fn lower(lower: &mut Lower, id: ValueId) -> BufferId {
    let (n, node) = lower.producer(id).expect("every value that is needed is made by a node");
    let node = node.clone();
    let is_float =
        |lower: &Lower, id: ValueId| lower.graph.constant(id).is_none() && lower.ty(id).dtype == DType::F32;
    let mut inputs = Vec::new();
    node.inputs.iter().flatten().for_each(|&v| sources(lower, v, &mut inputs));
    let reads: Vec<BufferId> = inputs.into_iter().map(|v| lower.float(v)).collect();
    let made = |&v: &ValueId| lower.types[v.0].is_some() && is_float(lower, v);
    let made: Vec<ValueId> = node.outputs.iter().copied().filter(made).collect();
    let buffer = |v: ValueId| lower.floats.get(&v).copied().unwrap_or_else(|| lower.float_buffer(v));
    let writes: Vec<BufferId> = made.into_iter().map(buffer).collect();
    if !matches!(node.op, GraphOp::Reshape(_) | GraphOp::Flatten(_) | GraphOp::Identity(_)) {
        let reason = lower.reasons.get(&n).cloned();
        let reason = reason.unwrap_or_else(|| "has no integer form between these edges".into());
        lower.left.push(Left { node: node.name.clone(), op: node.op.name().to_owned(), reason });
    }
    lower.steps.push(Step { name: node.name, op: Float.into(), reads, writes });
    lower.floats[&id]
}

/// The float values that `id` is made of: itself, or where it is integers what these come from. Integers have no buffer; the
/// part that needs them makes them.
fn sources(lower: &Lower, id: ValueId, found: &mut Vec<ValueId>) {
    if lower.graph.constant(id).is_some() || found.contains(&id) {
        return;
    }
    match lower.producer(id) {
        Some((_, node)) if lower.ty(id).dtype != DType::F32 => {
            node.inputs.iter().flatten().for_each(|&v| sources(lower, v, found));
        }
        _ => found.push(id),
    }
}

/// Joins float steps that follow each other: the engine fuses and plans better over many nodes.
pub(super) fn merge(steps: &mut Vec<Step>, outputs: &[BufferId]) {
    let mut merged: Vec<Step> = Vec::with_capacity(steps.len());
    for step in steps.drain(..) {
        match merged.last_mut() {
            Some(last) if is_float(&last.op) && is_float(&step.op) => {
                let made: HashSet<BufferId> = last.writes.iter().copied().collect();
                let outside = step.reads.into_iter().filter(|r| !made.contains(r));
                let new: Vec<_> = outside.filter(|r| !last.reads.contains(r)).collect();
                last.reads.extend(new);
                last.writes.extend(step.writes);
            }
            _ => merged.push(step),
        }
    }
    // What only the segment itself reads needs no buffer.
    let read: HashSet<BufferId> = merged.iter().flat_map(|s| s.reads.iter().copied()).collect();
    for step in merged.iter_mut().filter(|s| is_float(&s.op)) {
        step.writes.retain(|w| read.contains(w) || outputs.contains(w));
    }
    *steps = merged;
}

fn is_float(op: &Op) -> bool {
    matches!(op, Op::Float(_))
}
