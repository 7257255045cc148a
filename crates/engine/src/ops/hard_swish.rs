//! `HardSwish`.

use super::support::fast;
use super::support::gradient::{self, InputGradients};
use super::support::{map, required};
use crate::EvalError;
use crate::form::{Form, Site};
use crate::gradient::reverse::Reverse;
use lowbit_graph::ops::HardSwish;
use lowbit_kernels::Unary;
use lowbit_tensor::Tensor;

pub(super) fn reference(_: &HardSwish, inputs: &[Option<&Tensor>]) -> Result<Vec<Tensor>, EvalError> {
    Ok(vec![map("HardSwish", required(inputs, 0, "X")?, |x| x * (x / 6.0 + 0.5).clamp(0.0, 1.0))?])
}

/// At both bends that of the straight side.
pub(super) fn gradient(
    _: &HardSwish,
    inputs: &[Option<&Tensor>],
    dy: &Tensor,
) -> Result<InputGradients, EvalError> {
    gradient::elementwise(inputs, dy, |x| match x {
        _ if x <= -3.0 => 0.0,
        _ if x < 3.0 => x / 3.0 + 0.5,
        _ => 1.0,
    })
}

pub(super) fn forward(_: &HardSwish, site: &Site<'_>) -> Option<Form> {
    fast::unary(Unary::HardSwish, site)
}

pub(super) fn backward(_: &HardSwish, site: &Site<'_>) -> Option<Reverse> {
    Some(Reverse::unary(site.isa, Unary::HardSwish))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_zero_then_bent_then_the_identity() {
        let x = Tensor::from_f32([4], vec![-4.0, -1.5, 1.5, 4.0]);
        let y = reference(&HardSwish, &[Some(&x)]).unwrap();
        assert_eq!(y, [Tensor::from_f32([4], vec![0.0, -0.375, 1.125, 4.0])]);
    }
}
