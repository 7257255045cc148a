//! `Conv`.

use super::support::gradient::{self, InputGradients};
use super::support::window::{Cell, cell};
use super::support::{float, from_f64, infer, required};
use crate::EvalError;
use crate::form::{Form, Layout, Learned, Site};
use crate::gradient::reverse::{Learns, Reverse, Reversible};
use lowbit_graph::ops::Conv;
use lowbit_kernels::conv2d::Conv2dGradient;
use lowbit_kernels::{Conv2d, PackedConv2d};
use lowbit_tensor::Tensor;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};

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

pub(super) fn gradient(
    op: &Conv,
    inputs: &[Option<&Tensor>],
    dy: &Tensor,
) -> Result<InputGradients, EvalError> {
    let (x, w) = (required(inputs, 0, "X")?, required(inputs, 1, "W")?);
    let window = op.resolve(x.shape(), w.shape())?;
    let (extents, taps) = (&x.shape()[2..], w.shape()[2..].iter().product::<usize>());
    let (cells, outputs): (usize, usize) = (extents.iter().product(), window.output.iter().product());
    let ([m, per_group], channels) = ([w.shape()[0], w.shape()[1]], x.shape()[1]);
    let mut grads = gradient::products(inputs, &dy.to_f64(), |add| {
        for (image, out) in (0..x.shape()[0]).flat_map(|image| (0..m).map(move |out| (image, out))) {
            let first = image * channels + out / (m / op.group) * per_group;
            for (position, tap) in (0..outputs).flat_map(|position| (0..taps).map(move |tap| (position, tap)))
            {
                let Cell::At(cell) = cell(position, tap, &window, extents) else { continue };
                for c in 0..per_group {
                    let y = (image * m + out) * outputs + position;
                    add(y, (first + c) * cells + cell, (out * per_group + c) * taps + tap);
                }
            }
        }
    })?;
    grads.push(gradient::bias(inputs, dy)?);
    Ok(grads)
}

/// A layer as kernels take it, with its constants.
struct Layer {
    conv: Conv2d,
    weights: Vec<f32>,
    /// Its own and that of the group.
    bias: Option<Vec<f32>>,
}

/// One and two spatial axes; `None` for more, or for weights known at run time only.
fn layer(op: &Conv, site: &Site<'_>) -> Option<Layer> {
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
    Some(Layer { conv, weights, bias })
}

/// On channels-last data, with the whole tail fused; weights are packed here, once.
pub(super) fn forward(op: &Conv, site: &Site<'_>) -> Option<Form> {
    let layer = layer(op, site)?;
    let packed = PackedConv2d::new(site.isa, &layer.conv, &layer.weights, layer.bias.as_deref()).ok()?;
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

/// What the two ways of a layer whose weights change share.
struct Shared {
    there: PackedConv2d,
    back: Conv2dGradient,
    weights: Vec<f32>,
    bias: Option<Vec<f32>>,
}

/// Forward and back, with weights and bias that may be parameters. A bias that the group adds is not one.
pub(super) fn reversible(op: &Conv, site: &Site<'_>) -> Option<Reversible> {
    let Layer { conv, weights, bias } = layer(op, site)?;
    if site.learned.contains(&Learned::Input(2)) && site.bias.is_some() {
        return None;
    }
    let there = PackedConv2d::new(site.isa, &conv, &weights, bias.as_deref()).ok()?;
    let mut back = Conv2dGradient::new(site.isa, &conv).ok()?;
    back.set_weights(&weights).ok()?;
    let scratch = [there.scratch_len(), back.scratch_len()];
    let (isa, tail, onwards) = (site.isa, site.tail, site.data_gradient);
    let learned = site.learned.clone();
    let (parameters, order) = (learned.clone(), learned.clone());
    let sums = learned.iter().map(|learned| match learned {
        Learned::Input(1) => back.sums_len(),
        _ => conv.out_c,
    });
    let sums = sums.collect();
    let shared = Arc::new(RwLock::new(Shared { there, back, weights, bias }));
    let [run, reverse, update, unpack] = [0; 4].map(|_| shared.clone());
    Some(Reversible {
        form: Form {
            reads: vec![(0, Layout::ChannelsLast)],
            output: Layout::ChannelsLast,
            scratch: scratch[0],
            run: Box::new(move |inputs, scratch, output| {
                read(&run).there.run(inputs[0], &tail.epilogue(inputs), scratch, output);
            }),
        },
        reverse: Reverse {
            scratch: scratch[1],
            run: Box::new(move |pull| {
                pull.through_tail(isa, &tail);
                let shared = read(&reverse);
                for (learned, gradient) in learned.iter().zip(&mut *pull.parameters) {
                    match learned {
                        Learned::Input(1) => {
                            shared.back.add_weights(pull.inputs[0], pull.grad, pull.scratch, gradient);
                        }
                        _ => shared.back.bias(pull.grad, gradient),
                    }
                }
                if let Some(Some(sink)) = pull.sinks.first_mut() {
                    shared.back.data(pull.grad, pull.scratch, sink.grad, sink.add);
                }
            }),
        },
        learns: Some(Learns {
            sums,
            update: Box::new(move |nth, values| {
                let shared = &mut *update.write().unwrap_or_else(PoisonError::into_inner);
                match parameters[nth] {
                    Learned::Input(1) => shared.weights.copy_from_slice(values),
                    _ => shared.bias = Some(values.to_vec()),
                }
                let set = shared.there.set_weights(&shared.weights, shared.bias.as_deref());
                set.expect("parameters keep their length");
                if onwards {
                    shared.back.set_weights(&shared.weights).expect("parameters keep their length");
                }
            }),
            unpack: Box::new(move |nth, sums, gradient| match order[nth] {
                Learned::Input(1) => read(&unpack).back.unpack(sums, gradient),
                _ => gradient.copy_from_slice(sums),
            }),
        }),
    })
}

fn read(shared: &RwLock<Shared>) -> RwLockReadGuard<'_, Shared> {
    shared.read().unwrap_or_else(PoisonError::into_inner)
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
