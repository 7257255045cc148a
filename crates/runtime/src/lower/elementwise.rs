//! Functions of one number each, between two edges: a table of 256 codes.
//!
//! Whatever is computed from one coded edge element by element, however many nodes it takes, is a function of its
//! code. The float engine computes it once for every code.

use super::{Lower, Want};
use crate::Grid;
use crate::ops::Lookup;
use crate::program::BufferId;
use lowbit_engine::evaluate;
use lowbit_graph::{Op, ValueId};
use lowbit_tensor::Tensor;

/// Nodes looked at for one table.
const DEPTH: usize = 16;

/// The table that leads to `id`, if it is such a function of one coded edge.
pub(super) fn lower(lower: &mut Lower, id: ValueId, want: Want) -> Option<BufferId> {
    let Want::Codes(grid) = want else { return None };
    let source = source(lower, id, DEPTH)?;
    let from = lower.grid(source)?;
    let values: Vec<f32> = (0..=255).map(|code| from.decode(code)).collect();
    let values = values_of(lower, id, source, &Tensor::from_f32([1, 1, 1, 256], values))?;
    let table: Vec<u8> = values.to_f32().iter().map(|&x| grid.encode(x)).collect();
    let table = <[u8; 256]>::try_from(table).ok()?;
    let x = lower.codes(source);
    let y = lower.code_buffer(id, grid)?;
    let name = lower.graph.value(id).name.clone();
    Some(lower.step(name, Lookup { table: Box::new(table), levels: None }, vec![x], y))
}

/// The one coded edge that a value is an elementwise function of.
fn source(lower: &Lower, id: ValueId, depth: usize) -> Option<ValueId> {
    if lower.grid(id).is_some() {
        return Some(id);
    }
    let (_, node) = lower.producer(id)?;
    if depth == 0 || !is_elementwise(&node.op) {
        return None;
    }
    let mut found = None;
    for input in node.inputs.iter().flatten() {
        if let Some(constant) = lower.graph.constant(*input) {
            if constant.len() != 1 {
                return None;
            }
            continue;
        }
        let here = root(lower, source(lower, *input, depth - 1)?);
        if found.is_some_and(|other| other != here) {
            return None;
        }
        found = Some(here);
    }
    found.filter(|&v| lower.ty(v).shape == lower.ty(id).shape)
}

/// A rounding of another coded edge's function is a function of that edge itself: `x·sigmoid(x)` with an edge between
/// has two coded edges, and one is made from the other.
fn root(lower: &Lower, id: ValueId) -> ValueId {
    let Some((_, node)) = lower.producer(id) else { return id };
    let rounds = matches!(node.op, Op::FakeQuantize(_) | Op::FakeLevels(_));
    let Some(input) = node.input(0).filter(|_| rounds) else { return id };
    match lower.producer(input) {
        Some((_, node)) if is_elementwise(&node.op) && node.inputs.iter().flatten().count() == 1 => {
            source(lower, input, DEPTH / 2).unwrap_or(id)
        }
        _ => id,
    }
}

/// A value for every code of `source`.
fn values_of(lower: &Lower, id: ValueId, source: ValueId, codes: &Tensor) -> Option<Tensor> {
    if id == source {
        return Some(codes.clone());
    }
    if let Some(constant) = lower.graph.constant(id) {
        return Some(constant.as_ref().clone());
    }
    let (_, node) = lower.producer(id)?;
    let inputs: Vec<Option<Tensor>> = node
        .inputs
        .iter()
        .map(|input| match input {
            None => Some(None),
            Some(input) => values_of(lower, *input, source, codes).map(Some),
        })
        .collect::<Option<_>>()?;
    let borrowed: Vec<Option<&Tensor>> = inputs.iter().map(Option::as_ref).collect();
    evaluate(&node.op, &borrowed).ok()?.into_iter().next()
}

fn is_elementwise(op: &Op) -> bool {
    matches!(
        op,
        Op::Relu(_)
            | Op::Clip(_)
            | Op::LeakyRelu(_)
            | Op::HardSwish(_)
            | Op::HardSigmoid(_)
            | Op::Sigmoid(_)
            | Op::Tanh(_)
            | Op::Gelu(_)
            | Op::Erf(_)
            | Op::Sqrt(_)
            | Op::Add(_)
            | Op::Sub(_)
            | Op::Mul(_)
            | Op::Div(_)
            | Op::Pow(_)
    ) || Grid::of_rounding(op).is_some()
}
