//! `HardSwish`.

use super::support::fast;
use super::support::{map, required};
use crate::EvalError;
use crate::form::{Form, Site};
use lowbit_graph::ops::HardSwish;
use lowbit_kernels::Unary;
use lowbit_tensor::Tensor;

pub(super) fn reference(_: &HardSwish, inputs: &[Option<&Tensor>]) -> Result<Vec<Tensor>, EvalError> {
    Ok(vec![map("HardSwish", required(inputs, 0, "X")?, |x| x * (x / 6.0 + 0.5).clamp(0.0, 1.0))?])
}

pub(super) fn forward(_: &HardSwish, site: &Site<'_>) -> Option<Form> {
    fast::unary(Unary::HardSwish, site)
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
