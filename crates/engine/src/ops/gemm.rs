//! `Gemm`.

use super::support::{broadcast_indices, float, from_f64, infer, required};
use crate::EvalError;
use crate::form::{Form, Layout, Site};
use lowbit_graph::ops::Gemm;
use lowbit_kernels::PackedLinear;
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

/// A constant B and a bias per column: a linear layer with the whole tail fused. Factors are folded into the weights.
pub(super) fn forward(op: &Gemm, site: &Site<'_>) -> Option<Form> {
    let (x, b) = (site.data(0)?, site.input(1)?);
    let [_, k, n] = op.extents(&x.ty.shape, &b.ty.shape).ok()?;
    let mut weights =
        if op.trans_b { b.weights()? } else { super::support::fast::transposed(&b.weights()?, k, n) };
    weights.iter_mut().for_each(|w| *w *= op.alpha);
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
    if op.trans_a {
        return None;
    }
    let bias = site.with_bias(bias, n)?;
    let packed = PackedLinear::new(site.isa, k, n, &weights, bias.as_deref()).ok()?;
    let tail = site.tail;
    Some(Form {
        reads: vec![(0, Layout::RowMajor)],
        output: Layout::RowMajor,
        scratch: 0,
        run: Box::new(move |inputs, _, y| packed.run(inputs[0], &tail.epilogue(inputs), y)),
    })
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
