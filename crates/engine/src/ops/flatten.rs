//! `Flatten`.

use super::support::fast;
use super::support::reshaped;
use crate::EvalError;
use crate::form::{Form, Site};
use lowbit_graph::ops::Flatten;
use lowbit_tensor::Tensor;

pub(super) fn reference(op: &Flatten, inputs: &[Option<&Tensor>]) -> Result<Vec<Tensor>, EvalError> {
    reshaped(op, inputs)
}

pub(super) fn forward(_: &Flatten, site: &Site<'_>) -> Option<Form> {
    fast::copy(site)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_of_elements_stays() {
        let x = Tensor::from_i64s(&[1, 2, 3, 4]).reshape(vec![2, 1, 2]).unwrap();
        let y = reference(&Flatten { axis: -1 }, &[Some(&x)]).unwrap();
        assert_eq!(y, [Tensor::from_i64s(&[1, 2, 3, 4]).reshape(vec![2, 2]).unwrap()]);
    }
}
