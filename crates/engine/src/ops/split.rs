//! `Split`.

use super::support::fast;
use super::support::gradient::{self, InputGradients};
use super::support::index::{strided, strides};
use super::support::{infer, required};
use crate::EvalError;
use crate::form::{Form, Site};
use lowbit_graph::OpSpec;
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

/// Of all pieces at once; those without a gradient count as zero.
pub(super) fn gradient(
    op: &Split,
    inputs: &[Option<&Tensor>],
    grads: &[Option<&Tensor>],
) -> Result<InputGradients, EvalError> {
    gradient::moved(inputs, &[0], grads, |places| reference(op, places))
}

/// Each piece is a slice of its own.
pub(super) fn forward(op: &Split, site: &Site<'_>) -> Option<Form> {
    let shape = &site.data(0)?.ty.shape;
    let along = axis(op.axis, shape.len()).ok()?;
    let pieces = OpSpec::infer(op, &site.described()).ok()?;
    let start: usize = pieces[..site.which].iter().map(|piece| piece.shape[along]).sum();
    let first = |a: usize| if a == along { start } else { 0 };
    let sources: Vec<_> = site
        .output
        .shape
        .iter()
        .enumerate()
        .map(|(a, &n)| (0..n).map(|i| Some(first(a) + i)).collect())
        .collect();
    fast::by_axis(site, &sources, 0.0)
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
