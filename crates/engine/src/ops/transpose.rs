//! `Transpose`.

use super::support::fast;
use super::support::gradient::{self, InputGradients};
use super::support::index::{strided, strides};
use super::support::moves::Moves;
use super::support::required;
use crate::EvalError;
use crate::form::{Form, Layout, Site};
use lowbit_graph::ops::Transpose;
use lowbit_tensor::Tensor;

pub(super) fn reference(op: &Transpose, inputs: &[Option<&Tensor>]) -> Result<Vec<Tensor>, EvalError> {
    let x = required(inputs, 0, "data")?;
    let (perm, along) = (op.permutation(x.shape().len())?, strides(x.shape()));
    let shape: Vec<usize> = perm.iter().map(|&a| x.shape()[a]).collect();
    let data = x.data().take(strided(shape.clone(), perm.iter().map(|&a| along[a]).collect(), 0));
    Ok(vec![Tensor::new(shape, data)?])
}

pub(super) fn gradient(
    op: &Transpose,
    inputs: &[Option<&Tensor>],
    dy: &Tensor,
) -> Result<InputGradients, EvalError> {
    gradient::moved(inputs, &[0], &[Some(dy)], |places| reference(op, places))
}

/// From the layout that the data has to the one that leaves most of it together: often a plain copy, where an exporter
/// turns channels last and back.
pub(super) fn forward(op: &Transpose, site: &Site<'_>) -> Option<Form> {
    let x = site.data(0)?;
    let perm = op.permutation(x.ty.shape.len()).ok()?;
    let strides = fast::strides(&x.ty.shape, x.layout);
    let moves = |layout: Layout| {
        let axis = |a: usize| (0..site.output.shape[a]).map(|i| Some(i * strides[perm[a]])).collect();
        Moves::new(fast::order(perm.len(), layout).into_iter().map(axis).collect(), 0.0)
    };
    let (rows, channels) = (moves(Layout::RowMajor), moves(Layout::ChannelsLast));
    let (output, moves) = match channels.run() > rows.run() {
        true => (Layout::ChannelsLast, channels),
        false => (Layout::RowMajor, rows),
    };
    let run = Box::new(move |x: &[&[f32]], _: &mut [f32], y: &mut [f32]| moves.apply(x[0], y));
    Some(Form { reads: vec![(0, x.layout)], output, scratch: 0, run })
}

#[cfg(test)]
mod tests {
    use super::*;
    use lowbit_tensor::Data;

    #[test]
    fn axes_move_with_their_elements() {
        let x = Tensor::new(vec![2, 3], Data::U4(vec![1, 2, 3, 4, 5, 6])).unwrap();
        let y = reference(&Transpose::default(), &[Some(&x)]).unwrap();
        assert_eq!(y, [Tensor::new(vec![3, 2], Data::U4(vec![1, 4, 2, 5, 3, 6])).unwrap()]);
        let x = Tensor::from_i64s(&[1, 2, 3, 4]).reshape(vec![2, 1, 2]).unwrap();
        let y = reference(&Transpose { perm: Some(vec![1, 2, 0]) }, &[Some(&x)]).unwrap();
        assert_eq!(y, [Tensor::from_i64s(&[1, 3, 2, 4]).reshape(vec![1, 2, 2]).unwrap()]);
    }
}
