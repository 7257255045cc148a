//! `AveragePool`.

use super::support::fast;
use super::support::gradient::{self, InputGradients};
use super::support::window::{Cell, pool, windows};
use super::support::{float, from_f64, infer, required};
use crate::EvalError;
use crate::form::{Form, Layout, Site};
use crate::gradient::reverse::Reverse;
use lowbit_graph::ops::AveragePool;
use lowbit_kernels::pool::{average_pool, average_pool_backward};
use lowbit_tensor::Tensor;

pub(super) fn reference(op: &AveragePool, inputs: &[Option<&Tensor>]) -> Result<Vec<Tensor>, EvalError> {
    let ty = infer(op, inputs)?.remove(0);
    let x = required(inputs, 0, "X")?;
    float("AveragePool", x)?;
    let y = pool(x, &op.resolve(x.shape())?, |plane, cells| {
        let (sum, count) = cells.fold((0.0, 0u64), |(sum, count), cell| match cell {
            Cell::At(i) => (sum + plane[i], count + 1),
            Cell::Padding => (sum, count + u64::from(op.count_include_pad)),
            Cell::Beyond => (sum, count),
        });
        sum / count as f64
    })?;
    Ok(vec![from_f64(&ty, y)?])
}

/// Each cell that was averaged gets an equal share.
pub(super) fn gradient(
    op: &AveragePool,
    inputs: &[Option<&Tensor>],
    dy: &Tensor,
) -> Result<InputGradients, EvalError> {
    let x = required(inputs, 0, "X")?;
    let window = op.resolve(x.shape())?;
    let mut dx = vec![0.0; x.len()];
    for ((plane, cells), dy) in windows(x.shape(), &window)?.zip(dy.to_f64()) {
        let counts = |cell: &Cell| match cell {
            Cell::At(_) => true,
            Cell::Padding => op.count_include_pad,
            Cell::Beyond => false,
        };
        let share = dy / cells.clone().filter(counts).count() as f64;
        for cell in cells {
            if let Cell::At(i) = cell {
                dx[plane + i] += share;
            }
        }
    }
    Ok(vec![gradient::of(inputs, 0, dx)?])
}

/// One and two spatial axes on channels-last data.
pub(super) fn forward(op: &AveragePool, site: &Site<'_>) -> Option<Form> {
    let (isa, shape, count_pad) = (site.isa, &site.data(0)?.ty.shape, op.count_include_pad);
    let pool = fast::pool2d(shape, &op.resolve(shape).ok()?, op.ceil)?;
    Some(Form::unary(Layout::ChannelsLast, move |x, y| average_pool(isa, &pool, count_pad, x, y)))
}

/// The way back of [`forward`].
pub(super) fn backward(op: &AveragePool, site: &Site<'_>) -> Option<Reverse> {
    let (isa, shape, count_pad) = (site.isa, &site.data(0)?.ty.shape, op.count_include_pad);
    let pool = fast::pool2d(shape, &op.resolve(shape).ok()?, op.ceil)?;
    Some(Reverse::new(move |pull| {
        if let Some(sink) = &mut pull.sinks[0] {
            average_pool_backward(isa, &pool, count_pad, pull.grad, sink.grad, sink.add);
        }
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use lowbit_graph::ops::{Padding, Window};

    fn means(op: &AveragePool) -> Vec<f32> {
        let x = Tensor::from_f32([1, 1, 5], vec![1., 2., 3., 4., 5.]);
        reference(op, &[Some(&x)]).unwrap()[0].to_f32()
    }

    #[test]
    fn padding_counts_if_asked_but_cells_beyond_it_never() {
        let padding = Padding::Explicit(vec![1, 0]);
        let window = Window { strides: vec![2], dilations: vec![], padding };
        let op = AveragePool { kernel: vec![3], window, ceil: true, count_include_pad: false };
        assert_eq!(means(&op), [1.5, 3., 4.5]);
        assert_eq!(means(&AveragePool { count_include_pad: true, ..op }), [1., 3., 4.5]);
    }
}
