//! `Slice`.

use super::support::fast;
use super::support::gradient::{self, InputGradients};
use super::support::index::{strided, strides};
use super::support::{described, required};
use crate::EvalError;
use crate::form::{Form, Site};
use lowbit_graph::ops::{Slice, StridedRange};
use lowbit_tensor::Tensor;

pub(super) fn reference(op: &Slice, inputs: &[Option<&Tensor>]) -> Result<Vec<Tensor>, EvalError> {
    let x = required(inputs, 0, "data")?;
    let ranges = op.ranges(&described(inputs))?;
    let extents: Vec<usize> = ranges.iter().map(|r| r.len).collect();
    let along = strides(x.shape());
    let start = ranges.iter().zip(&along).map(|(r, &s)| r.start * s as usize).sum();
    // A range of one index may have any step, which nobody takes.
    let steps = ranges.iter().zip(&along).map(|(r, &s)| if r.len > 1 { r.step * s } else { 0 }).collect();
    let data = x.data().take(strided(extents.clone(), steps, start));
    Ok(vec![Tensor::new(extents, data)?])
}

pub(super) fn gradient(
    op: &Slice,
    inputs: &[Option<&Tensor>],
    dy: &Tensor,
) -> Result<InputGradients, EvalError> {
    gradient::moved(inputs, &[0], &[Some(dy)], |places| reference(op, places))
}

/// Axis by axis.
pub(super) fn forward(op: &Slice, site: &Site<'_>) -> Option<Form> {
    let ranges = op.ranges(&site.described()).ok()?;
    let index = |r: &StridedRange, i: usize| r.start.checked_add_signed(r.step.checked_mul(i as isize)?);
    let sources: Vec<_> = ranges.iter().map(|r| (0..r.len).map(|i| index(r, i)).collect()).collect();
    fast::by_axis(site, &sources, 0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slice(x: &Tensor, [starts, ends, axes, steps]: [i64; 4]) -> Tensor {
        let parameters = [starts, ends, axes, steps].map(|v| Tensor::from_i64s(&[v]));
        let inputs: Vec<_> = std::iter::once(x).chain(&parameters).map(Some).collect();
        reference(&Slice, &inputs).unwrap().remove(0)
    }

    #[test]
    fn ranges_run_both_ways_along_any_axis() {
        let x = Tensor::from_f32([2, 3], vec![1., 2., 3., 4., 5., 6.]);
        assert_eq!(slice(&x, [1, i64::MAX, 1, 1]), Tensor::from_f32([2, 2], vec![2., 3., 5., 6.]));
        assert_eq!(slice(&x, [-1, i64::MIN, 1, -2]), Tensor::from_f32([2, 2], vec![3., 1., 6., 4.]));
        assert_eq!(slice(&x, [-1, -3, 0, -1]), Tensor::from_f32([2, 3], vec![4., 5., 6., 1., 2., 3.]));
        assert_eq!(slice(&x, [2, 1, 1, 1]), Tensor::from_f32([2, 0], vec![]));
        assert_eq!(slice(&x, [0, 1, 0, i64::MAX]), Tensor::from_f32([1, 3], vec![1., 2., 3.]));
    }
}
