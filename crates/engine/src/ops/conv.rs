//! `Conv`.

use super::support::{from_f64, infer, required};
use crate::EvalError;
use lowbit_graph::ops::Conv;
use lowbit_tensor::Tensor;

pub(super) fn reference(op: &Conv, inputs: &[Option<&Tensor>]) -> Result<Vec<Tensor>, EvalError> {
    let ty = infer(op, inputs)?.remove(0);
    let (x, w) = (required(inputs, 0, "X")?, required(inputs, 1, "W")?);
    let bias = inputs.get(2).copied().flatten().map(Tensor::to_f64);
    let window = op.resolve(x.shape(), w.shape())?;
    let (extents, taps) = (&x.shape()[2..], &w.shape()[2..]);
    let (cells, outputs): (usize, usize) = (extents.iter().product(), window.output.iter().product());
    let tap_count: usize = taps.iter().product();
    let [m, per_group] = [w.shape()[0], w.shape()[1]];
    let (xs, ws) = (x.to_f64(), w.to_f64());
    let mut y = Vec::with_capacity(ty.len());
    for image in xs.chunks(x.shape()[1] * cells).take(x.shape()[0]) {
        for out in 0..m {
            let group = out / (m / op.group);
            for position in 0..outputs {
                let mut sum = bias.as_ref().map_or(0.0, |b| b[out]);
                for tap in 0..tap_count {
                    let Some(cell) = cell(position, tap, &window, extents) else { continue };
                    for c in 0..per_group {
                        let weight = ws[(out * per_group + c) * tap_count + tap];
                        sum += weight * image[(group * per_group + c) * cells + cell];
                    }
                }
                y.push(sum);
            }
        }
    }
    Ok(vec![from_f64(&ty, y)?])
}

/// Flat input cell under tap `tap` of the window at flat output `position`; `None` in the padding.
fn cell(
    mut position: usize,
    mut tap: usize,
    window: &lowbit_graph::ops::Resolved,
    extents: &[usize],
) -> Option<usize> {
    let (mut cell, mut stride) = (0, 1);
    for axis in (0..extents.len()).rev() {
        let at = position % window.output[axis] * window.strides[axis] + tap % window.kernel[axis] * window.dilations[axis];
        let at = at.checked_sub(window.begins[axis]).filter(|&at| at < extents[axis])?;
        cell += at * stride;
        stride *= extents[axis];
        position /= window.output[axis];
        tap /= window.kernel[axis];
    }
    Some(cell)
}
