//! `Sigmoid`.

use super::support::fast;
use super::support::gradient::{self, InputGradients};
use super::support::{map, required};
use crate::EvalError;
use crate::form::{Form, Site};
use crate::gradient::reverse::Reverse;
use lowbit_graph::ops::Sigmoid;
use lowbit_kernels::Unary;
use lowbit_tensor::Tensor;

pub(super) fn reference(_: &Sigmoid, inputs: &[Option<&Tensor>]) -> Result<Vec<Tensor>, EvalError> {
    Ok(vec![map("Sigmoid", required(inputs, 0, "X")?, |x| 1.0 / (1.0 + (-x).exp()))?])
}

pub(super) fn gradient(
    _: &Sigmoid,
    inputs: &[Option<&Tensor>],
    dy: &Tensor,
) -> Result<InputGradients, EvalError> {
    // 1 − s(x) is s(−x), which does not cancel.
    gradient::elementwise(inputs, dy, |x| 1.0 / (1.0 + (-x).exp()) / (1.0 + x.exp()))
}

pub(super) fn forward(_: &Sigmoid, site: &Site<'_>) -> Option<Form> {
    fast::unary(Unary::Sigmoid, site)
}

pub(super) fn backward(_: &Sigmoid, site: &Site<'_>) -> Option<Reverse> {
    Some(Reverse::unary(site.isa, Unary::Sigmoid))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_runs_from_zero_to_one() {
        let x = Tensor::from_f32([3], vec![0.0, f32::INFINITY, f32::NEG_INFINITY]);
        let y = reference(&Sigmoid, &[Some(&x)]).unwrap();
        assert_eq!(y, [Tensor::from_f32([3], vec![0.5, 1.0, 0.0])]);
    }
}
