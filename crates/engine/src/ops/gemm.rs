//! `Gemm`.

use super::support::gradient::{self, InputGradients};
use super::support::linear::Linear;
use super::support::{broadcast_indices, float, from_f64, infer, required};
use crate::EvalError;
use crate::form::{Form, Learned, Site};
use crate::gradient::reverse::Reversible;
use lowbit_graph::ops::Gemm;
use lowbit_tensor::Tensor;

pub(super) fn reference(op: &Gemm, inputs: &[Option<&Tensor>]) -> Result<Vec<Tensor>, EvalError> {
    let ty = infer(op, inputs)?.remove(0);
    let (a, b) = (required(inputs, 0, "A")?, required(inputs, 1, "B")?);
    float("Gemm", a)?;
    let [m, k, n] = op.extents(a.shape(), b.shape())?;
    let (xs, ws) = (a.to_f64(), b.to_f64());
    let (alpha, beta) = (f64::from(op.alpha), f64::from(op.beta));
    let mut y = Vec::with_capacity(ty.len());
    for (row, column) in (0..m).flat_map(|row| (0..n).map(move |column| (row, column))) {
        let product = |i: usize| {
            let x = xs[if op.trans_a { i * m + row } else { row * k + i }];
            x * ws[if op.trans_b { column * k + i } else { i * n + column }]
        };
        y.push(alpha * (0..k).map(product).sum::<f64>());
    }
    if let Some(c) = inputs.get(2).copied().flatten() {
        let cs = c.to_f64();
        y.iter_mut().zip(broadcast_indices(c.shape(), &[m, n])).for_each(|(y, i)| *y += beta * cs[i]);
    }
    Ok(vec![from_f64(&ty, y)?])
}

pub(super) fn gradient(
    op: &Gemm,
    inputs: &[Option<&Tensor>],
    dy: &Tensor,
) -> Result<InputGradients, EvalError> {
    let (a, b) = (required(inputs, 0, "A")?, required(inputs, 1, "B")?);
    let [m, k, n] = op.extents(a.shape(), b.shape())?;
    let scaled = |factor: f32| dy.to_f64().into_iter().map(move |dy| f64::from(factor) * dy);
    let mut grads = gradient::products(inputs, &scaled(op.alpha).collect::<Vec<_>>(), |add| {
        for (row, column) in (0..m).flat_map(|row| (0..n).map(move |column| (row, column))) {
            for i in 0..k {
                let left = if op.trans_a { i * m + row } else { row * k + i };
                let right = if op.trans_b { column * k + i } else { i * n + column };
                add(row * n + column, left, right);
            }
        }
    })?;
    if let Some(c) = inputs.get(2).copied().flatten() {
        grads.push(gradient::of(inputs, 2, gradient::folded(scaled(op.beta), &[m, n], c.shape()))?);
    }
    Ok(grads)
}

/// The node as a linear layer: a constant B that data multiplies from the left, and a constant bias per column.
fn layer(op: &Gemm, site: &Site<'_>) -> Option<Linear> {
    let (x, b) = (site.data(0)?, site.input(1)?);
    let [_, k, n] = op.extents(&x.ty.shape, &b.ty.shape).ok()?;
    if op.trans_a {
        return None;
    }
    let bias = match site.input(2) {
        None => None,
        Some(c) => {
            let values = c.weights()?;
            let row = c.ty.shape.last() == Some(&n) && values.len() == n;
            let values = if values.len() == 1 {
                vec![values[0]; n]
            } else if row {
                values
            } else {
                return None;
            };
            Some(values.into_iter().map(|v| v * op.beta).collect::<Vec<f32>>())
        }
    };
    let bias = site.with_bias(bias, n)?;
    let (weights, transposed) = (b.weights()?, op.trans_b);
    Some(Linear { inputs: k, outputs: n, weights, transposed, alpha: op.alpha, bias })
}

/// A linear layer with the whole tail fused. Factors are folded into the weights.
pub(super) fn forward(op: &Gemm, site: &Site<'_>) -> Option<Form> {
    layer(op, site)?.forward(site)
}

/// Forward and back, with weights and bias that may be parameters.
pub(super) fn reversible(op: &Gemm, site: &Site<'_>) -> Option<Reversible> {
    let whole = op.beta == 1.0 && site.input(2).is_none_or(|c| Some(&c.ty.len()) == c.ty.shape.last());
    let layer = layer(op, site)?;
    let learns_bias = site.learned.contains(&Learned::Input(2));
    let takes_bias =
        whole && layer.bias.as_ref().is_some_and(|b| Some(b.len()) == site.input(2).map(|c| c.ty.len()));
    if learns_bias && !takes_bias { None } else { layer.reversible(site) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn either_operand_may_be_stored_transposed() {
        let a = Tensor::from_f32([2, 1], vec![1., 2.]);
        let b = Tensor::from_f32([3, 2], vec![1., 10., 2., 20., 3., 30.]);
        let c = Tensor::from_f32([3], vec![0., 1., 2.]);
        let op = Gemm { alpha: 2.0, beta: -1.0, trans_a: true, trans_b: true };
        let y = reference(&op, &[Some(&a), Some(&b), Some(&c)]).unwrap();
        assert_eq!(y, [Tensor::from_f32([1, 3], vec![42., 83., 124.])]);
    }

    #[test]
    fn an_empty_sum_is_zero() {
        let (a, b) = (Tensor::from_f32([1, 0], vec![]), Tensor::from_f32([0, 2], vec![]));
        let y = reference(&Gemm::default(), &[Some(&a), Some(&b)]).unwrap();
        assert_eq!(y, [Tensor::from_f32([1, 2], vec![0., 0.])]);
    }
}
