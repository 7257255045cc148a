//! Fast forms that several operators share.

use crate::form::{Form, Layout, Site};
use lowbit_graph::ops::Resolved;
use lowbit_kernels::{Binary, Pool2d, Unary, elementwise};

/// One function of one value, in whatever layout the data has.
pub(in crate::ops) fn unary(op: Unary, site: &Site<'_>) -> Option<Form> {
    let (isa, layout) = (site.isa, site.data(0)?.layout);
    Some(Form::unary(layout, move |x, y| elementwise::unary(isa, op, x, y)))
}

/// The same elements in the same order under another shape.
pub(in crate::ops) fn copy(site: &Site<'_>) -> Option<Form> {
    site.data(0)?;
    Some(Form::unary(Layout::RowMajor, |x, y| y.copy_from_slice(x)))
}

/// An operation on two tensors of one shape, or on a tensor and a constant that is one number or one per channel.
pub(in crate::ops) fn binary(op: Binary, site: &Site<'_>) -> Option<Form> {
    let isa = site.isa;
    let same = |i: usize| site.data(i).is_some_and(|o| o.ty.shape == site.output.shape);
    if same(0) && same(1) {
        let layout = site.data(0)?.layout;
        return Some(Form {
            reads: vec![(0, layout), (1, layout)],
            output: layout,
            scratch: 0,
            run: Box::new(move |x, _, y| elementwise::binary(isa, op, x[0], x[1], y)),
        });
    }
    // The constant must be the right operand, unless the order does not matter.
    let (data, other) = match (same(0), same(1)) {
        (true, false) => (0, 1),
        (false, true) if matches!(op, Binary::Add | Binary::Mul) => (1, 0),
        _ => return None,
    };
    let constant = site.input(other)?;
    let values = constant.weights()?;
    let shape = &site.output.shape;
    let layout = if values.len() == 1 {
        site.data(data)?.layout
    } else {
        per_channel(&constant.ty.shape, shape)?
    };
    Some(Form {
        reads: vec![(data, layout)],
        output: layout,
        scratch: 0,
        run: Box::new(move |x, _, y| {
            y.copy_from_slice(x[0]);
            elementwise::binary_channel_in_place(isa, op, y, &values);
        }),
    })
}

/// The layout in which the values of a broadcast constant run along the fastest axis of `shape`: one per channel of
/// channels-last data, or one per element of the last axis of row-major data.
fn per_channel(constant: &[usize], shape: &[usize]) -> Option<Layout> {
    let rank = shape.len();
    let at = |axis: usize| (axis + constant.len()).checked_sub(rank).map_or(1, |i| constant[i]);
    let only = |axis: usize| (0..rank).all(|a| at(a) == if a == axis { shape[axis] } else { 1 });
    match rank {
        3.. if only(1) => Some(Layout::ChannelsLast),
        1.. if only(rank - 1) => Some(Layout::RowMajor),
        _ => None,
    }
}

/// A pool over one or two spatial axes; one axis is a picture of height one.
pub(in crate::ops) fn pool2d(shape: &[usize], w: &Resolved, ceil: bool) -> Option<Pool2d> {
    let two = |list: &[usize], first: usize| match *list {
        [b] => Some([first, b]),
        [a, b] => Some([a, b]),
        _ => None,
    };
    let [in_h, in_w] = two(&shape[2..], 1)?;
    let ([top, left], [bottom, right]) = (two(&w.begins, 0)?, two(&w.ends, 0)?);
    let pool = Pool2d {
        in_h,
        in_w,
        channels: shape[1],
        kernel: two(&w.kernel, 1)?,
        stride: two(&w.strides, 1)?,
        dilation: two(&w.dilations, 1)?,
        pads: [top, left, bottom, right],
        ceil,
    };
    let [out_h, out_w] = two(&w.output, 1)?;
    (pool.check().is_ok() && [pool.out_h(), pool.out_w()] == [out_h, out_w]).then_some(pool)
}

/// `[rows, columns]` as `[columns, rows]`.
pub(in crate::ops) fn transposed(values: &[f32], rows: usize, columns: usize) -> Vec<f32> {
    let mut out = vec![0.0; values.len()];
    lowbit_kernels::layout::transpose(rows, columns, values, &mut out);
    out
}
