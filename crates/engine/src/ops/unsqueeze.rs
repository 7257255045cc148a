//! `Unsqueeze`.

use super::support::fast;
use super::support::gradient::{self, InputGradients};
use super::support::reshaped;
use crate::EvalError;
use crate::form::{Form, Site};
use crate::gradient::reverse::Reverse;
use lowbit_graph::ops::Unsqueeze;
use lowbit_tensor::Tensor;

pub(super) fn reference(op: &Unsqueeze, inputs: &[Option<&Tensor>]) -> Result<Vec<Tensor>, EvalError> {
    reshaped(op, inputs)
}

pub(super) fn gradient(
    _: &Unsqueeze,
    inputs: &[Option<&Tensor>],
    dy: &Tensor,
) -> Result<InputGradients, EvalError> {
    gradient::passed(inputs, dy)
}

pub(super) fn forward(_: &Unsqueeze, site: &Site<'_>) -> Option<Form> {
    fast::copy(site)
}

pub(super) fn backward(_: &Unsqueeze, site: &Site<'_>) -> Option<Reverse> {
    Some(Reverse::copy(site.isa))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn extents_of_1_come() {
        let (x, axes) = (Tensor::from_i64s(&[1, 2]), Tensor::from_i64s(&[-1, 0]));
        let y = reference(&Unsqueeze, &[Some(&x), Some(&axes)]).unwrap();
        assert_eq!(y, [x.clone().reshape(vec![1, 2, 1]).unwrap()]);
    }
}
