//! `Sqrt`.

use super::support::fast;
use super::support::gradient::{self, InputGradients};
use super::support::{map, required};
use crate::EvalError;
use crate::form::{Form, Site};
use lowbit_graph::ops::Sqrt;
use lowbit_tensor::Tensor;

pub(super) fn reference(_: &Sqrt, inputs: &[Option<&Tensor>]) -> Result<Vec<Tensor>, EvalError> {
    Ok(vec![map("Sqrt", required(inputs, 0, "X")?, f64::sqrt)?])
}

pub(super) fn gradient(
    _: &Sqrt,
    inputs: &[Option<&Tensor>],
    dy: &Tensor,
) -> Result<InputGradients, EvalError> {
    gradient::elementwise(inputs, dy, |x| 0.5 / x.sqrt())
}

pub(super) fn forward(_: &Sqrt, site: &Site<'_>) -> Option<Form> {
    fast::map(site, f32::sqrt)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn squares_are_undone() {
        let x = Tensor::from_f32([3], vec![0.0, 2.25, 16.0]);
        let y = reference(&Sqrt, &[Some(&x)]).unwrap();
        assert_eq!(y, [Tensor::from_f32([3], vec![0.0, 1.5, 4.0])]);
    }
}
