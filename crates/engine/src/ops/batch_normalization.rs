//! `BatchNormalization`.

use super::support::gradient::{self, InputGradients};
use super::support::{around, float, from_f64, infer, required};
use crate::EvalError;
use crate::form::{Form, Layout, Site};
use lowbit_graph::ops::BatchNormalization;
use lowbit_kernels::{Binary, elementwise};
use lowbit_tensor::Tensor;

pub(super) fn reference(
    op: &BatchNormalization,
    inputs: &[Option<&Tensor>],
) -> Result<Vec<Tensor>, EvalError> {
    let ty = infer(op, inputs)?.remove(0);
    let x = required(inputs, 0, "X")?;
    float("BatchNormalization", x)?;
    let parameter = |i, name| required(inputs, i, name).map(Tensor::to_f64);
    let (scale, shift) = (parameter(1, "scale")?, parameter(2, "B")?);
    let (mean, variance) = (parameter(3, "input_mean")?, parameter(4, "input_var")?);
    let [_, channels, cells] = around(x.shape(), 1);
    let normal = |(i, x): (usize, f64)| {
        let c = i / cells % channels;
        (x - mean[c]) / (variance[c] + f64::from(op.epsilon)).sqrt() * scale[c] + shift[c]
    };
    Ok(vec![from_f64(&ty, x.to_f64().into_iter().enumerate().map(normal).collect())?])
}

/// Of the statistics too: at rest they are parameters like the others.
pub(super) fn gradient(
    op: &BatchNormalization,
    inputs: &[Option<&Tensor>],
    dy: &Tensor,
) -> Result<InputGradients, EvalError> {
    let x = required(inputs, 0, "X")?;
    let parameter = |i, name| required(inputs, i, name).map(Tensor::to_f64);
    let (scale, mean, variance) =
        (parameter(1, "scale")?, parameter(3, "input_mean")?, parameter(4, "input_var")?);
    let [_, channels, cells] = around(x.shape(), 1);
    let mut dx = Vec::with_capacity(x.len());
    let [mut by_scale, mut by_shift, mut by_mean, mut by_variance] = [0; 4].map(|_| vec![0.0; channels]);
    for (i, (x, dy)) in x.to_f64().into_iter().zip(dy.to_f64()).enumerate() {
        let c = i / cells % channels;
        let deviation = (variance[c] + f64::from(op.epsilon)).sqrt();
        let (normal, slope) = ((x - mean[c]) / deviation, scale[c] / deviation);
        dx.push(dy * slope);
        by_scale[c] += dy * normal;
        by_shift[c] += dy;
        by_mean[c] -= dy * slope;
        by_variance[c] -= dy * slope * normal / (2.0 * deviation);
    }
    let all = [dx, by_scale, by_shift, by_mean, by_variance];
    all.into_iter().enumerate().map(|(i, values)| gradient::of(inputs, i, values)).collect()
}

/// One factor and one shift per channel, on channels-last data.
pub(super) fn forward(op: &BatchNormalization, site: &Site<'_>) -> Option<Form> {
    site.data(0)?;
    let isa = site.isa;
    let parameter = |i: usize| site.input(i)?.weights();
    let (scale, shift) = (parameter(1)?, parameter(2)?);
    let (mean, variance) = (parameter(3)?, parameter(4)?);
    let factor = |(scale, variance): (&f32, &f32)| {
        f64::from(*scale) / (f64::from(*variance) + f64::from(op.epsilon)).sqrt()
    };
    let factors: Vec<f64> = scale.iter().zip(&variance).map(factor).collect();
    let moved = |((shift, mean), factor): ((&f32, &f32), &f64)| {
        (f64::from(*shift) - f64::from(*mean) * factor) as f32
    };
    let shifts: Vec<f32> = shift.iter().zip(&mean).zip(&factors).map(moved).collect();
    let factors: Vec<f32> = factors.into_iter().map(|f| f as f32).collect();
    Some(Form::unary(Layout::ChannelsLast, move |x, y| {
        y.copy_from_slice(x);
        elementwise::binary_channel_in_place(isa, Binary::Mul, y, &factors);
        elementwise::binary_channel_in_place(isa, Binary::Add, y, &shifts);
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_channel_is_scaled_and_shifted() {
        let x = Tensor::from_f32([1, 2, 2], vec![1., 3., 10., 20.]);
        let [scale, shift, mean, variance] =
            [[2., 1.], [0., 5.], [1., 10.], [3., 24.]].map(|v| Tensor::from_f32([2], v.to_vec()));
        let op = BatchNormalization { epsilon: 1.0 };
        let y =
            reference(&op, &[Some(&x), Some(&scale), Some(&shift), Some(&mean), Some(&variance)]).unwrap();
        assert_eq!(y, [Tensor::from_f32([1, 2, 2], vec![0., 2., 5., 7.])]);
    }
}
