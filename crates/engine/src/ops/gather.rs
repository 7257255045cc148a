//! `Gather`.

use super::support::fast;
use super::support::gradient::{self, InputGradients};
use super::support::moves::Moves;
use super::support::{infer, required};
use crate::EvalError;
use crate::form::{Form, Layout, Site};
use lowbit_graph::mismatch;
use lowbit_graph::ops::Gather;
use lowbit_graph::shape::axis;
use lowbit_tensor::Tensor;

pub(super) fn reference(op: &Gather, inputs: &[Option<&Tensor>]) -> Result<Vec<Tensor>, EvalError> {
    let ty = infer(op, inputs)?.remove(0);
    let (x, indices) = (required(inputs, 0, "data")?, required(inputs, 1, "indices")?);
    let axis = axis(op.axis, x.shape().len())?;
    let extent = x.shape()[axis];
    let row = |i: i64| {
        let found = if i < 0 { i.saturating_add(extent as i64) } else { i };
        let row = usize::try_from(found).ok().filter(|&r| r < extent);
        row.ok_or_else(|| mismatch!("index {i} is outside axis {axis} of extent {extent}"))
    };
    let integers = indices.to_i64().ok_or(EvalError::DType { op: "Gather", dtype: indices.dtype() })?;
    let rows: Vec<usize> = integers.into_iter().map(row).collect::<Result<_, _>>()?;
    let inner: usize = x.shape()[axis + 1..].iter().product();
    // Output axes: those before, the rows, those after.
    let source = |flat: usize| {
        let (outer, row) = (flat / inner / rows.len(), rows[flat / inner % rows.len()]);
        (outer * extent + row) * inner + flat % inner
    };
    let data = x.data().take((0..ty.len()).map(source));
    Ok(vec![Tensor::new(ty.shape, data)?])
}

pub(super) fn gradient(
    op: &Gather,
    inputs: &[Option<&Tensor>],
    dy: &Tensor,
) -> Result<InputGradients, EvalError> {
    gradient::moved(inputs, &[0], &[Some(dy)], |places| reference(op, places))
}

/// Constant indices into row-major data.
pub(super) fn forward(op: &Gather, site: &Site<'_>) -> Option<Form> {
    let shape = &site.data(0)?.ty.shape;
    let axis = axis(op.axis, shape.len()).ok()?;
    let strides = fast::strides(shape, Layout::RowMajor);
    let extent = shape[axis] as i64;
    let row = |i: i64| {
        let found = usize::try_from(if i < 0 { i.checked_add(extent)? } else { i }).ok();
        found.filter(|&r| r < shape[axis]).map(|r| Some(r * strides[axis]))
    };
    // An index outside is left for the twin to refuse.
    let picked: Vec<_> = site.input(1)?.constant?.to_i64()?.into_iter().map(row).collect::<Option<_>>()?;
    let whole = |a: usize| (0..shape[a]).map(|i| Some(i * strides[a])).collect();
    let axes = (0..axis).map(whole).chain([picked]).chain((axis + 1..shape.len()).map(whole));
    let moves = Moves::new(axes.collect(), 0.0);
    Some(Form::unary(Layout::RowMajor, move |x, y| moves.apply(x, y)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_picked_from_either_end() {
        let x = Tensor::from_f32([2, 3], vec![1., 2., 3., 4., 5., 6.]);
        let gather = |axis, i: &[i64]| reference(&Gather { axis }, &[Some(&x), Some(&Tensor::from_i64s(i))]);
        assert_eq!(gather(0, &[-1, 0]).unwrap()[0].to_f32(), [4., 5., 6., 1., 2., 3.]);
        assert_eq!(gather(1, &[2, -3]).unwrap()[0].to_f32(), [3., 1., 6., 4.]);
        for outside in [[3], [-4], [i64::MIN]] {
            assert!(gather(1, &outside).unwrap_err().to_string().contains("outside axis 1"));
        }
    }

    #[test]
    fn a_scalar_index_removes_the_axis() {
        let x = Tensor::from_i64s(&[7, 8]);
        let y = reference(
            &Gather::default(),
            &[Some(&x), Some(&Tensor::from_i64s(&[1]).reshape(vec![]).unwrap())],
        );
        assert_eq!(y.unwrap(), [Tensor::from_i64s(&[8]).reshape(vec![]).unwrap()]);
    }
}
