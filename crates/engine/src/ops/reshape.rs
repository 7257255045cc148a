//! `Reshape`.

use super::support::fast;
use super::support::gradient::{self, InputGradients};
use super::support::reshaped;
use crate::EvalError;
use crate::form::{Form, Site};
use crate::gradient::reverse::Reverse;
use lowbit_graph::ops::Reshape;
use lowbit_tensor::Tensor;

pub(super) fn reference(op: &Reshape, inputs: &[Option<&Tensor>]) -> Result<Vec<Tensor>, EvalError> {
    reshaped(op, inputs)
}

pub(super) fn gradient(
    _: &Reshape,
    inputs: &[Option<&Tensor>],
    dy: &Tensor,
) -> Result<InputGradients, EvalError> {
    gradient::passed(inputs, dy)
}

pub(super) fn forward(_: &Reshape, site: &Site<'_>) -> Option<Form> {
    fast::copy(site)
}

pub(super) fn backward(_: &Reshape, site: &Site<'_>) -> Option<Reverse> {
    Some(Reverse::copy(site.isa))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zero_keeps_and_minus_one_takes_what_is_left() {
        let x = Tensor::from_i64s(&[1, 2, 3, 4, 5, 6]).reshape(vec![2, 3]).unwrap();
        let y = reference(&Reshape::default(), &[Some(&x), Some(&Tensor::from_i64s(&[0, -1, 1]))]).unwrap();
        assert_eq!(y, [x.clone().reshape(vec![2, 3, 1]).unwrap()]);
        assert!(reference(&Reshape::default(), &[Some(&x), Some(&Tensor::from_i64s(&[4, -1]))]).is_err());
    }
}
