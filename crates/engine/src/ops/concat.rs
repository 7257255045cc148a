//! `Concat`.

use super::support::{infer, required};
use crate::EvalError;
use lowbit_graph::ops::Concat;
use lowbit_graph::shape::axis;
use lowbit_tensor::{Data, Tensor};

pub(super) fn reference(op: &Concat, inputs: &[Option<&Tensor>]) -> Result<Vec<Tensor>, EvalError> {
    let ty = infer(op, inputs)?.remove(0);
    let axis = axis(op.axis, ty.shape.len())?;
    let outer: usize = ty.shape[..axis].iter().product();
    let mut data = Data::zeros(required(inputs, 0, "inputs")?.dtype(), 0);
    for i in 0..outer {
        for part in inputs.iter().flatten() {
            let run = part.len() / outer;
            data.extend_from(part.data(), i * run..(i + 1) * run);
        }
    }
    Ok(vec![Tensor::new(ty.shape, data)?])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_interleave_along_an_inner_axis() {
        let (a, b) = (Tensor::from_f32([2, 2], vec![1., 2., 3., 4.]), Tensor::from_f32([2, 1], vec![5., 6.]));
        let empty = Tensor::from_f32([2, 0], vec![]);
        let y = reference(&Concat { axis: -1 }, &[Some(&a), Some(&empty), Some(&b)]).unwrap();
        assert_eq!(y, [Tensor::from_f32([2, 3], vec![1., 2., 5., 3., 4., 6.])]);
    }
}
