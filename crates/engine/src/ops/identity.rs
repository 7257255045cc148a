//! `Identity`.

use super::support::fast;
use super::support::gradient::{self, InputGradients};
use super::support::required;
use crate::EvalError;
use crate::form::{Form, Site};
use crate::gradient::reverse::Reverse;
use lowbit_graph::ops::Identity;
use lowbit_tensor::Tensor;

pub(super) fn reference(_: &Identity, inputs: &[Option<&Tensor>]) -> Result<Vec<Tensor>, EvalError> {
    Ok(vec![required(inputs, 0, "input")?.clone()])
}

pub(super) fn gradient(
    _: &Identity,
    inputs: &[Option<&Tensor>],
    dy: &Tensor,
) -> Result<InputGradients, EvalError> {
    gradient::passed(inputs, dy)
}

pub(super) fn forward(_: &Identity, site: &Site<'_>) -> Option<Form> {
    fast::map(site, |x| x)
}

pub(super) fn backward(_: &Identity, site: &Site<'_>) -> Option<Reverse> {
    Some(Reverse::copy(site.isa))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_input_comes_back() {
        let x = Tensor::from_i64s(&[3]);
        assert_eq!(reference(&Identity, &[Some(&x)]).unwrap(), [x]);
    }
}
