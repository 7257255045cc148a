//! `LeakyRelu`.

use super::support::fast;
use super::support::gradient::{self, InputGradients};
use super::support::{map, required};
use crate::EvalError;
use crate::form::{Form, Site};
use crate::gradient::reverse::Reverse;
use lowbit_graph::ops::LeakyRelu;
use lowbit_kernels::Unary;
use lowbit_tensor::Tensor;

pub(super) fn reference(op: &LeakyRelu, inputs: &[Option<&Tensor>]) -> Result<Vec<Tensor>, EvalError> {
    let alpha = f64::from(op.alpha);
    Ok(vec![map("LeakyRelu", required(inputs, 0, "X")?, |x| if x < 0.0 { alpha * x } else { x })?])
}

/// At zero that of the negative side.
pub(super) fn gradient(
    op: &LeakyRelu,
    inputs: &[Option<&Tensor>],
    dy: &Tensor,
) -> Result<InputGradients, EvalError> {
    let alpha = f64::from(op.alpha);
    gradient::elementwise(inputs, dy, |x| if x > 0.0 { 1.0 } else { alpha })
}

pub(super) fn forward(op: &LeakyRelu, site: &Site<'_>) -> Option<Form> {
    fast::unary(Unary::LeakyRelu { alpha: op.alpha }, site)
}

pub(super) fn backward(op: &LeakyRelu, site: &Site<'_>) -> Option<Reverse> {
    Some(Reverse::unary(site.isa, Unary::LeakyRelu { alpha: op.alpha }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_negatives_are_scaled() {
        let x = Tensor::from_f32([3], vec![-8.0, 0.0, 3.0]);
        let y = reference(&LeakyRelu { alpha: 0.25 }, &[Some(&x)]).unwrap();
        assert_eq!(y, [Tensor::from_f32([3], vec![-2.0, 0.0, 3.0])]);
    }
}
