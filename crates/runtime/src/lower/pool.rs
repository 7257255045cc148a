//! Averages over windows and over whole images.

use super::{Lower, Want, both, pads};
use crate::ops::Average;
use crate::program::BufferId;
use lowbit_graph::{Input, Op, ValueId};
use lowbit_kernels::Pool2d;

/// The step of an average that ends in `id`, if it reads codes.
pub(super) fn lower(lower: &mut Lower, id: ValueId, want: Want) -> Option<BufferId> {
    let Want::Codes(grid) = want else { return None };
    let (_, node) = lower.producer(id)?;
    let node = node.clone();
    let x = node.input(0)?;
    let input = lower.grid(x)?;
    let [c, h, w] = lower.image(x)?;
    let pool = match &node.op {
        Op::GlobalAveragePool(_) => whole([h, w, c]),
        Op::ReduceMean(op) => {
            let typed = |id: Option<ValueId>| {
                id.map(|id| Input {
                    ty: lower.ty(id).clone(),
                    value: lower.graph.constant(id).map(AsRef::as_ref),
                })
            };
            let inputs: Vec<_> = node.inputs.iter().map(|&i| typed(i)).collect();
            let reduced = op.reduced(&inputs).ok()?;
            let spatial = matches!(&reduced[..], [false, false, rest @ ..] if rest.iter().all(|&r| r));
            spatial.then(|| whole([h, w, c]))?
        }
        Op::AveragePool(op) => {
            let r = op.resolve(&lower.ty(x).shape).ok()?;
            Pool2d {
                in_h: h,
                in_w: w,
                channels: c,
                kernel: both(&r.kernel, 1),
                stride: both(&r.strides, 1),
                dilation: both(&r.dilations, 1),
                pads: pads(&r.begins, &r.ends),
                ceil: op.ceil,
            }
        }
        _ => return None,
    };
    let count_pad = matches!(&node.op, Op::AveragePool(op) if op.count_include_pad);
    let reads = vec![lower.codes(x)];
    let y = lower.code_buffer(id, grid)?;
    Some(lower.step(node.name, Average { pool, input, count_pad }, reads, y))
}

/// One window over an image.
fn whole([in_h, in_w, channels]: [usize; 3]) -> Pool2d {
    Pool2d {
        in_h,
        in_w,
        channels,
        kernel: [in_h, in_w],
        stride: [1; 2],
        dilation: [1; 2],
        pads: [0; 4],
        ceil: false,
    }
}
