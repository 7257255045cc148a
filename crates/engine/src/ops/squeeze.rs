//! `Squeeze`.

use super::support::reshaped;
use crate::EvalError;
use lowbit_graph::ops::Squeeze;
use lowbit_tensor::Tensor;

pub(super) fn reference(op: &Squeeze, inputs: &[Option<&Tensor>]) -> Result<Vec<Tensor>, EvalError> {
    reshaped(op, inputs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn extents_of_1_go() {
        let x = Tensor::from_i64s(&[1, 2]).reshape(vec![1, 2, 1]).unwrap();
        assert_eq!(reference(&Squeeze, &[Some(&x)]).unwrap(), [Tensor::from_i64s(&[1, 2])]);
    }
}
