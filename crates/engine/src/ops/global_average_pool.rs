//! `GlobalAveragePool`.

use super::support::gradient::{self, InputGradients};
use super::support::{float, from_f64, infer, required};
use crate::EvalError;
use crate::form::{Form, Layout, Site};
use crate::gradient::reverse::Reverse;
use lowbit_graph::ops::GlobalAveragePool;
use lowbit_kernels::pool::{global_average_pool, global_average_pool_backward};
use lowbit_tensor::Tensor;

pub(super) fn reference(
    op: &GlobalAveragePool,
    inputs: &[Option<&Tensor>],
) -> Result<Vec<Tensor>, EvalError> {
    let ty = infer(op, inputs)?.remove(0);
    let x = required(inputs, 0, "X")?;
    float("GlobalAveragePool", x)?;
    let (xs, cells) = (x.to_f64(), x.shape()[2..].iter().product::<usize>());
    let mean = |plane: usize| xs[plane * cells..][..cells].iter().sum::<f64>() / cells as f64;
    Ok(vec![from_f64(&ty, (0..ty.len()).map(mean).collect())?])
}

pub(super) fn gradient(
    _: &GlobalAveragePool,
    inputs: &[Option<&Tensor>],
    dy: &Tensor,
) -> Result<InputGradients, EvalError> {
    let x = required(inputs, 0, "X")?;
    let (dy, cells) = (dy.to_f64(), x.shape()[2..].iter().product::<usize>());
    let dx = (0..x.len()).map(|i| dy[i / cells] / cells as f64).collect();
    Ok(vec![gradient::of(inputs, 0, dx)?])
}

/// On channels-last data.
pub(super) fn forward(_: &GlobalAveragePool, site: &Site<'_>) -> Option<Form> {
    let (isa, shape) = (site.isa, &site.data(0)?.ty.shape);
    let (channels, pixels) = (shape[1], shape[2..].iter().product());
    if channels == 0 || pixels == 0 {
        return None;
    }
    Some(Form::unary(Layout::ChannelsLast, move |x, y| global_average_pool(isa, pixels, channels, x, y)))
}

/// Every cell of a channel gets the same share.
pub(super) fn backward(_: &GlobalAveragePool, site: &Site<'_>) -> Option<Reverse> {
    let (isa, shape) = (site.isa, &site.data(0)?.ty.shape);
    let (channels, pixels) = (shape[1], shape[2..].iter().product());
    Some(Reverse::new(move |pull| {
        if let Some(sink) = &mut pull.sinks[0] {
            global_average_pool_backward(isa, pixels, channels, pull.grad, sink.grad, sink.add);
        }
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_channel_has_its_mean() {
        let x = Tensor::from_f32([1, 2, 1, 2], vec![1., 3., -10., 0.]);
        let y = reference(&GlobalAveragePool, &[Some(&x)]).unwrap();
        assert_eq!(y, [Tensor::from_f32([1, 2, 1, 1], vec![2., -5.])]);
    }
}
