//! `Expand`.

use super::support::fast;
use super::support::gradient::{self, InputGradients};
use super::support::moves::Moves;
use super::support::{broadcast_indices, infer, required};
use crate::EvalError;
use crate::form::{Form, Layout, Site};
use lowbit_graph::ops::Expand;
use lowbit_tensor::Tensor;

pub(super) fn reference(op: &Expand, inputs: &[Option<&Tensor>]) -> Result<Vec<Tensor>, EvalError> {
    let ty = infer(op, inputs)?.remove(0);
    let x = required(inputs, 0, "input")?;
    let data = x.data().take(broadcast_indices(x.shape(), &ty.shape));
    Ok(vec![Tensor::new(ty.shape, data)?])
}

pub(super) fn gradient(
    op: &Expand,
    inputs: &[Option<&Tensor>],
    dy: &Tensor,
) -> Result<InputGradients, EvalError> {
    gradient::moved(inputs, &[0], &[Some(dy)], |places| reference(op, places))
}

/// Repeats along the axes where there is one.
pub(super) fn forward(_: &Expand, site: &Site<'_>) -> Option<Form> {
    let shape = &site.output.shape;
    let strides = fast::broadcast_strides(&site.data(0)?.ty.shape, Layout::RowMajor, shape.len());
    let axes = shape.iter().zip(strides).map(|(&n, s)| (0..n).map(|i| Some(i * s)).collect());
    let moves = Moves::new(axes.collect(), 0.0);
    Some(Form::unary(Layout::RowMajor, move |x, y| moves.apply(x, y)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn extents_of_1_repeat() {
        let x = Tensor::from_f32([2, 1], vec![1., 2.]);
        let expand = |shape: &[i64]| {
            reference(&Expand, &[Some(&x), Some(&Tensor::from_i64s(shape))]).unwrap().remove(0)
        };
        assert_eq!(expand(&[3]), Tensor::from_f32([2, 3], vec![1., 1., 1., 2., 2., 2.]));
        assert_eq!(expand(&[2, 1, 1]), Tensor::from_f32([2, 2, 1], vec![1., 2., 1., 2.]));
    }
}
