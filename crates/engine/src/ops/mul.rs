//! `Mul`.

use super::support::fast;
use super::support::gradient::{self, InputGradients};
use super::support::zip;
use crate::EvalError;
use crate::form::{Form, Site};
use lowbit_graph::ops::Mul;
use lowbit_kernels::Binary;
use lowbit_tensor::Tensor;

pub(super) fn reference(op: &Mul, inputs: &[Option<&Tensor>]) -> Result<Vec<Tensor>, EvalError> {
    zip(op, inputs, |a, b| a * b, i64::wrapping_mul)
}

pub(super) fn gradient(
    _: &Mul,
    inputs: &[Option<&Tensor>],
    dy: &Tensor,
) -> Result<InputGradients, EvalError> {
    gradient::pairwise(inputs, dy, |a, b| [b, a])
}

pub(super) fn forward(_: &Mul, site: &Site<'_>) -> Option<Form> {
    fast::binary(Binary::Mul, site)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_column_scales_each_row() {
        let (a, b) =
            (Tensor::from_f32([2, 2], vec![1., 2., 3., 4.]), Tensor::from_f32([2, 1], vec![2., -1.]));
        let y = reference(&Mul, &[Some(&a), Some(&b)]).unwrap();
        assert_eq!(y, [Tensor::from_f32([2, 2], vec![2., 4., -3., -4.])]);
    }
}
