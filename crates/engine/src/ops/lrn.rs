//! `LRN`.

use super::support::gradient::{self, InputGradients};
use super::support::{around, float, from_f64, infer, required};
use crate::EvalError;
use crate::form::{Form, Layout, Site};
use lowbit_graph::ops::Lrn;
use lowbit_tensor::Tensor;

pub(super) fn reference(op: &Lrn, inputs: &[Option<&Tensor>]) -> Result<Vec<Tensor>, EvalError> {
    let ty = infer(op, inputs)?.remove(0);
    let x = required(inputs, 0, "X")?;
    float("LRN", x)?;
    let [_, channels, cells] = around(x.shape(), 1);
    let xs = x.to_f64();
    let (before, after) = ((op.size - 1) / 2, (op.size - 1).div_ceil(2));
    let [alpha, beta, bias] = [op.alpha, op.beta, op.bias].map(f64::from);
    let normal = |(i, x): (usize, &f64)| {
        let c = i / cells % channels;
        let first = i - c * cells;
        let neighbours = c.saturating_sub(before)..(c + after + 1).min(channels);
        let energy: f64 = neighbours.map(|c| xs[first + c * cells].powi(2)).sum();
        x / (bias + alpha / op.size as f64 * energy).powf(beta)
    };
    Ok(vec![from_f64(&ty, xs.iter().enumerate().map(normal).collect())?])
}

/// Each element moves its own result, and the norm of every result whose neighbour it is.
pub(super) fn gradient(
    op: &Lrn,
    inputs: &[Option<&Tensor>],
    dy: &Tensor,
) -> Result<InputGradients, EvalError> {
    let x = required(inputs, 0, "X")?;
    let [_, channels, cells] = around(x.shape(), 1);
    let (xs, dy) = (x.to_f64(), dy.to_f64());
    let (before, after) = ((op.size - 1) / 2, (op.size - 1).div_ceil(2));
    let [alpha, beta, bias] = [op.alpha / op.size as f32, op.beta, op.bias].map(f64::from);
    let mut dx = vec![0.0; xs.len()];
    for i in 0..xs.len() {
        let c = i / cells % channels;
        let first = i - c * cells;
        let neighbours = c.saturating_sub(before)..(c + after + 1).min(channels);
        let energy: f64 = neighbours.clone().map(|c| xs[first + c * cells].powi(2)).sum();
        let base = bias + alpha * energy;
        dx[i] += dy[i] * base.powf(-beta);
        let shared = dy[i] * xs[i] * 2.0 * alpha * beta * base.powf(-beta - 1.0);
        neighbours.for_each(|c| dx[first + c * cells] -= shared * xs[first + c * cells]);
    }
    Ok(vec![gradient::of(inputs, 0, dx)?])
}

/// On channels-last data.
pub(super) fn forward(op: &Lrn, site: &Site<'_>) -> Option<Form> {
    let channels = *site.data(0)?.ty.shape.get(1)?;
    let (before, after) = ((op.size - 1) / 2, (op.size - 1).div_ceil(2));
    let (alpha, beta, bias) = (op.alpha / op.size as f32, op.beta, op.bias);
    Some(Form::unary(Layout::ChannelsLast, move |x, y| {
        for (x, y) in x.chunks(channels).zip(y.chunks_mut(channels)) {
            for (c, y) in y.iter_mut().enumerate() {
                let neighbours = &x[c.saturating_sub(before)..(c + 1).saturating_add(after).min(channels)];
                let energy: f32 = neighbours.iter().map(|x| x * x).sum();
                *y = x[c] / (bias + alpha * energy).powf(beta);
            }
        }
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_even_size_looks_further_ahead() {
        let x = Tensor::from_f32([1, 3, 1], vec![1., 2., 3.]);
        let op = Lrn { size: 2, alpha: 2.0, beta: 1.0, bias: 0.0 };
        let y = reference(&op, &[Some(&x)]).unwrap();
        assert_eq!(y, [Tensor::from_f32([1, 3, 1], vec![1. / 5., 2. / 13., 3. / 9.])]);
    }
}
