//! `Sub`.

use super::support::fast;
use super::support::gradient::{self, InputGradients};
use super::support::zip;
use crate::EvalError;
use crate::form::{Form, Site};
use lowbit_graph::ops::Sub;
use lowbit_kernels::Binary;
use lowbit_tensor::Tensor;

pub(super) fn reference(op: &Sub, inputs: &[Option<&Tensor>]) -> Result<Vec<Tensor>, EvalError> {
    zip(op, inputs, |a, b| a - b, i64::wrapping_sub)
}

pub(super) fn gradient(
    _: &Sub,
    inputs: &[Option<&Tensor>],
    dy: &Tensor,
) -> Result<InputGradients, EvalError> {
    gradient::pairwise(inputs, dy, |_, _| [1.0, -1.0])
}

pub(super) fn forward(_: &Sub, site: &Site<'_>) -> Option<Form> {
    fast::binary(Binary::Sub, site)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_is_taken_from_each_row() {
        let (a, b) = (Tensor::from_f32([2, 2], vec![1., 2., 3., 4.]), Tensor::from_f32([2], vec![1., 0.5]));
        let y = reference(&Sub, &[Some(&a), Some(&b)]).unwrap();
        assert_eq!(y, [Tensor::from_f32([2, 2], vec![0., 1.5, 2., 3.5])]);
    }

    #[test]
    fn integers_wrap() {
        let (a, b) = (Tensor::from_i64s(&[i64::MIN, 5]), Tensor::from_i64s(&[1]));
        assert_eq!(reference(&Sub, &[Some(&a), Some(&b)]).unwrap(), [Tensor::from_i64s(&[i64::MAX, 4])]);
    }
}
