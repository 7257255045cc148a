//! Additions, products and concatenations of codes.

use super::{Lower, Want};
use crate::Grid;
use crate::ops::{Add, Concat, Mul};
use crate::program::BufferId;
use lowbit_graph::{Op, ValueId};

/// The step of an addition or product (with a clip behind it) or a concatenation that ends in `id`, if all it reads are codes.
pub(super) fn lower(lower: &mut Lower, id: ValueId, want: Want) -> Option<BufferId> {
    let Want::Codes(grid) = want else { return None };
    let (n, node) = lower.producer(id)?;
    let (bounds, sum) = match lower.bounds(n) {
        Some(bounds) => (bounds, node.input(0).filter(|&v| lower.read_once(v))?),
        None => ([f32::NEG_INFINITY, f32::INFINITY], id),
    };
    let (_, node) = lower.producer(sum)?;
    let node = node.clone();
    let inputs: Vec<ValueId> = node.inputs.iter().copied().collect::<Option<_>>()?;
    let grids: Vec<Grid> = inputs.iter().map(|&v| lower.grid(v)).collect::<Option<_>>()?;
    let shape = &lower.ty(sum).shape;
    match (&node.op, inputs.as_slice()) {
        (Op::Add(_), &[a, b]) if [a, b].iter().all(|v| &lower.ty(*v).shape == shape) => {
            let reads = vec![lower.codes(a), lower.codes(b)];
            let y = lower.code_buffer(id, grid)?;
            Some(lower.step(node.name, Add { inputs: [grids[0], grids[1]], bounds }, reads, y))
        }
        (Op::Mul(_), &[a, b]) => {
            let whole = |v: &ValueId| &lower.ty(*v).shape == shape;
            let gate = |v: &ValueId| lower.image(*v).is_some_and(|[c, h, w]| c == shape[1] && h * w == 1);
            // The gate, if one is, is the second.
            let (a, b, grids) = match () {
                () if whole(&a) && (whole(&b) || gate(&b)) => (a, b, [grids[0], grids[1]]),
                () if whole(&b) && gate(&a) => (b, a, [grids[1], grids[0]]),
                () => return None,
            };
            let reads = vec![lower.codes(a), lower.codes(b)];
            let y = lower.code_buffer(id, grid)?;
            Some(lower.step(node.name, Mul { inputs: grids, bounds }, reads, y))
        }
        (Op::Concat(op), _) if bounds[0] == f32::NEG_INFINITY && bounds[1] == f32::INFINITY => {
            let rank = shape.len() as i64;
            let axis = if op.axis < 0 { op.axis + rank } else { op.axis };
            let channels: Vec<usize> = inputs.iter().map(|v| lower.ty(*v).shape[axis as usize]).collect();
            // Along channels only.
            if axis != if lower.image(sum).is_none() { rank - 1 } else { 1 } {
                return None;
            }
            let reads = inputs.iter().map(|&v| lower.codes(v)).collect();
            let y = lower.code_buffer(id, grid)?;
            Some(lower.step(node.name, Concat { inputs: grids, channels }, reads, y))
        }
        _ => None,
    }
}
