//! What is decided once all steps are known: additions and levels into the layer before them, and borders.

use super::Lower;
use crate::ops::{Layer, Op};
use crate::program::{BufferId, Content};
use std::collections::HashMap;

/// Moves an addition into the layer that made one of its operands, where nothing else reads that: the layer then rounds to the edge
/// between in registers. The later of two layers takes it.
pub(super) fn residuals(lower: &mut Lower) {
    let readers = readers(lower);
    let mut n = 0;
    while n < lower.steps.len() {
        if let Some((layer, operand)) = fusable(lower, n, &readers) {
            fuse(lower, n, layer, operand);
            lower.steps.remove(layer);
        } else {
            n += 1;
        }
    }
}

/// Lets a layer or table round to the levels that follow it, where nothing else reads the codes between.
pub(super) fn levels(lower: &mut Lower) {
    let readers = readers(lower);
    let mut n = 0;
    while n < lower.steps.len() {
        match rounds(lower, n, &readers) {
            Some((before, op)) => {
                let write = lower.steps.remove(n).writes;
                (lower.steps[before].op, lower.steps[before].writes) = (op, write);
            }
            None => n += 1,
        }
    }
}

/// The step before the rounding to levels at `n` that can do it, and what it then is.
fn rounds(lower: &Lower, n: usize, readers: &HashMap<BufferId, usize>) -> Option<(usize, Op)> {
    let Op::Lookup(lookup) = &lower.steps[n].op else { return None };
    let levels = lookup.levels.as_ref()?;
    let buffer = lower.steps[n].reads[0];
    let before = lower.steps[..n].iter().rposition(|s| s.writes.contains(&buffer))?;
    let op = match &lower.steps[before].op {
        Op::Layer(layer) => Layer { levels: Some(levels.clone()), ..layer.clone() }.into(),
        Op::Lookup(first) => first.then(lookup).into(),
        _ => return None,
    };
    (readers.get(&buffer) == Some(&1)).then_some((before, op))
}

/// How many steps read each buffer.
fn readers(lower: &Lower) -> HashMap<BufferId, usize> {
    let mut readers = HashMap::new();
    lower.steps.iter().flat_map(|s| &s.reads).for_each(|&r| *readers.entry(r).or_default() += 1);
    readers
}

/// The layer that can take the addition at `n`, and which operand it makes.
fn fusable(lower: &Lower, n: usize, readers: &HashMap<BufferId, usize>) -> Option<(usize, usize)> {
    let add = &lower.steps[n];
    let Op::Add(_) = &add.op else { return None };
    let made = |operand: usize| {
        let buffer = add.reads[operand];
        let layer = lower.steps[..n].iter().rposition(|s| s.writes.contains(&buffer))?;
        let Op::Layer(op) = &lower.steps[layer].op else { return None };
        let free =
            readers.get(&buffer) == Some(&1) && op.residual.is_none() && op.inner.is_none() && !op.linear;
        free.then_some((layer, operand))
    };
    made(0).max(made(1))
}

fn fuse(lower: &mut Lower, n: usize, layer: usize, operand: usize) {
    let Op::Layer(op) = lower.steps[layer].op.clone() else { return };
    let Op::Add(add) = lower.steps[n].op.clone() else { return };
    // The edge between, held to what the layer's own clip leaves of it.
    let inner = add.inputs[operand].within(op.bounds);
    let layer_op =
        Layer { inner: Some(inner), residual: Some(add.inputs[1 - operand]), bounds: add.bounds, ..op };
    let reads = vec![lower.steps[layer].reads[0], lower.steps[n].reads[1 - operand]];
    let name = lower.steps[layer].name.clone();
    let step = &mut lower.steps[n];
    (step.name, step.op, step.reads) = (name, layer_op.into(), reads);
}

/// Gives every edge the border that the convolutions reading it need.
pub(super) fn borders(lower: &mut Lower) {
    for step in &lower.steps {
        let Op::Layer(layer) = &step.op else { continue };
        if let Content::Codes { plane, .. } = &mut lower.buffers[step.reads[0].0].content {
            for (side, pad) in plane.border.iter_mut().zip(layer.conv.pads) {
                *side = (*side).max(pad);
            }
        }
    }
}
