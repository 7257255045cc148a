//! `Shape`.

use super::support::required;
use crate::EvalError;
use lowbit_graph::ops::Shape;
use lowbit_tensor::Tensor;

pub(super) fn reference(op: &Shape, inputs: &[Option<&Tensor>]) -> Result<Vec<Tensor>, EvalError> {
    Ok(vec![op.of(required(inputs, 0, "data")?.shape())])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn extents_become_data() {
        let x = Tensor::from_f32([2, 1], vec![0.; 2]);
        assert_eq!(reference(&Shape::default(), &[Some(&x)]).unwrap(), [Tensor::from_i64s(&[2, 1])]);
    }
}
