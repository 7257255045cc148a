//! `ConvTranspose`.

use super::support::{float, from_f64, infer, required};
use crate::EvalError;
use lowbit_graph::ops::{ConvTranspose, Resolved};
use lowbit_tensor::Tensor;

pub(super) fn reference(op: &ConvTranspose, inputs: &[Option<&Tensor>]) -> Result<Vec<Tensor>, EvalError> {
    let ty = infer(op, inputs)?.remove(0);
    let (x, w) = (required(inputs, 0, "X")?, required(inputs, 1, "W")?);
    float("ConvTranspose", x)?;
    let bias = inputs.get(2).copied().flatten().map(Tensor::to_f64);
    let window = op.resolve(x.shape(), w.shape())?;
    let (extents, taps) = (&x.shape()[2..], w.shape()[2..].iter().product::<usize>());
    let (cells, outputs): (usize, usize) = (extents.iter().product(), window.output.iter().product());
    let (channels, per_group) = (x.shape()[1], w.shape()[1]);
    let (xs, ws) = (x.to_f64(), w.to_f64());
    let mut y = Vec::with_capacity(ty.len());
    for (image, out) in (0..ty.shape[0]).flat_map(|image| (0..ty.shape[1]).map(move |out| (image, out))) {
        let first = out / per_group * (channels / op.group);
        for position in 0..outputs {
            let mut sum = bias.as_ref().map_or(0.0, |b| b[out]);
            for tap in 0..taps {
                let Some(cell) = source(position, tap, &window, extents) else { continue };
                for c in first..first + channels / op.group {
                    let weight = ws[(c * per_group + out % per_group) * taps + tap];
                    sum += weight * xs[(image * channels + c) * cells + cell];
                }
            }
            y.push(sum);
        }
    }
    Ok(vec![from_f64(&ty, y)?])
}

/// Flat input cell that reaches flat output `position` through tap `tap`, if there is one.
fn source(mut position: usize, mut tap: usize, window: &Resolved, extents: &[usize]) -> Option<usize> {
    let (mut cell, mut stride) = (0, 1);
    for axis in (0..extents.len()).rev() {
        let at = position % window.output[axis] + window.begins[axis];
        let at = at.checked_sub(tap % window.kernel[axis] * window.dilations[axis])?;
        if at % window.strides[axis] != 0 || at / window.strides[axis] >= extents[axis] {
            return None;
        }
        cell += at / window.strides[axis] * stride;
        stride *= extents[axis];
        position /= window.output[axis];
        tap /= window.kernel[axis];
    }
    Some(cell)
}

#[cfg(test)]
mod tests {
    use super::*;
    use lowbit_graph::ops::{Padding, Window};

    fn op(stride: usize, padding: Padding, group: usize) -> ConvTranspose {
        let window = Window { strides: vec![stride], dilations: vec![], padding };
        ConvTranspose { window, group, output_padding: vec![], output_shape: vec![] }
    }

    #[test]
    fn filters_overlap_and_padding_crops() {
        let x = Tensor::from_f32([1, 1, 3], vec![1., 2., 3.]);
        let w = Tensor::from_f32([1, 1, 3], vec![1., 10., 100.]);
        let y = reference(&op(2, Padding::default(), 1), &[Some(&x), Some(&w)]).unwrap();
        assert_eq!(y, [Tensor::from_f32([1, 1, 7], vec![1., 10., 102., 20., 203., 30., 300.])]);
        let cropped = op(2, Padding::Explicit(vec![1, 2]), 1);
        let y = reference(&cropped, &[Some(&x), Some(&w)]).unwrap();
        assert_eq!(y, [Tensor::from_f32([1, 1, 4], vec![10., 102., 20., 203.])]);
    }

    #[test]
    fn groups_read_their_own_channels() {
        let x = Tensor::from_f32([1, 2, 1], vec![1., 10.]);
        let w = Tensor::from_f32([2, 2, 1], vec![1., 2., 3., 4.]);
        let b = Tensor::from_f32([4], vec![0., 0., 0., 5.]);
        let y = reference(&op(1, Padding::default(), 2), &[Some(&x), Some(&w), Some(&b)]).unwrap();
        assert_eq!(y, [Tensor::from_f32([1, 4, 1], vec![1., 2., 30., 45.])]);
    }
}
