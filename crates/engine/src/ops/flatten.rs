//! `Flatten`.

use super::support::fast;
use super::support::gradient::{self, InputGradients};
use super::support::reshaped;
use crate::EvalError;
use crate::form::{Form, Site};
use crate::gradient::reverse::Reverse;
use lowbit_graph::ops::Flatten;
use lowbit_tensor::Tensor;

pub(super) fn reference(op: &Flatten, inputs: &[Option<&Tensor>]) -> Result<Vec<Tensor>, EvalError> {
    reshaped(op, inputs)
}

pub(super) fn gradient(
    _: &Flatten,
    inputs: &[Option<&Tensor>],
    dy: &Tensor,
) -> Result<InputGradients, EvalError> {
    gradient::passed(inputs, dy)
}

pub(super) fn forward(_: &Flatten, site: &Site<'_>) -> Option<Form> {
    fast::copy(site)
}

pub(super) fn backward(_: &Flatten, site: &Site<'_>) -> Option<Reverse> {
    Some(Reverse::copy(site.isa))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_of_elements_stays() {
        let x = Tensor::from_i64s(&[1, 2, 3, 4]).reshape(vec![2, 1, 2]).unwrap();
        let y = reference(&Flatten { axis: -1 }, &[Some(&x)]).unwrap();
        assert_eq!(y, [Tensor::from_i64s(&[1, 2, 3, 4]).reshape(vec![2, 2]).unwrap()]);
    }
}
