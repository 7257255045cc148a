//! `ReduceMean`.

use super::support::gradient::{self, InputGradients};
use super::support::{broadcast_indices, described, fast, float, from_f64, infer, required};
use crate::EvalError;
use crate::form::{Form, Layout, Site};
use lowbit_graph::ops::ReduceMean;
use lowbit_kernels::pool::global_average_pool;
use lowbit_tensor::Tensor;

pub(super) fn reference(op: &ReduceMean, inputs: &[Option<&Tensor>]) -> Result<Vec<Tensor>, EvalError> {
    let ty = infer(op, inputs)?.remove(0);
    let x = required(inputs, 0, "data")?;
    float("ReduceMean", x)?;
    // With reduced axes kept at extent 1, the output broadcasts to the input: each element knows its sum.
    let reduced = op.reduced(&described(inputs))?;
    let kept: Vec<usize> =
        x.shape().iter().zip(reduced).map(|(&d, reduced)| if reduced { 1 } else { d }).collect();
    let mut sums = vec![0.0; ty.len()];
    for (x, i) in x.to_f64().into_iter().zip(broadcast_indices(&kept, x.shape())) {
        sums[i] += x;
    }
    let each = x.len() as f64 / sums.len() as f64;
    Ok(vec![from_f64(&ty, sums.into_iter().map(|sum| sum / each).collect())?])
}

pub(super) fn gradient(
    op: &ReduceMean,
    inputs: &[Option<&Tensor>],
    dy: &Tensor,
) -> Result<InputGradients, EvalError> {
    let x = required(inputs, 0, "data")?;
    let reduced = op.reduced(&described(inputs))?;
    let kept: Vec<usize> =
        x.shape().iter().zip(reduced).map(|(&d, reduced)| if reduced { 1 } else { d }).collect();
    let (each, dy) = (x.len() as f64 / dy.len() as f64, dy.to_f64());
    let dx = broadcast_indices(&kept, x.shape()).map(|i| dy[i] / each).collect();
    Ok(vec![gradient::of(inputs, 0, dx)?])
}

/// Over all spatial axes of channels-last data (a global average pool, as exporters write it), or over neighbouring
/// axes of row-major data.
pub(super) fn forward(op: &ReduceMean, site: &Site<'_>) -> Option<Form> {
    let (isa, shape) = (site.isa, &site.data(0)?.ty.shape);
    let reduced = op.reduced(&site.described()).ok()?;
    let spatial = shape.len() >= 3 && !reduced[0] && !reduced[1] && reduced[2..].iter().all(|&r| r);
    if spatial {
        let (channels, pixels) = (shape[1], shape[2..].iter().product());
        return Some(Form {
            reads: vec![(0, Layout::ChannelsLast)],
            // One cell per channel: both layouts are the same bytes, also without the reduced axes.
            output: Layout::RowMajor,
            scratch: 0,
            run: Box::new(move |x, _, y| global_average_pool(isa, pixels, channels, x[0], y)),
        });
    }
    let first = reduced.iter().position(|&r| r)?;
    let count = reduced[first..].iter().take_while(|&&r| r).count();
    if reduced[first + count..].contains(&true) {
        return None;
    }
    let cells: usize = shape[first..first + count].iter().product();
    let inner: usize = shape[first + count..].iter().product();
    Some(Form::unary(Layout::RowMajor, move |x, y| {
        for (x, y) in x.chunks(cells * inner).zip(y.chunks_mut(inner)) {
            if let [y] = y {
                *y = fast::sum(x, |x| x) / cells as f32;
                continue;
            }
            y.fill(0.0);
            x.chunks(inner).for_each(|x| y.iter_mut().zip(x).for_each(|(y, x)| *y += x));
            y.iter_mut().for_each(|y| *y /= cells as f32);
        }
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_named_axes_are_averaged() {
        let x = Tensor::from_f32([2, 1, 2], vec![1., 2., 3., 6.]);
        let op = ReduceMean { keepdims: false, noop_with_empty_axes: false };
        let y = |axes: &[i64]| reference(&op, &[Some(&x), Some(&Tensor::from_i64s(axes))]).unwrap().remove(0);
        assert_eq!(y(&[-1]), Tensor::from_f32([2, 1], vec![1.5, 4.5]));
        assert_eq!(y(&[0, 1]), Tensor::from_f32([2], vec![2., 4.]));
        assert_eq!(y(&[]), Tensor::scalar(3.0));
    }

    #[test]
    fn no_axes_can_mean_nothing_to_do() {
        let x = Tensor::from_f32([2], vec![1., 2.]);
        let op = ReduceMean { keepdims: true, noop_with_empty_axes: true };
        assert_eq!(reference(&op, &[Some(&x)]).unwrap(), [x]);
    }
}
