//! `MaxPool`.

use super::support::fast;
use super::support::gradient::{self, InputGradients};
use super::support::window::{Cell, pool, windows};
use super::support::{from_f64, infer, required};
use crate::EvalError;
use crate::form::{Form, Layout, Site};
use crate::gradient::reverse::Reverse;
use lowbit_graph::ops::MaxPool;
use lowbit_kernels::pool::{max_pool, max_pool_backward};
use lowbit_tensor::{DType, Tensor};

pub(super) fn reference(op: &MaxPool, inputs: &[Option<&Tensor>]) -> Result<Vec<Tensor>, EvalError> {
    let ty = infer(op, inputs)?.remove(0);
    let x = required(inputs, 0, "X")?;
    if !(ty.dtype.is_float() || matches!(ty.dtype, DType::I8 | DType::U8)) {
        return Err(EvalError::DType { op: "MaxPool", dtype: ty.dtype });
    }
    // A window on nothing but padding gives −∞, or the lowest integer; NaN, once found, stays.
    let y = pool(x, &op.resolve(x.shape())?, |plane, cells| {
        cells.fold(f64::NEG_INFINITY, |largest, cell| match cell {
            Cell::At(i) if plane[i] > largest || plane[i].is_nan() => plane[i],
            _ => largest,
        })
    })?;
    Ok(vec![from_f64(&ty, y)?])
}

/// To the largest cell of each window, the first of equals.
pub(super) fn gradient(
    op: &MaxPool,
    inputs: &[Option<&Tensor>],
    dy: &Tensor,
) -> Result<InputGradients, EvalError> {
    let x = required(inputs, 0, "X")?;
    let (window, xs) = (op.resolve(x.shape())?, x.to_f64());
    let mut dx = vec![0.0; x.len()];
    for ((plane, cells), dy) in windows(x.shape(), &window)?.zip(dy.to_f64()) {
        let largest = cells.fold(None, |largest, cell| match (cell, largest) {
            (Cell::At(i), Some(m)) if !(xs[plane + i] > xs[m] || xs[plane + i].is_nan()) => Some(m),
            (Cell::At(i), _) => Some(plane + i),
            _ => largest,
        });
        if let Some(largest) = largest {
            dx[largest] += dy;
        }
    }
    Ok(vec![gradient::of(inputs, 0, dx)?])
}

/// One and two spatial axes on channels-last data.
pub(super) fn forward(op: &MaxPool, site: &Site<'_>) -> Option<Form> {
    let (isa, shape) = (site.isa, &site.data(0)?.ty.shape);
    let pool = fast::pool2d(shape, &op.resolve(shape).ok()?, op.ceil)?;
    Some(Form::unary(Layout::ChannelsLast, move |x, y| max_pool(isa, &pool, x, y)))
}

/// The way back of [`forward`].
pub(super) fn backward(op: &MaxPool, site: &Site<'_>) -> Option<Reverse> {
    let (isa, shape) = (site.isa, &site.data(0)?.ty.shape);
    let pool = fast::pool2d(shape, &op.resolve(shape).ok()?, op.ceil)?;
    Some(Reverse::new(move |pull| {
        if let Some(sink) = &mut pull.sinks[0] {
            max_pool_backward(isa, &pool, pull.inputs[0], pull.grad, sink.grad, sink.add);
        }
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use lowbit_graph::ops::{Padding, Window};
    use lowbit_tensor::Data;

    #[test]
    fn padding_never_wins() {
        let padding = Padding::Explicit(vec![1, 0, 1, 0]);
        let window = Window { strides: vec![2, 1], padding, ..Window::default() };
        let op = MaxPool { kernel: vec![2, 2], window, ceil: false };
        let x = Tensor::from_f32([1, 1, 2, 3], vec![-1., -2., -3., -4., -5., -6.]);
        assert_eq!(
            reference(&op, &[Some(&x)]).unwrap(),
            [Tensor::from_f32([1, 1, 2, 2], vec![-1., -2., -4., -5.])]
        );
    }

    #[test]
    fn codes_stay_codes() {
        let op = MaxPool { kernel: vec![2], window: Window::default(), ceil: false };
        let x = Tensor::new(vec![1, 1, 3], Data::I8(vec![-128, -7, 3])).unwrap();
        assert_eq!(reference(&op, &[Some(&x)]).unwrap()[0].data(), &Data::I8(vec![-7, 3]));
    }

    #[test]
    fn an_impossible_number_of_taps_is_refused() {
        let op = MaxPool {
            kernel: vec![1 << 31; 3],
            window: Window { padding: Padding::SameUpper, ..Window::default() },
            ceil: false,
        };
        assert!(reference(&op, &[Some(&Tensor::from_f32([1, 1, 1, 1, 1], vec![0.]))]).is_err());
    }
}
