//! `Split`.

use super::support::index::{strided, strides};
use super::support::{infer, required};
use crate::EvalError;
use lowbit_graph::ops::Split;
use lowbit_graph::shape::axis;
use lowbit_tensor::Tensor;

pub(super) fn reference(op: &Split, inputs: &[Option<&Tensor>]) -> Result<Vec<Tensor>, EvalError> {
    let x = required(inputs, 0, "input")?;
    let (axis, strides) = (axis(op.axis, x.shape().len())?, strides(x.shape()));
    let mut start = 0;
    let mut pieces = Vec::new();
    for ty in infer(op, inputs)? {
        let data = x.data().take(strided(ty.shape.clone(), strides.clone(), start));
        start += ty.shape[axis] * strides[axis] as usize;
        pieces.push(Tensor::new(ty.shape, data)?);
    }
    Ok(pieces)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_follow_one_another_along_the_axis() {
        let x = Tensor::from_f32([2, 3], vec![1., 2., 3., 4., 5., 6.]);
        let [a, b] = [Tensor::from_f32([2, 2], vec![1., 2., 4., 5.]), Tensor::from_f32([2, 1], vec![3., 6.])];
        let by_number = Split { axis: 1, num_outputs: Some(2) };
        assert_eq!(reference(&by_number, &[Some(&x)]).unwrap(), [a.clone(), b.clone()]);
        let by_sizes = Split { axis: -1, num_outputs: None };
        let sizes = Tensor::from_i64s(&[2, 0, 1]);
        let empty = Tensor::from_f32([2, 0], vec![]);
        assert_eq!(reference(&by_sizes, &[Some(&x), Some(&sizes)]).unwrap(), [a, empty, b]);
    }
}
