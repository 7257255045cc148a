//! Fast forms that several operators share.

use super::moves::Moves;
use crate::form::{Form, Layout, Site};
use lowbit_graph::ops::Resolved;
use lowbit_kernels::{Binary, Pool2d, Unary, elementwise};
use lowbit_tensor::DType;

/// One function of one value, in whatever layout the data has.
pub(in crate::ops) fn unary(op: Unary, site: &Site<'_>) -> Option<Form> {
    let (isa, layout) = (site.isa, site.data(0)?.layout);
    Some(Form::unary(layout, move |x, y| elementwise::unary(isa, op, x, y)))
}

/// One function of one value that no kernel knows, in whatever layout the data has.
pub(in crate::ops) fn map(site: &Site<'_>, f: impl Fn(f32) -> f32 + Send + Sync + 'static) -> Option<Form> {
    let layout = site.data(0)?.layout;
    Some(Form::unary(layout, move |x, y| y.iter_mut().zip(x).for_each(|(y, &x)| *y = f(x))))
}

/// The same elements in the same order under another shape.
pub(in crate::ops) fn copy(site: &Site<'_>) -> Option<Form> {
    site.data(0)?;
    Some(Form::unary(Layout::RowMajor, |x, y| y.copy_from_slice(x)))
}

/// An operation on two tensors that broadcast.
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
    let in_place = move |y: &mut [f32], b: &[f32]| elementwise::binary_channel_in_place(isa, op, y, b);
    let turned = || if matches!(op, Binary::Add | Binary::Mul) { onto(site, 1, 0, in_place) } else { None };
    onto(site, 0, 1, in_place).or_else(turned).or_else(|| spread(op, site))
}

/// `f(y, b)` for each stretch of `y`, a copy of input `large` (of the output's shape), along whose fastest axis the
/// values `b` of input `small` repeat. `None` where `small` does not lie so in either layout.
pub(in crate::ops) fn onto(
    site: &Site<'_>,
    large: usize,
    small: usize,
    f: impl Fn(&mut [f32], &[f32]) + Send + Sync + 'static,
) -> Option<Form> {
    let (x, other) = (site.data(large)?, site.input(small)?);
    let shape = &site.output.shape;
    if x.ty.shape != *shape || other.ty.dtype != DType::F32 {
        return None;
    }
    let constant = other.weights();
    let ranks_agree = other.ty.shape.len() == shape.len() && constant.is_none();
    let layouts = if shape.len() < 3 {
        vec![x.layout]
    } else if x.layout == Layout::RowMajor {
        vec![Layout::RowMajor, Layout::ChannelsLast]
    } else {
        vec![Layout::ChannelsLast, Layout::RowMajor]
    };
    let (layout, read, [stretch, run]) = layouts.into_iter().find_map(|layout| {
        let read = if ranks_agree { layout } else { Layout::RowMajor };
        Some((layout, read, repeats(&other.ty.shape, read, shape, layout)?))
    })?;
    let mut reads = vec![(large, layout)];
    reads.extend(constant.is_none().then_some((small, read)));
    Some(Form {
        reads,
        output: layout,
        scratch: 0,
        run: Box::new(move |x, _, y| {
            y.copy_from_slice(x[0]);
            let b = constant.as_deref().unwrap_or_else(|| x[1]);
            y.chunks_mut(stretch).zip(b.chunks(run)).for_each(|(y, b)| f(y, b));
        }),
    })
}

/// How `small` (in layout `read`) lies in its broadcast to `shape` (in `layout`): its values come in runs, and each run
/// repeats over a stretch. Returns the lengths of stretch and run; `None` where it is not so.
fn repeats(small: &[usize], read: Layout, shape: &[usize], layout: Layout) -> Option<[usize; 2]> {
    let strides = broadcast_strides(small, read, shape.len());
    let mut axes = order(shape.len(), layout).into_iter().rev().filter(|&a| shape[a] > 1).peekable();
    let mut run = 1;
    while let Some(a) = axes.next_if(|&a| strides[a] == run) {
        run *= shape[a];
    }
    let mut stretch = run;
    while let Some(a) = axes.next_if(|&a| strides[a] == 0) {
        stretch *= shape[a];
    }
    let mut next = run;
    while let Some(a) = axes.next_if(|&a| strides[a] == next) {
        next *= shape[a];
    }
    axes.next().is_none().then_some([stretch, run])
}

/// Both operands brought to the output's shape first: what broadcasts both ways, or is taken from the wrong side.
fn spread(op: Binary, site: &Site<'_>) -> Option<Form> {
    let (isa, shape) = (site.isa, &site.output.shape);
    let mut reads = Vec::new();
    let mut operands = Vec::new();
    for i in 0..2 {
        let operand = site.input(i).filter(|o| o.ty.dtype == DType::F32)?;
        let strides = broadcast_strides(&operand.ty.shape, Layout::RowMajor, shape.len());
        let axes = shape.iter().zip(strides).map(|(&n, s)| (0..n).map(|i| Some(i * s)).collect());
        operands.push((operand.weights(), Moves::new(axes.collect(), 0.0)));
        reads.extend(operand.constant.is_none().then_some((i, Layout::RowMajor)));
    }
    let [left, right] = <[_; 2]>::try_from(operands).ok()?;
    Some(Form {
        reads,
        output: Layout::RowMajor,
        scratch: site.output.len(),
        run: Box::new(move |x, scratch, y| {
            let mut data = x.iter();
            let spread = &mut scratch[..y.len()];
            for ((constant, moves), to) in [(&left, &mut *y), (&right, &mut *spread)] {
                let from = constant.as_deref().or_else(|| data.next().copied()).unwrap_or(&[]);
                moves.apply(from, to);
            }
            elementwise::binary_in_place(isa, op, y, spread);
        }),
    })
}

/// The axes of a tensor of that rank, slowest first.
pub(in crate::ops) fn order(rank: usize, layout: Layout) -> Vec<usize> {
    match layout {
        Layout::ChannelsLast if rank >= 3 => [0].into_iter().chain(2..rank).chain([1]).collect(),
        _ => (0..rank).collect(),
    }
}

/// Distance between neighbours along each axis.
pub(in crate::ops) fn strides(shape: &[usize], layout: Layout) -> Vec<usize> {
    let (mut strides, mut stride) = (vec![0; shape.len()], 1);
    for axis in order(shape.len(), layout).into_iter().rev() {
        strides[axis] = stride;
        stride *= shape[axis];
    }
    strides
}

/// [`strides`] of a tensor that broadcasts to `rank` axes; 0 where it repeats.
pub(in crate::ops) fn broadcast_strides(shape: &[usize], layout: Layout, rank: usize) -> Vec<usize> {
    let own = strides(shape, layout).into_iter().zip(shape).map(|(s, &n)| if n == 1 { 0 } else { s });
    std::iter::repeat_n(0, rank - shape.len()).chain(own).collect()
}

/// A result whose index along each axis comes from one index of input 0 along the same axis: `sources[a][i]`, or
/// `fill` for `None`. Works in whatever layout the data has.
pub(in crate::ops) fn by_axis(site: &Site<'_>, sources: &[Vec<Option<usize>>], fill: f32) -> Option<Form> {
    let x = site.data(0)?;
    let (layout, strides) = (x.layout, strides(&x.ty.shape, x.layout));
    let axis = |a: usize| sources[a].iter().map(|i| i.map(|i| i * strides[a])).collect();
    let moves = Moves::new(order(sources.len(), layout).into_iter().map(axis).collect(), fill);
    Some(Form::unary(layout, move |x, y| moves.apply(x, y)))
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

/// The sum of `f` over a row: in many parts, which is faster and more exact than in one.
pub(in crate::ops) fn sum(row: &[f32], f: impl Fn(f32) -> f32) -> f32 {
    let mut parts = [0.0; 16];
    for chunk in row.chunks(parts.len()) {
        parts.iter_mut().zip(chunk).for_each(|(sum, &x)| *sum += f(x));
    }
    parts.iter().sum()
}
