//! `Erf`.

use super::support::fast;
use super::support::gradient::{self, InputGradients};
use super::support::{map, required};
use crate::EvalError;
use crate::form::{Form, Site};
use crate::gradient::reverse::Reverse;
use lowbit_graph::ops::Erf;
use lowbit_kernels::Unary;
use lowbit_tensor::Tensor;
use std::f64::consts::FRAC_2_SQRT_PI;

pub(super) fn reference(_: &Erf, inputs: &[Option<&Tensor>]) -> Result<Vec<Tensor>, EvalError> {
    Ok(vec![map("Erf", required(inputs, 0, "X")?, libm::erf)?])
}

pub(super) fn gradient(
    _: &Erf,
    inputs: &[Option<&Tensor>],
    dy: &Tensor,
) -> Result<InputGradients, EvalError> {
    gradient::elementwise(inputs, dy, |x| FRAC_2_SQRT_PI * (-x * x).exp())
}

pub(super) fn forward(_: &Erf, site: &Site<'_>) -> Option<Form> {
    fast::unary(Unary::Erf, site)
}

pub(super) fn backward(_: &Erf, site: &Site<'_>) -> Option<Reverse> {
    Some(Reverse::unary(site.isa, Unary::Erf))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_matches_the_tables() {
        let x = Tensor::from_f32([4], vec![0.0, 0.5, -1.0, 9.0]);
        let y = reference(&Erf, &[Some(&x)]).unwrap();
        assert_eq!(y, [Tensor::from_f32([4], vec![0.0, 0.520_499_9, -0.842_700_8, 1.0])]);
    }
}
