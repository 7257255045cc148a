//! `Conv`.

use super::support::window::{Cell, cell};
use super::support::{float, from_f64, infer, required};
use crate::EvalError;
use crate::form::{Form, Layout, Site};
use lowbit_graph::ops::Conv;
use lowbit_kernels::{Conv2d, PackedConv2d};
use lowbit_tensor::Tensor;

pub(super) fn reference(op: &Conv, inputs: &[Option<&Tensor>]) -> Result<Vec<Tensor>, EvalError> {
    let ty = infer(op, inputs)?.remove(0);
    let (x, w) = (required(inputs, 0, "X")?, required(inputs, 1, "W")?);
    float("Conv", x)?;
    let bias = inputs.get(2).copied().flatten().map(Tensor::to_f64);
    let window = op.resolve(x.shape(), w.shape())?;
    let (extents, taps) = (&x.shape()[2..], w.shape()[2..].iter().product::<usize>());
    let (cells, outputs): (usize, usize) = (extents.iter().product(), window.output.iter().product());
    let ([m, per_group], channels) = ([w.shape()[0], w.shape()[1]], x.shape()[1]);
    let (xs, ws) = (x.to_f64(), w.to_f64());
    let mut y = Vec::with_capacity(ty.len());
    for (image, out) in (0..x.shape()[0]).flat_map(|image| (0..m).map(move |out| (image, out))) {
        let first = image * channels + out / (m / op.group) * per_group;
        for position in 0..outputs {
            let mut sum = bias.as_ref().map_or(0.0, |b| b[out]);
            for tap in 0..taps {
                let Cell::At(cell) = cell(position, tap, &window, extents) else { continue };
                for c in 0..per_group {
                    sum += ws[(out * per_group + c) * taps + tap] * xs[(first + c) * cells + cell];
                }
            }
            y.push(sum);
        }
    }
    Ok(vec![from_f64(&ty, y)?])
}

/// One and two spatial axes on channels-last data, with the whole tail fused; weights are packed here, once.
pub(super) fn forward(op: &Conv, site: &Site<'_>) -> Option<Form> {
    let x = site.data(0)?;
    let (weights, shape) = (site.input(1)?.weights()?, &site.input(1)?.ty.shape);
    let own = match site.input(2) {
        None => None,
        Some(bias) => Some(bias.weights()?),
    };
    let bias = site.with_bias(own, shape[0])?;
    let w = op.resolve(&x.ty.shape, shape).ok()?;
    // One spatial axis is a picture of height one.
    let two = |list: &[usize], first: usize| match *list {
        [b] => Some([first, b]),
        [a, b] => Some([a, b]),
        _ => None,
    };
    let [in_h, in_w] = two(&x.ty.shape[2..], 1)?;
    let ([top, left], [bottom, right]) = (two(&w.begins, 0)?, two(&w.ends, 0)?);
    let conv = Conv2d {
        in_h,
        in_w,
        in_c: x.ty.shape[1],
        out_c: shape[0],
        kernel: two(&w.kernel, 1)?,
        stride: two(&w.strides, 1)?,
        dilation: two(&w.dilations, 1)?,
        pads: [top, left, bottom, right],
        groups: op.group,
    };
    let packed = PackedConv2d::new(site.isa, &conv, &weights, bias.as_deref()).ok()?;
    let tail = site.tail;
    Some(Form {
        reads: vec![(0, Layout::ChannelsLast)],
        output: Layout::ChannelsLast,
        scratch: packed.scratch_len(),
        run: Box::new(move |inputs, scratch, output| {
            packed.run(inputs[0], &tail.epilogue(inputs), scratch, output);
        }),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use lowbit_graph::{Attribute, Attributes, Op};

    #[test]
    fn groups_see_their_own_channels_and_padding_is_zero() {
        let attributes =
            Attributes::new().with("group", Attribute::Int(2)).with("pads", Attribute::Ints(vec![1, 0]));
        let op = Op::read("", "Conv", attributes).unwrap().unwrap();
        let x = Tensor::from_f32([1, 2, 3], vec![1., 2., 3., 10., 20., 30.]);
        let w = Tensor::from_f32([2, 1, 2], vec![1., 1., -1., 2.]);
        let b = Tensor::from_f32([2], vec![0., 0.5]);
        let y = crate::evaluate(&op, &[Some(&x), Some(&w), Some(&b)]).unwrap();
        assert_eq!(y, [Tensor::from_f32([1, 2, 3], vec![1., 3., 5., 20.5, 30.5, 40.5])]);
    }

    #[test]
    fn no_channels_leave_the_bias() {
        let op = Op::read("", "Conv", Attributes::new()).unwrap().unwrap();
        let (x, w) = (Tensor::from_f32([1, 0, 2], vec![]), Tensor::from_f32([1, 0, 1], vec![]));
        let y = crate::evaluate(&op, &[Some(&x), Some(&w), Some(&Tensor::from_f32([1], vec![3.]))]).unwrap();
        assert_eq!(y, [Tensor::from_f32([1, 1, 2], vec![3., 3.])]);
    }
}
