//! `Relu`.

use super::support::fast;
use super::support::gradient::{self, InputGradients};
use super::support::{from_i64, map, required};
use crate::EvalError;
use crate::form::{Form, Site};
use crate::gradient::reverse::Reverse;
use lowbit_graph::TensorType;
use lowbit_graph::ops::Relu;
use lowbit_kernels::Unary;
use lowbit_tensor::Tensor;

pub(super) fn reference(_: &Relu, inputs: &[Option<&Tensor>]) -> Result<Vec<Tensor>, EvalError> {
    let x = required(inputs, 0, "X")?;
    let y = match x.to_i64() {
        Some(integers) => from_i64(&TensorType::from(x), integers.into_iter().map(|x| x.max(0)).collect()),
        // `f64::max` would drop NaN; ONNX Runtime keeps it.
        None => map("Relu", x, |x| if x < 0.0 { 0.0 } else { x }),
    };
    Ok(vec![y?])
}

/// Zero at zero.
pub(super) fn gradient(
    _: &Relu,
    inputs: &[Option<&Tensor>],
    dy: &Tensor,
) -> Result<InputGradients, EvalError> {
    gradient::elementwise(inputs, dy, |x| if x <= 0.0 { 0.0 } else { 1.0 })
}

pub(super) fn forward(_: &Relu, site: &Site<'_>) -> Option<Form> {
    fast::unary(Unary::Relu, site)
}

pub(super) fn backward(_: &Relu, site: &Site<'_>) -> Option<Reverse> {
    Some(Reverse::unary(site.isa, Unary::Relu))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn negatives_become_zero_in_floats_and_integers() {
        let x = Tensor::from_f32([3], vec![-2.0, 0.0, 3.0]);
        assert_eq!(reference(&Relu, &[Some(&x)]).unwrap(), [Tensor::from_f32([3], vec![0.0, 0.0, 3.0])]);
        let x = Tensor::from_i64s(&[-2, 3]);
        assert_eq!(reference(&Relu, &[Some(&x)]).unwrap(), [Tensor::from_i64s(&[0, 3])]);
    }
}
