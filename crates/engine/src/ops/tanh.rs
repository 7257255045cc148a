//! `Tanh`.

use super::support::fast;
use super::support::{map, required};
use crate::EvalError;
use crate::form::{Form, Site};
use lowbit_graph::ops::Tanh;
use lowbit_kernels::Unary;
use lowbit_tensor::Tensor;

pub(super) fn reference(_: &Tanh, inputs: &[Option<&Tensor>]) -> Result<Vec<Tensor>, EvalError> {
    Ok(vec![map("Tanh", required(inputs, 0, "X")?, f64::tanh)?])
}

pub(super) fn forward(_: &Tanh, site: &Site<'_>) -> Option<Form> {
    fast::unary(Unary::Tanh, site)
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
