//! `HardSigmoid`.

use super::support::fast;
use super::support::gradient::{self, InputGradients};
use super::support::{map, required};
use crate::EvalError;
use crate::form::{Form, Site};
use crate::gradient::reverse::Reverse;
use lowbit_graph::ops::HardSigmoid;
use lowbit_kernels::Unary;
use lowbit_tensor::Tensor;

pub(super) fn reference(op: &HardSigmoid, inputs: &[Option<&Tensor>]) -> Result<Vec<Tensor>, EvalError> {
    let (alpha, beta) = (f64::from(op.alpha), f64::from(op.beta));
    Ok(vec![map("HardSigmoid", required(inputs, 0, "X")?, |x| (alpha * x + beta).clamp(0.0, 1.0))?])
}

/// Zero at both bends.
pub(super) fn gradient(
    op: &HardSigmoid,
    inputs: &[Option<&Tensor>],
    dy: &Tensor,
) -> Result<InputGradients, EvalError> {
    let (alpha, beta) = (f64::from(op.alpha), f64::from(op.beta));
    gradient::elementwise(inputs, dy, |x| {
        let y = alpha * x + beta;
        if 0.0 < y && y < 1.0 { alpha } else { 0.0 }
    })
}

pub(super) fn forward(op: &HardSigmoid, site: &Site<'_>) -> Option<Form> {
    fast::unary(Unary::HardSigmoid { alpha: op.alpha, beta: op.beta }, site)
}

pub(super) fn backward(op: &HardSigmoid, site: &Site<'_>) -> Option<Reverse> {
    Some(Reverse::unary(site.isa, Unary::HardSigmoid { alpha: op.alpha, beta: op.beta }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_is_cut_at_zero_and_one() {
        let x = Tensor::from_f32([4], vec![-4.0, 0.0, 1.0, 4.0]);
        let y = reference(&HardSigmoid { alpha: 0.25, beta: 0.5 }, &[Some(&x)]).unwrap();
        assert_eq!(y, [Tensor::from_f32([4], vec![0.0, 0.5, 0.75, 1.0])]);
    }
}
