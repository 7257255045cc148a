//! `MatMul`.

use super::support::{broadcast_indices, from_f64, from_i64, infer, required};
use crate::EvalError;
use lowbit_graph::ops::{MatMul, MatMulShape};
use lowbit_tensor::Tensor;
use lowbit_kernels::gemm::{Matrix, gemm};
use lowbit_kernels::PackedLinear;
use crate::form::{Form, Layout, Site};

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

/// Rows times a constant matrix (a linear layer with the whole tail fused), or equal batches of products.
pub(super) fn forward(_: &MatMul, site: &Site<'_>) -> Option<Form> {
    let (a, b) = (site.data(0)?, site.input(1)?);
    let (tail, read_all) = (site.tail, vec![(0, Layout::RowMajor), (1, Layout::RowMajor)]);
    let (&[.., m, k], &[.., _, n]) = (a.ty.shape.as_slice(), b.ty.shape.as_slice()) else { return None };
    if m * k * n == 0 {
        return None;
    }
    if let (Some(weights), 2) = (b.weights(), b.ty.shape.len()) {
        let weights = super::support::fast::transposed(&weights, k, n);
        let packed = PackedLinear::new(site.isa, k, n, &weights, None).ok()?;
        return Some(Form {
            reads: vec![(0, Layout::RowMajor)],
            output: Layout::RowMajor,
            scratch: 0,
            run: Box::new(move |inputs, _, y| packed.run(inputs[0], &tail.epilogue(inputs), y)),
        });
    }
    let batches = |shape: &[usize]| shape[..shape.len() - 2].to_vec();
    if !b.is_data() || batches(&a.ty.shape) != batches(&b.ty.shape) || tail.is_some() {
        return None;
    }
    Some(Form {
        reads: read_all,
        output: Layout::RowMajor,
        scratch: 0,
        run: Box::new(move |x, _, y| {
            for ((a, b), y) in x[0].chunks(m * k).zip(x[1].chunks(k * n)).zip(y.chunks_mut(m * n)) {
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
