//! `Softmax`.

use super::support::gradient::{self, InputGradients};
use super::support::{around, float, from_f64, infer, required};
use crate::EvalError;
use crate::form::{Form, Layout, Site};
use crate::gradient::reverse::Reverse;
use lowbit_graph::ops::Softmax;
use lowbit_graph::shape::axis;
use lowbit_kernels::softmax::{softmax_backward, softmax_in_place};
use lowbit_tensor::{DType, Tensor};

pub(super) fn reference(op: &Softmax, inputs: &[Option<&Tensor>]) -> Result<Vec<Tensor>, EvalError> {
    let ty = infer(op, inputs)?.remove(0);
    let x = required(inputs, 0, "X")?;
    float("Softmax", x)?;
    let [outer, n, inner] = around(x.shape(), axis(op.axis, x.shape().len())?);
    let mut y = x.to_f64();
    for (o, i) in (0..outer).flat_map(|o| (0..inner).map(move |i| (o, i))) {
        let at = |a| (o * n + a) * inner + i;
        // Subtracting the largest keeps the exponentials finite and changes nothing else.
        let largest = (0..n).map(|a| y[at(a)]).fold(f64::NEG_INFINITY, f64::max);
        let mut sum = 0.0;
        for a in 0..n {
            y[at(a)] = (y[at(a)] - largest).exp();
            sum += y[at(a)];
        }
        (0..n).for_each(|a| y[at(a)] /= sum);
    }
    Ok(vec![from_f64(&ty, y)?])
}

/// dx = y · (dy − Σ y·dy) along the axis.
pub(super) fn gradient(
    op: &Softmax,
    inputs: &[Option<&Tensor>],
    dy: &Tensor,
) -> Result<InputGradients, EvalError> {
    let x = required(inputs, 0, "X")?;
    let y = reference(op, &[Some(&x.cast(DType::F64))])?.remove(0).to_f64();
    let [outer, n, inner] = around(x.shape(), axis(op.axis, x.shape().len())?);
    let mut dx = dy.to_f64();
    for (o, i) in (0..outer).flat_map(|o| (0..inner).map(move |i| (o, i))) {
        let at = |a| (o * n + a) * inner + i;
        let mean: f64 = (0..n).map(|a| dx[at(a)] * y[at(a)]).sum();
        (0..n).for_each(|a| dx[at(a)] = y[at(a)] * (dx[at(a)] - mean));
    }
    Ok(vec![gradient::of(inputs, 0, dx)?])
}

/// Over the last axis of row-major data, or over the channels of channels-last data.
pub(super) fn forward(op: &Softmax, site: &Site<'_>) -> Option<Form> {
    let (isa, shape) = (site.isa, &site.data(0)?.ty.shape);
    let axis = axis(op.axis, shape.len()).ok()?;
    let columns = shape[axis];
    let layout = match axis {
        _ if axis + 1 == shape.len() => Layout::RowMajor,
        1 => Layout::ChannelsLast,
        _ => return None,
    };
    Some(Form::unary(layout, move |x, y| {
        y.copy_from_slice(x);
        softmax_in_place(isa, columns, y);
    }))
}

/// The way back of [`forward`], where it has one.
pub(super) fn backward(op: &Softmax, site: &Site<'_>) -> Option<Reverse> {
    let (isa, shape) = (site.isa, &site.data(0)?.ty.shape);
    let columns = shape[axis(op.axis, shape.len()).ok()?];
    Some(Reverse::new(move |pull| {
        softmax_backward(isa, columns, pull.output, pull.grad);
        if let Some(sink) = &mut pull.sinks[0] {
            sink.put(isa, pull.grad);
        }
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exponentials_sum_to_one_along_the_axis() {
        let ln3 = 3f32.ln();
        let x = Tensor::from_f32([2, 2], vec![0.0, 1000.0, ln3, 1000.0]);
        let y = reference(&Softmax { axis: 0 }, &[Some(&x)]).unwrap();
        assert_eq!(y, [Tensor::from_f32([2, 2], vec![0.25, 0.5, 0.75, 0.5])]);
    }
}
