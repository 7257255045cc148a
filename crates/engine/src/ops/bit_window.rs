//! `BitWindow`.

use super::support::gradient::{self, InputGradients};
use super::support::{around, infer, required};
use crate::EvalError;
use crate::form::{Form, Layout, Site};
use crate::gradient::reverse::Reverse;
use lowbit_graph::ops::BitWindow;
use lowbit_graph::shape::axis;
use lowbit_tensor::Tensor;
use lowbit_tensor::number::{decode, encode};

/// Codes of the 8-bit grid.
const CODES: [i32; 2] = [0, 255];

pub(super) fn reference(op: &BitWindow, inputs: &[Option<&Tensor>]) -> Result<Vec<Tensor>, EvalError> {
    infer(op, inputs)?;
    let x = required(inputs, 0, "X")?;
    let mut values = x.to_f32();
    let [outer, channels, inner] = around(x.shape(), axis(op.axis, x.shape().len())?);
    let mut codes = vec![0; channels];
    for (o, i) in (0..outer).flat_map(|o| (0..inner).map(move |i| (o, i))) {
        let at = |c: usize| (o * channels + c) * inner + i;
        codes.iter_mut().enumerate().for_each(|(c, q)| *q = encode(values[at(c)], op.scale, 0, CODES) as u8);
        op.read.narrow(&mut codes);
        codes.iter().enumerate().for_each(|(c, &q)| values[at(c)] = decode(i32::from(q), op.scale, 0));
    }
    Ok(vec![Tensor::from_f32(x.shape(), values).cast(x.dtype())])
}

/// Straight through, everywhere: what lies beyond the grid has been cut off before.
pub(super) fn gradient(
    _: &BitWindow,
    inputs: &[Option<&Tensor>],
    dy: &Tensor,
) -> Result<InputGradients, EvalError> {
    gradient::passed(inputs, dy)
}

/// Where neighbours lie next to each other in memory: along the last axis, or channels of channels-last data.
pub(super) fn forward(op: &BitWindow, site: &Site<'_>) -> Option<Form> {
    let (x, scale) = (site.data(0)?, op.scale);
    let rank = x.ty.shape.len();
    let axis = axis(op.axis, rank).ok()?;
    let channels = x.ty.shape[axis];
    let tables = op.read.window.tables().map(|table| table.map(|q| decode(i32::from(q), scale, 0)));
    if !op.read.pairs {
        let [table, _] = tables;
        return Some(Form::unary(x.layout, move |x, y| {
            y.iter_mut().zip(x).for_each(|(y, &x)| *y = table[usize::from(code(x, scale))]);
        }));
    }
    let layout = match axis {
        axis if axis + 1 == rank => Layout::RowMajor,
        1 => Layout::ChannelsLast,
        _ => return None,
    };
    let beside = move |code: u8, partner: u8| tables[usize::from(partner == 0)][usize::from(code)];
    Some(Form::unary(layout, move |x, y| {
        for (x, y) in x.chunks_exact(channels).zip(y.chunks_exact_mut(channels)) {
            for (x, y) in x.chunks(2).zip(y.chunks_mut(2)) {
                match (x, y) {
                    ([a, b], [ya, yb]) => {
                        let (a, b) = (code(*a, scale), code(*b, scale));
                        (*ya, *yb) = (beside(a, b), beside(b, a));
                    }
                    (x, y) => y[0] = beside(code(x[0], scale), 0),
                }
            }
        }
    }))
}

/// [`encode`] onto [`CODES`] without branches or calls: beyond 2^23 a float has no fraction left, so that adding 1.5 · 2^23
/// rounds half to even and leaves the code in the lowest bits.
fn code(x: f32, scale: f32) -> u8 {
    ((x / scale).clamp(0.0, 255.0) + 12_582_912.0).to_bits() as u8
}

pub(super) fn backward(_: &BitWindow, site: &Site<'_>) -> Option<Reverse> {
    Some(Reverse::copy(site.isa))
}

#[cfg(test)]
mod tests {
    use super::*;
    use lowbit_tensor::code::window::Rounding;
    use lowbit_tensor::{Window, Windowed};

    #[test]
    fn codes_are_those_of_the_definition() {
        for scale in [0.1f32, 0.015_686_275, 3.7e-5] {
            for i in -300..2200 {
                let x = i as f32 * scale / 8.0;
                assert_eq!(i32::from(code(x, scale)), encode(x, scale, 0, CODES), "{x} / {scale}");
            }
        }
    }

    /// Channels 0 and 1 are a pair, and 2 stands alone, at each of two positions.
    #[test]
    fn neighbouring_channels_of_one_position_are_a_pair() {
        let read = Windowed { window: Window::named("2opt", Rounding::Trim).unwrap(), pairs: true };
        let op = BitWindow { read, axis: 1, scale: 0.5 };
        let codes = [27.0, 27.0, 0.0, 39.0, 27.0, 215.0];
        let x = Tensor::from_f32([1, 3, 2], codes.map(|q| q * 0.5).to_vec());
        let y = reference(&op, &[Some(&x)]).unwrap().remove(0);
        assert_eq!(y.to_f32(), [27.0, 16.0, 0.0, 32.0, 27.0, 215.0].map(|q| q * 0.5));
    }
}
