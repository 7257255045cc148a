//! `Pad`.

use super::support::fast;
use super::support::gradient::{self, InputGradients};
use super::support::index::strides;
use super::support::{described, infer, required};
use crate::EvalError;
use crate::form::{Form, Site};
use lowbit_graph::ops::{Pad, PadMode};
use lowbit_tensor::{Data, Tensor};

pub(super) fn reference(op: &Pad, inputs: &[Option<&Tensor>]) -> Result<Vec<Tensor>, EvalError> {
    let ty = infer(op, inputs)?.remove(0);
    let x = required(inputs, 0, "data")?;
    let pads = op.pads(&described(inputs))?;
    // Where each cell of the result comes from, axis by axis; `None` is the constant.
    let sources: Vec<Vec<Option<usize>>> =
        (0..pads.len()).map(|i| sources(op.mode, x.shape()[i], pads[i], ty.shape[i])).collect();
    let (strides, constant) = (strides(x.shape()), x.len());
    let source = |mut flat: usize| {
        let mut index = 0;
        for (axis, sources) in sources.iter().enumerate().rev() {
            let Some(cell) = sources[flat % sources.len()] else { return constant };
            index += cell * strides[axis] as usize;
            flat /= sources.len();
        }
        index
    };
    // The constant stands behind the data, so that one index map serves every mode and element type.
    let mut data = x.data().clone();
    let zero = Data::zeros(x.dtype(), 1);
    data.extend_from(inputs.get(2).copied().flatten().map_or(&zero, |v| v.data()), 0..1);
    let data = data.take((0..ty.len()).map(source));
    Ok(vec![Tensor::new(ty.shape, data)?])
}

/// Of the data and of the constant, which is in every padded cell.
pub(super) fn gradient(
    op: &Pad,
    inputs: &[Option<&Tensor>],
    dy: &Tensor,
) -> Result<InputGradients, EvalError> {
    gradient::moved(inputs, &[0, 2], &[Some(dy)], |places| reference(op, places))
}

/// Cell of an axis of `extent` that each of `output` cells copies, after cells that negative pads name are cut off.
fn sources(mode: PadMode, extent: usize, [begin, end]: [i64; 2], output: usize) -> Vec<Option<usize>> {
    let cut = begin.min(0).unsigned_abs() as i64;
    let kept = extent as i64 - cut - end.min(0).unsigned_abs() as i64;
    let source = |i: i64| match mode {
        PadMode::Constant => (0..kept).contains(&i).then_some(i),
        PadMode::Edge => Some(i.clamp(0, kept - 1)),
        PadMode::Wrap => Some(i.rem_euclid(kept)),
        // The image repeats every 2·(kept - 1) cells: there and back, each end once. A single cell is its own image.
        PadMode::Reflect => {
            let period = (2 * (kept - 1)).max(1);
            let i = i.rem_euclid(period);
            Some(i.min(period - i).min(kept - 1))
        }
    };
    (0..output as i64).map(|o| source(o - begin.max(0)).map(|i| (i + cut) as usize)).collect()
}

/// Axis by axis, in any mode.
pub(super) fn forward(op: &Pad, site: &Site<'_>) -> Option<Form> {
    let shape = &site.data(0)?.ty.shape;
    let pads = op.pads(&site.described()).ok()?;
    let fill = match site.input(2) {
        None => 0.0,
        Some(value) => *value.weights()?.first()?,
    };
    let sources: Vec<_> =
        (0..pads.len()).map(|a| sources(op.mode, shape[a], pads[a], site.output.shape[a])).collect();
    fast::by_axis(site, &sources, fill)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pad(mode: PadMode, x: &[f32], pads: [i64; 2]) -> Vec<f32> {
        let x = Tensor::from_f32([x.len()], x.to_vec());
        let value = Tensor::scalar(9.0);
        reference(&Pad { mode }, &[Some(&x), Some(&Tensor::from_i64s(&pads)), Some(&value)]).unwrap()[0]
            .to_f32()
    }

    #[test]
    fn modes_fill_in_their_way() {
        let x = [1., 2., 3.];
        assert_eq!(pad(PadMode::Constant, &x, [2, 1]), [9., 9., 1., 2., 3., 9.]);
        assert_eq!(pad(PadMode::Edge, &x, [2, 1]), [1., 1., 1., 2., 3., 3.]);
        assert_eq!(pad(PadMode::Reflect, &x, [2, 1]), [3., 2., 1., 2., 3., 2.]);
        assert_eq!(pad(PadMode::Wrap, &x, [2, 1]), [2., 3., 1., 2., 3., 1.]);
    }

    #[test]
    fn images_repeat_beyond_the_extent() {
        assert_eq!(pad(PadMode::Reflect, &[1., 2.], [3, 3]), [2., 1., 2., 1., 2., 1., 2., 1.]);
        assert_eq!(pad(PadMode::Reflect, &[1.], [1, 2]), [1.; 4]);
        assert_eq!(pad(PadMode::Wrap, &[1., 2.], [3, 0]), [2., 1., 2., 1., 2.]);
    }

    #[test]
    fn negative_pads_cut_before_the_rest_is_filled() {
        assert_eq!(pad(PadMode::Constant, &[1., 2., 3.], [-1, 1]), [2., 3., 9.]);
        assert_eq!(pad(PadMode::Edge, &[1., 2., 3.], [-1, 1]), [2., 3., 3.]);
        assert_eq!(pad(PadMode::Constant, &[1., 2., 3.], [-2, -1]), []);
    }

    #[test]
    fn the_default_constant_is_zero_of_any_type() {
        let x = Tensor::new(vec![1, 1], Data::I8(vec![5])).unwrap();
        let y = reference(&Pad::default(), &[Some(&x), Some(&Tensor::from_i64s(&[0, 1, 1, 0]))]).unwrap();
        assert_eq!(y, [Tensor::new(vec![2, 2], Data::I8(vec![0, 5, 0, 0])).unwrap()]);
    }
}
