//! `Unsqueeze`.

use super::support::fast;
use super::support::reshaped;
use crate::EvalError;
use crate::form::{Form, Site};
use lowbit_graph::ops::Unsqueeze;
use lowbit_tensor::Tensor;

pub(super) fn reference(op: &Unsqueeze, inputs: &[Option<&Tensor>]) -> Result<Vec<Tensor>, EvalError> {
    reshaped(op, inputs)
}

pub(super) fn forward(_: &Unsqueeze, site: &Site<'_>) -> Option<Form> {
    fast::copy(site)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn extents_of_1_come() {
        let (x, axes) = (Tensor::from_i64s(&[1, 2]), Tensor::from_i64s(&[-1, 0]));
        let y = reference(&Unsqueeze, &[Some(&x), Some(&axes)]).unwrap();
        assert_eq!(y, [x.clone().reshape(vec![1, 2, 1]).unwrap()]);
    }
}
