//! `LayerNormalization`.

use super::support::gradient::{self, InputGradients};
use super::support::{broadcast_indices, fast, float, from_f64, infer, required};
use crate::EvalError;
use crate::form::{Form, Layout, Site};
use lowbit_graph::ops::LayerNormalization;
use lowbit_graph::shape::axis;
use lowbit_tensor::Tensor;

pub(super) fn reference(
    op: &LayerNormalization,
    inputs: &[Option<&Tensor>],
) -> Result<Vec<Tensor>, EvalError> {
    let ty = infer(op, inputs)?.remove(0);
    let (x, scale) = (required(inputs, 0, "X")?, required(inputs, 1, "Scale")?);
    float("LayerNormalization", x)?;
    let row: usize = x.shape()[axis(op.axis, x.shape().len())?..].iter().product();
    let mut y = x.to_f64();
    for row in y.chunks_mut(row.max(1)) {
        let mean = row.iter().sum::<f64>() / row.len() as f64;
        let variance = row.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / row.len() as f64;
        row.iter_mut().for_each(|x| *x = (*x - mean) / (variance + f64::from(op.epsilon)).sqrt());
    }
    let factors = scale.to_f64();
    y.iter_mut().zip(broadcast_indices(scale.shape(), x.shape())).for_each(|(y, i)| *y *= factors[i]);
    if let Some(b) = inputs.get(2).copied().flatten() {
        let shifts = b.to_f64();
        y.iter_mut().zip(broadcast_indices(b.shape(), x.shape())).for_each(|(y, i)| *y += shifts[i]);
    }
    Ok(vec![from_f64(&ty, y)?])
}

/// With x̂ the normalized row and g = dy · Scale: dx = (g − mean(g) − x̂ · mean(g · x̂)) / deviation.
pub(super) fn gradient(
    op: &LayerNormalization,
    inputs: &[Option<&Tensor>],
    dy: &Tensor,
) -> Result<InputGradients, EvalError> {
    let (x, scale) = (required(inputs, 0, "X")?, required(inputs, 1, "Scale")?);
    let (dy, factors, shape) = (dy.to_f64(), scale.to_f64(), x.shape());
    let row: usize = shape[axis(op.axis, shape.len())?..].iter().product();
    let mut normal = x.to_f64();
    let mut dx: Vec<f64> =
        broadcast_indices(scale.shape(), shape).zip(&dy).map(|(i, dy)| dy * factors[i]).collect();
    for (normal, dx) in normal.chunks_mut(row.max(1)).zip(dx.chunks_mut(row.max(1))) {
        let mean_of = |values: &mut dyn Iterator<Item = f64>| values.sum::<f64>() / row as f64;
        let mean = mean_of(&mut normal.iter().copied());
        let variance = mean_of(&mut normal.iter().map(|x| (x - mean).powi(2)));
        let deviation = (variance + f64::from(op.epsilon)).sqrt();
        normal.iter_mut().for_each(|x| *x = (*x - mean) / deviation);
        let along =
            [mean_of(&mut dx.iter().copied()), mean_of(&mut dx.iter().zip(&*normal).map(|(dx, x)| dx * x))];
        dx.iter_mut().zip(&*normal).for_each(|(dx, x)| *dx = (*dx - along[0] - x * along[1]) / deviation);
    }
    let by_scale = gradient::folded(dy.iter().zip(&normal).map(|(dy, x)| dy * x), shape, scale.shape());
    let mut grads = vec![gradient::of(inputs, 0, dx)?, gradient::of(inputs, 1, by_scale)?];
    if let Some(b) = inputs.get(2).copied().flatten() {
        grads.push(gradient::of(inputs, 2, gradient::folded(dy, shape, b.shape()))?);
    }
    Ok(grads)
}

/// Over the last axes of row-major data, with constant scale and shift.
pub(super) fn forward(op: &LayerNormalization, site: &Site<'_>) -> Option<Form> {
    let shape = &site.data(0)?.ty.shape;
    let normalized = &shape[axis(op.axis, shape.len()).ok()?..];
    let row: usize = normalized.iter().product();
    let parameter = |i: usize| site.input(i)?.weights().filter(|w| w.len() == row);
    let scale = parameter(1)?;
    let shift = if site.input(2).is_some() { parameter(2)? } else { vec![0.0; row] };
    let epsilon = op.epsilon;
    Some(Form::unary(Layout::RowMajor, move |x, y| {
        for (x, y) in x.chunks(row).zip(y.chunks_mut(row)) {
            let mean = fast::sum(x, |x| x) / row as f32;
            let variance = fast::sum(x, |x| (x - mean) * (x - mean)) / row as f32;
            let factor = 1.0 / (variance + epsilon).sqrt();
            for (((y, x), scale), shift) in y.iter_mut().zip(x).zip(&scale).zip(&shift) {
                *y = (x - mean) * factor * scale + shift;
            }
        }
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_get_zero_mean_and_unit_variance_then_scale_and_shift() {
        let x = Tensor::from_f32([2, 2], vec![1., 3., 10., 30.]);
        let (scale, b) = (Tensor::from_f32([2], vec![1., 2.]), Tensor::from_f32([2], vec![0., 5.]));
        let op = LayerNormalization { axis: -1, epsilon: 0.0 };
        let y = reference(&op, &[Some(&x), Some(&scale), Some(&b)]).unwrap();
        assert_eq!(y, [Tensor::from_f32([2, 2], vec![-1., 7., -1., 7.])]);
    }

    #[test]
    fn an_empty_tensor_stays_empty() {
        let (x, scale) = (Tensor::from_f32([2, 0], vec![]), Tensor::scalar(1.0));
        let op = LayerNormalization { axis: 1, epsilon: 0.0 };
        assert_eq!(reference(&op, &[Some(&x), Some(&scale)]).unwrap(), [x]);
    }
}
