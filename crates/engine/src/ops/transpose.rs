//! `Transpose`.

use super::support::index::{strided, strides};
use super::support::required;
use crate::EvalError;
use lowbit_graph::ops::Transpose;
use lowbit_tensor::Tensor;

pub(super) fn reference(op: &Transpose, inputs: &[Option<&Tensor>]) -> Result<Vec<Tensor>, EvalError> {
    let x = required(inputs, 0, "data")?;
    let (perm, along) = (op.permutation(x.shape().len())?, strides(x.shape()));
    let shape: Vec<usize> = perm.iter().map(|&a| x.shape()[a]).collect();
    let data = x.data().take(strided(shape.clone(), perm.iter().map(|&a| along[a]).collect(), 0));
    Ok(vec![Tensor::new(shape, data)?])
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
