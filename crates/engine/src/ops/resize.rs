//! `Resize`.

use super::support::fast;
use super::support::gradient::{self, InputGradients};
use super::support::{around, count, described, float, from_f64, infer, required};
use crate::EvalError;
use crate::form::{Form, Layout, Site};
use lowbit_graph::ops::{Coordinates, Interpolation, Nearest, Rescale, Resize};
use lowbit_tensor::Tensor;

pub(super) fn reference(op: &Resize, inputs: &[Option<&Tensor>]) -> Result<Vec<Tensor>, EvalError> {
    let ty = infer(op, inputs)?.remove(0);
    let x = required(inputs, 0, "X")?;
    let rescales = op.resolve(&described(inputs))?;
    if ty.is_empty() {
        return Ok(vec![Tensor::zeros(ty.dtype, ty.shape)?]);
    }
    let samples = |axis: usize| {
        let (rescale, cells) = (rescales[axis], x.shape()[axis]);
        (0..rescale.output).map(move |i| coordinate(op.coordinates, i, rescale, cells))
    };
    match op.interpolation {
        Interpolation::Nearest(nearest) => {
            // Index of the input element for each output element, axis by axis from the first.
            let mut indices = vec![0];
            for axis in 0..x.shape().len() {
                let cells: Vec<usize> = samples(axis).map(|at| cell(nearest, at, x.shape()[axis])).collect();
                indices =
                    indices.iter().flat_map(|i| cells.iter().map(move |c| i * x.shape()[axis] + c)).collect();
            }
            Ok(vec![Tensor::new(ty.shape, x.data().take(indices.into_iter()))?])
        }
        Interpolation::Linear => {
            float("linear Resize", x)?;
            let (mut values, mut shape) = (x.to_f64(), x.shape().to_vec());
            for axis in (0..shape.len()).filter(|&axis| rescales[axis].scale != 1.0) {
                let mut enlarged = shape.clone();
                enlarged[axis] = rescales[axis].output;
                count(&enlarged)?; // may be larger than the result, which `infer` has checked
                values = interpolate(&values, &shape, axis, samples(axis));
                shape = enlarged;
            }
            Ok(vec![from_f64(&ty, values)?])
        }
    }
}

/// Nearest: to the cell taken. Linear: shared by the two cells beside each sample.
pub(super) fn gradient(
    op: &Resize,
    inputs: &[Option<&Tensor>],
    dy: &Tensor,
) -> Result<InputGradients, EvalError> {
    if let Interpolation::Nearest(_) = op.interpolation {
        return gradient::moved(inputs, &[0], &[Some(dy)], |places| reference(op, places));
    }
    let x = required(inputs, 0, "X")?;
    let rescales = op.resolve(&described(inputs))?;
    if dy.is_empty() {
        return Ok(vec![gradient::of(inputs, 0, vec![0.0; x.len()])?]);
    }
    // The forward goes through the axes from the first; its transpose from the last.
    let (mut values, mut shape) = (dy.to_f64(), dy.shape().to_vec());
    for axis in (0..shape.len()).rev().filter(|&axis| rescales[axis].scale != 1.0) {
        let cells = x.shape()[axis];
        let samples = (0..shape[axis]).map(|i| coordinate(op.coordinates, i, rescales[axis], cells));
        shape[axis] = cells;
        count(&shape)?; // may be larger than both ends
        values = gather_back(&values, &shape, axis, samples);
    }
    Ok(vec![gradient::of(inputs, 0, values)?])
}

/// Coordinate of output cell `i` on an input axis of `cells`.
///
/// In f32, as the runtimes compute it: which of two cells is the nearer often hangs on its rounding.
fn coordinate(kind: Coordinates, i: usize, Rescale { output, scale }: Rescale, cells: usize) -> f32 {
    let at = i as f32;
    match kind {
        _ if scale == 1.0 => at,
        Coordinates::PytorchHalfPixel | Coordinates::AlignCorners if output == 1 => 0.0,
        Coordinates::HalfPixel | Coordinates::PytorchHalfPixel => (at + 0.5) / scale - 0.5,
        Coordinates::HalfPixelSymmetric => {
            // What rounding the output down cut off is taken from both ends alike.
            let adjustment = output as f32 / (scale * cells as f32);
            cells as f32 / 2.0 * (1.0 - adjustment) + (at + 0.5) / scale - 0.5
        }
        Coordinates::AlignCorners => at * (cells - 1) as f32 / (output - 1) as f32,
        Coordinates::Asymmetric => at / scale,
    }
}

/// The cell nearest to a coordinate, of `cells` (at least one).
fn cell(nearest: Nearest, at: f32, cells: usize) -> usize {
    let rounded = match nearest {
        Nearest::PreferFloor => (at - 0.5).ceil(),
        Nearest::PreferCeil => at.round(), // away from zero; `at + 0.5` would itself round
        Nearest::Floor => at.floor(),
        Nearest::Ceil => at.ceil(),
    };
    (rounded as usize).min(cells - 1) // negative goes to 0
}

/// The cells beside a coordinate, and the share of the higher one.
struct Pair {
    low: usize,
    high: usize,
    weight: f64,
}

fn pair(at: f64, cells: usize) -> Pair {
    let at = at.clamp(0.0, (cells - 1) as f64);
    let low = at as usize;
    Pair { low, high: (low + 1).min(cells - 1), weight: at.fract() }
}

/// Values of a tensor of `shape` at `samples` along one axis, linear between cells and constant outside.
fn interpolate(values: &[f64], shape: &[usize], axis: usize, samples: impl Iterator<Item = f32>) -> Vec<f64> {
    let [outer, cells, inner] = around(shape, axis);
    let pairs: Vec<Pair> = samples.map(|at| pair(at.into(), cells)).collect();
    let mut y = Vec::with_capacity(outer * pairs.len() * inner);
    for o in 0..outer {
        for &Pair { low, high, weight } in &pairs {
            let (low, high) = (o * cells + low, o * cells + high);
            y.extend(
                (0..inner)
                    .map(|i| values[low * inner + i] * (1.0 - weight) + values[high * inner + i] * weight),
            );
        }
    }
    y
}

/// The transpose of [`interpolate`]: back to `shape`, where each sample's value is shared by the cells beside it.
fn gather_back(values: &[f64], shape: &[usize], axis: usize, samples: impl Iterator<Item = f32>) -> Vec<f64> {
    let [outer, cells, inner] = around(shape, axis);
    let pairs: Vec<Pair> = samples.map(|at| pair(at.into(), cells)).collect();
    let mut x = vec![0.0; outer * cells * inner];
    for (k, &value) in values.iter().enumerate() {
        let (o, i) = (k / inner / pairs.len(), k % inner);
        let Pair { low, high, weight } = pairs[k / inner % pairs.len()];
        x[(o * cells + low) * inner + i] += value * (1.0 - weight);
        x[(o * cells + high) * inner + i] += value * weight;
    }
    x
}

/// Nearest along any axes; linear along one or two spatial axes of channels-last data.
pub(super) fn forward(op: &Resize, site: &Site<'_>) -> Option<Form> {
    let shape = &site.data(0)?.ty.shape;
    let rescales = op.resolve(&site.described()).ok()?;
    let samples = |a: usize| {
        let (rescale, cells) = (rescales[a], shape[a]);
        (0..rescale.output).map(move |i| coordinate(op.coordinates, i, rescale, cells))
    };
    if let Interpolation::Nearest(nearest) = op.interpolation {
        let cells = |a: usize| samples(a).map(|at| Some(cell(nearest, at, shape[a]))).collect();
        return fast::by_axis(site, &(0..shape.len()).map(cells).collect::<Vec<_>>(), 0.0);
    }
    let spatial = matches!(shape.len(), 3 | 4) && rescales[..2].iter().all(|r| r.scale == 1.0);
    if !spatial {
        return None;
    }
    let pairs = |a: usize| -> Vec<Pair> { samples(a).map(|at| pair(at.into(), shape[a])).collect() };
    let columns = pairs(shape.len() - 1);
    let rows = if shape.len() == 4 { pairs(2) } else { vec![pair(0.0, 1)] };
    let (height, width) = (if shape.len() == 4 { shape[2] } else { 1 }, shape[shape.len() - 1]);
    let channels = shape[1];
    Some(Form::unary(Layout::ChannelsLast, move |x, y| {
        let image = rows.len() * columns.len() * channels;
        for (x, y) in x.chunks(height * width * channels).zip(y.chunks_mut(image)) {
            for (row, y) in rows.iter().zip(y.chunks_mut(columns.len() * channels)) {
                for (column, y) in columns.iter().zip(y.chunks_mut(channels)) {
                    blend(x, width, channels, row, column, y);
                }
            }
        }
    }))
}

/// The pixel between two rows and two columns.
fn blend(x: &[f32], width: usize, channels: usize, row: &Pair, column: &Pair, y: &mut [f32]) {
    let pixel = |row: usize, column: usize| &x[(row * width + column) * channels..][..channels];
    let corners =
        [(row.low, column.low), (row.low, column.high), (row.high, column.low), (row.high, column.high)];
    let [a, b, c, d] = corners.map(|(row, column)| pixel(row, column));
    let (down, right) = (row.weight as f32, column.weight as f32);
    for (i, y) in y.iter_mut().enumerate() {
        let upper = a[i] * (1.0 - right) + b[i] * right;
        let lower = c[i] * (1.0 - right) + d[i] * right;
        *y = upper * (1.0 - down) + lower * down;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lowbit_graph::ops::Aspect;

    fn resized(interpolation: Interpolation, coordinates: Coordinates, x: &[f32], output: i64) -> Vec<f32> {
        let op = Resize { interpolation, coordinates, axes: vec![0], aspect: Aspect::Stretch };
        let (x, sizes) = (Tensor::from_f32([x.len()], x.to_vec()), Tensor::from_i64s(&[output]));
        reference(&op, &[Some(&x), None, None, Some(&sizes)]).unwrap()[0].to_f32()
    }

    #[test]
    fn lines_are_drawn_between_cells() {
        let linear = |coordinates| resized(Interpolation::Linear, coordinates, &[0., 4.], 4);
        assert_eq!(linear(Coordinates::HalfPixel), [0., 1., 3., 4.]);
        assert_eq!(linear(Coordinates::Asymmetric), [0., 2., 4., 4.]);
        let third = linear(Coordinates::AlignCorners);
        assert!((third[1] - 4. / 3.).abs() < 1e-6 && third[3] == 4.0);
    }

    #[test]
    fn ties_go_where_the_mode_says() {
        // Every second cell of four, by half pixels: coordinates 0.5 and 2.5.
        let nearest = |n| resized(Interpolation::Nearest(n), Coordinates::HalfPixel, &[0., 1., 2., 3.], 2);
        let of = [Nearest::PreferFloor, Nearest::PreferCeil, Nearest::Floor, Nearest::Ceil].map(nearest);
        assert_eq!(of, [[0., 2.], [1., 3.], [0., 2.], [1., 3.]]);
    }

    #[test]
    fn axes_are_independent() {
        let op = Resize {
            interpolation: Interpolation::Nearest(Nearest::Floor),
            coordinates: Coordinates::Asymmetric,
            axes: vec![],
            aspect: Aspect::Stretch,
        };
        let x = Tensor::from_f32([2, 2], vec![1., 2., 3., 4.]);
        let y = reference(&op, &[Some(&x), None, Some(&Tensor::from_f32([2], vec![1.0, 1.5]))]).unwrap();
        assert_eq!(y, [Tensor::from_f32([2, 3], vec![1., 1., 2., 3., 3., 4.])]);
    }
}
