//! `Tanh`.

use super::support::fast;
use super::support::gradient::{self, InputGradients};
use super::support::{map, required};
use crate::EvalError;
use crate::form::{Form, Site};
use crate::gradient::reverse::Reverse;
use lowbit_graph::ops::Tanh;
use lowbit_kernels::Unary;
use lowbit_tensor::Tensor;

pub(super) fn reference(_: &Tanh, inputs: &[Option<&Tensor>]) -> Result<Vec<Tensor>, EvalError> {
    Ok(vec![map("Tanh", required(inputs, 0, "X")?, f64::tanh)?])
}

pub(super) fn gradient(
    _: &Tanh,
    inputs: &[Option<&Tensor>],
    dy: &Tensor,
) -> Result<InputGradients, EvalError> {
    gradient::elementwise(inputs, dy, |x| x.cosh().powi(-2))
}

pub(super) fn forward(_: &Tanh, site: &Site<'_>) -> Option<Form> {
    fast::unary(Unary::Tanh, site)
}

pub(super) fn backward(_: &Tanh, site: &Site<'_>) -> Option<Reverse> {
    Some(Reverse::unary(site.isa, Unary::Tanh))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_runs_from_minus_one_to_one() {
        let x = Tensor::from_f32([3], vec![0.0, 1.0, -100.0]);
        let y = reference(&Tanh, &[Some(&x)]).unwrap();
        assert_eq!(y, [Tensor::from_f32([3], vec![0.0, 0.7615942, -1.0])]);
    }
}
