//! `Squeeze`.

use super::support::fast;
use super::support::gradient::{self, InputGradients};
use super::support::reshaped;
use crate::EvalError;
use crate::form::{Form, Site};
use crate::gradient::reverse::Reverse;
use lowbit_graph::ops::Squeeze;
use lowbit_tensor::Tensor;

pub(super) fn reference(op: &Squeeze, inputs: &[Option<&Tensor>]) -> Result<Vec<Tensor>, EvalError> {
    reshaped(op, inputs)
}

pub(super) fn gradient(
    _: &Squeeze,
    inputs: &[Option<&Tensor>],
    dy: &Tensor,
) -> Result<InputGradients, EvalError> {
    gradient::passed(inputs, dy)
}

pub(super) fn forward(_: &Squeeze, site: &Site<'_>) -> Option<Form> {
    fast::copy(site)
}

pub(super) fn backward(_: &Squeeze, site: &Site<'_>) -> Option<Reverse> {
    Some(Reverse::copy(site.isa))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn extents_of_1_go() {
        let x = Tensor::from_i64s(&[1, 2]).reshape(vec![1, 2, 1]).unwrap();
        assert_eq!(reference(&Squeeze, &[Some(&x)]).unwrap(), [Tensor::from_i64s(&[1, 2])]);
    }
}
