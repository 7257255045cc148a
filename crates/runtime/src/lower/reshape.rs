//! Nodes that pass codes on: the output has the grid of the input.

use super::{Lower, both, pads};
use crate::Grid;
use crate::ops::{Flatten, Map, Max, Take, Window};
use crate::program::BufferId;
use lowbit_graph::ops::PadMode;
use lowbit_graph::{Input, Node, Op, ValueId};
use lowbit_kernels::Pool2d;

/// Whether a node passes codes on to its output `id` in a form that there is a step for.
pub(super) fn passes_codes(lower: &Lower, node: &Node, id: ValueId) -> bool {
    match node.op {
        Op::MaxPool(_) => max_pool(lower, node).is_some(),
        Op::Flatten(_) | Op::Reshape(_) | Op::Squeeze(_) => flattens(lower, node),
        // Defined on codes from zero.
        Op::BitWindow(_) => node.input(0).and_then(|x| lower.grid(x)).is_some_and(|grid| grid.zero == 0),
        _ => take(lower, node, id).is_some(),
    }
}

/// The step of such a node.
pub(super) fn lower(lower: &mut Lower, node: &Node, id: ValueId, grid: Grid) -> BufferId {
    let name = node.name.clone();
    if let Some((root, take)) = taken(lower, id) {
        let x = lower.codes(root);
        let y = lower.code_buffer(id, grid).expect("passes_codes() looked at its shape");
        return lower.step(name, take, vec![x], y);
    }
    let from = node.input(0).expect("checked by its shape rule");
    let x = lower.codes(from);
    let pool = max_pool(lower, node);
    let y = lower.code_buffer(id, grid).expect("passes_codes() looked at its shape");
    match (&node.op, pool) {
        (Op::BitWindow(op), _) => lower.step(name, Window { read: op.read }, vec![x], y),
        (_, Some(pool)) => lower.step(name, Max { pool }, vec![x], y),
        _ => {
            let shape = lower.image_shape(from);
            lower.step(name, Flatten { shape }, vec![x], y)
        }
    }
}

/// What `id` takes by index, and from where, through all nodes that do nothing else.
fn taken(lower: &Lower, id: ValueId) -> Option<(ValueId, Take)> {
    let (_, node) = lower.producer(id)?;
    let here = take(lower, node, id)?;
    let mut root = node.input(0)?;
    // Files round again behind every node; to the same codes, that is nothing.
    while let Some((_, node)) = lower.producer(root)
        && let Some(source) = node.input(0)
        && lower.changes_nothing(&node.op, source)
    {
        root = source;
    }
    match taken(lower, root) {
        Some((first, before)) => Some((first, here.after(&before))),
        None => Some((root, here)),
    }
}

/// The indices that output `id` of a node takes, if it is a slice, a split or padding of an image or row.
fn take(lower: &Lower, node: &Node, id: ValueId) -> Option<Take> {
    let from = &lower.ty(node.input(0)?).shape;
    if !matches!(from.len(), 2 | 4) || !matches!(lower.ty(id).shape.as_slice(), [1, ..]) {
        return None;
    }
    let typed = |id: Option<ValueId>| {
        let input =
            |id| Input { ty: lower.ty(id).clone(), value: lower.graph.constant(id).map(AsRef::as_ref) };
        id.map(input)
    };
    let inputs = || node.inputs.iter().map(|&i| typed(i)).collect::<Vec<_>>();
    let maps: Vec<Map> = match &node.op {
        Op::Slice(op) => {
            let indices = |range: lowbit_graph::ops::StridedRange| {
                (0..range.len).map(|i| range.start.checked_add_signed(i as isize * range.step)).collect()
            };
            op.ranges(&inputs()).ok()?.into_iter().map(indices).collect()
        }
        Op::Pad(op) if op.mode == PadMode::Constant => {
            let zero = |id| lower.graph.constant(id).is_some_and(|t| t.to_f32().iter().all(|&x| x == 0.0));
            if !node.input(2).is_none_or(zero) {
                return None;
            }
            let indices = |(&n, [begin, end]): (&usize, [i64; 2])| {
                let inside = |i: i64| usize::try_from(i).ok().filter(|&i| i < n);
                (-begin..n as i64 + end).map(inside).collect()
            };
            from.iter().zip(op.pads(&inputs()).ok()?).map(indices).collect()
        }
        Op::Split(op) => {
            let rank = from.len() as i64;
            let axis = if op.axis < 0 { op.axis + rank } else { op.axis } as usize;
            let before = node.outputs.iter().take_while(|&&o| o != id);
            let first: usize = before.map(|o| lower.ty(*o).shape[axis]).sum();
            let indices = |(a, &n): (usize, &usize)| {
                if a == axis {
                    (first..first + lower.ty(id).shape[axis]).map(Some).collect()
                } else {
                    (0..n).map(Some).collect()
                }
            };
            from.iter().enumerate().map(indices).collect()
        }
        _ => return None,
    };
    let batch_stays = maps[0].as_slice() == [Some(0)];
    let mut axes = maps.into_iter().skip(1);
    let mut next = || axes.next().unwrap_or_else(|| vec![Some(0)]);
    batch_stays.then(|| Take { maps: [next(), next(), next()] })
}

/// Whether a node makes one row of an image.
fn flattens(lower: &Lower, node: &Node) -> bool {
    let Some(from) = node.input(0).filter(|&id| lower.plane(id).is_some()) else { return false };
    let to = &lower.ty(node.outputs[0]).shape;
    lower.image(from).is_some_and(|[c, h, w]| to.as_slice() == [1, c * h * w])
}

fn max_pool(lower: &Lower, node: &Node) -> Option<Pool2d> {
    let Op::MaxPool(op) = &node.op else { return None };
    let [channels, in_h, in_w] = lower.image(node.input(0)?)?;
    let r = op.resolve(&lower.ty(node.input(0)?).shape).ok()?;
    let pool = Pool2d {
        in_h,
        in_w,
        channels,
        kernel: both(&r.kernel, 1),
        stride: both(&r.strides, 1),
        dilation: both(&r.dilations, 1),
        pads: pads(&r.begins, &r.ends),
        ceil: op.ceil,
    };
    pool.check().is_ok().then_some(pool)
}
