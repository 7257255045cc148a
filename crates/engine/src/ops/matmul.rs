//! `MatMul`.

use super::support::gradient::{self, InputGradients};
use super::support::linear::Linear;
use super::support::{broadcast_indices, from_f64, from_i64, infer, required};
use crate::EvalError;
use crate::form::{Form, Layout, Site};
use crate::gradient::reverse::Reversible;
use lowbit_graph::ops::{MatMul, MatMulShape};
use lowbit_kernels::gemm::{Matrix, gemm};
use lowbit_tensor::{DType, Tensor};

pub(super) fn reference(op: &MatMul, inputs: &[Option<&Tensor>]) -> Result<Vec<Tensor>, EvalError> {
    let ty = infer(op, inputs)?.remove(0);
    let (a, b) = (required(inputs, 0, "A")?, required(inputs, 1, "B")?);
    let shape = op.resolve(a.shape(), b.shape())?;
    // Which matrix of each operand makes each of the result.
    let stack = |t: &Tensor| {
        let leading = t.shape().len().saturating_sub(2);
        broadcast_indices(&t.shape()[..leading], &shape.batch).collect::<Vec<_>>()
    };
    let stacks = (stack(a), stack(b));
    let y = match (a.to_i64(), b.to_i64()) {
        (Some(x), Some(w)) => from_i64(
            &ty,
            product(&shape, &stacks, |sum: i64, i, j| sum.wrapping_add(x[i].wrapping_mul(w[j]))),
        ),
        _ => {
            let (x, w) = (a.to_f64(), b.to_f64());
            from_f64(&ty, product(&shape, &stacks, |sum: f64, i, j| sum + x[i] * w[j]))
        }
    };
    Ok(vec![y?])
}

pub(super) fn gradient(
    op: &MatMul,
    inputs: &[Option<&Tensor>],
    dy: &Tensor,
) -> Result<InputGradients, EvalError> {
    let (a, b) = (required(inputs, 0, "A")?, required(inputs, 1, "B")?);
    let MatMulShape { batch, m, k, n, .. } = op.resolve(a.shape(), b.shape())?;
    let stack = |t: &Tensor| -> Vec<usize> {
        broadcast_indices(&t.shape()[..t.shape().len().saturating_sub(2)], &batch).collect()
    };
    gradient::products(inputs, &dy.to_f64(), |add| {
        for (y, (a, b)) in stack(a).into_iter().zip(stack(b)).enumerate() {
            for (row, column) in (0..m).flat_map(|row| (0..n).map(move |column| (row, column))) {
                for i in 0..k {
                    add((y * m + row) * n + column, (a * m + row) * k + i, (b * k + i) * n + column);
                }
            }
        }
    })
}

/// All inner products; `add(sum, i, j)` adds the product of element `i` of the left and `j` of the right operand.
fn product<T: Default>(
    shape: &MatMulShape,
    (left, right): &(Vec<usize>, Vec<usize>),
    add: impl Fn(T, usize, usize) -> T,
) -> Vec<T> {
    let &MatMulShape { m, k, n, .. } = shape;
    let mut y = Vec::new();
    for (&a, &b) in left.iter().zip(right) {
        for (row, column) in (0..m).flat_map(|row| (0..n).map(move |column| (row, column))) {
            let sum =
                (0..k).fold(T::default(), |sum, i| add(sum, (a * m + row) * k + i, (b * k + i) * n + column));
            y.push(sum);
        }
    }
    y
}

/// Most matrices of a stack whose places are written down.
const STACK: usize = 1 << 20;

/// Rows times a constant matrix, as a linear layer.
fn layer(op: &MatMul, site: &Site<'_>) -> Option<Linear> {
    let (a, b) = (site.data(0)?, site.input(1)?);
    let MatMulShape { m, k, n, .. } = op.resolve(&a.ty.shape, &b.ty.shape).ok()?;
    if [m, k, n].contains(&0) || b.ty.shape.len() != 2 {
        return None;
    }
    let bias = site.with_bias(None, n)?;
    Some(Linear { inputs: k, outputs: n, weights: b.weights()?, transposed: false, alpha: 1.0, bias })
}

/// [`layer`] forward and back.
pub(super) fn reversible(op: &MatMul, site: &Site<'_>) -> Option<Reversible> {
    layer(op, site)?.reversible(site)
}

/// Rows times a constant matrix (a linear layer with the whole tail fused), or a stack of products.
pub(super) fn forward(op: &MatMul, site: &Site<'_>) -> Option<Form> {
    let (a, b) = (site.input(0)?, site.input(1)?);
    let MatMulShape { batch, m, k, n, .. } = op.resolve(&a.ty.shape, &b.ty.shape).ok()?;
    if [m, k, n].contains(&0) || a.ty.dtype != DType::F32 {
        return None;
    }
    if let Some(layer) = layer(op, site) {
        return layer.forward(site);
    }
    if site.tail.is_some() || site.bias.is_some() || batch.iter().product::<usize>() > STACK {
        return None;
    }
    let stack = |shape: &[usize]| -> Vec<usize> {
        broadcast_indices(&shape[..shape.len().saturating_sub(2)], &batch).collect()
    };
    let stacks = (stack(&a.ty.shape), stack(&b.ty.shape));
    let reads = (0..2).filter(|&i| site.data(i).is_some()).map(|i| (i, Layout::RowMajor)).collect();
    let constants = [a.weights(), b.weights()];
    Some(Form {
        reads,
        output: Layout::RowMajor,
        scratch: 0,
        run: Box::new(move |x, _, y| {
            let mut data = x.iter();
            let mut operand =
                |i: usize| constants[i].as_deref().or_else(|| data.next().copied()).unwrap_or(&[]);
            let (left, right) = (operand(0), operand(1));
            for ((&a, &b), y) in stacks.0.iter().zip(&stacks.1).zip(y.chunks_mut(m * n)) {
                let (a, b) = (&left[a * m * k..][..m * k], &right[b * k * n..][..k * n]);
                gemm([m, n, k], 1.0, Matrix::new(a), Matrix::new(b), 0.0, y);
            }
        }),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stacks_broadcast() {
        let a = Tensor::from_f32([2, 1, 2], vec![1., 2., 3., 4.]);
        let b = Tensor::from_f32([2, 2], vec![1., 10., 100., 1000.]);
        let y = reference(&MatMul, &[Some(&a), Some(&b)]).unwrap();
        assert_eq!(y, [Tensor::from_f32([2, 1, 2], vec![201., 2010., 403., 4030.])]);
    }

    #[test]
    fn vectors_lose_their_axis_and_integers_stay_integers() {
        let v = Tensor::from_i64s(&[1, 2, 3]);
        let y = reference(&MatMul, &[Some(&v), Some(&v)]).unwrap();
        assert_eq!((y[0].shape(), y[0].to_i64()), (&[] as &[usize], Some(vec![14])));
    }
}
