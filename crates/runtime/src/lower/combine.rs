//! Additions and concatenations of codes.

use super::{Lower, Want};
use crate::Grid;
use crate::ops::{Add, Concat};
use crate::program::BufferId;
use lowbit_graph::{Op, ValueId};

/// The step of an addition (with a clip behind it) or a concatenation that ends in `id`, if all it reads are codes.
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
        (Op::Concat(op), _) if bounds[0] == f32::NEG_INFINITY && bounds[1] == f32::INFINITY => {
            let rank = shape.len() as i64;
            let axis = if op.axis < 0 { op.axis + rank } else { op.axis };
            let channels: Vec<usize> = inputs.iter().map(|v| lower.ty(*v).shape[axis as usize]).collect();
            // Along channels only.
            if axis != if rank == 3 { 2 } else { 1 } {
                return None;
            }
            let reads = inputs.iter().map(|&v| lower.codes(v)).collect();
            let y = lower.code_buffer(id, grid)?;
            Some(lower.step(node.name, Concat { inputs: grids, channels }, reads, y))
        }
        _ => None,
    }
}
