//! `Cast`.

use super::support::gradient::{self, InputGradients};
use super::support::required;
use crate::EvalError;
use lowbit_graph::ops::Cast;
use lowbit_tensor::Tensor;

pub(super) fn reference(op: &Cast, inputs: &[Option<&Tensor>]) -> Result<Vec<Tensor>, EvalError> {
    Ok(vec![required(inputs, 0, "input")?.cast(op.to)])
}

/// Between float types; integers take none.
pub(super) fn gradient(
    _: &Cast,
    inputs: &[Option<&Tensor>],
    dy: &Tensor,
) -> Result<InputGradients, EvalError> {
    gradient::passed(inputs, dy)
}

#[cfg(test)]
mod tests {
    use super::*;
    use lowbit_tensor::{DType, Data};

    #[test]
    fn elements_change_their_type() {
        let x = Tensor::from_f32([2], vec![-1.5, 2.0]);
        let y = reference(&Cast { to: DType::I4 }, &[Some(&x)]).unwrap();
        assert_eq!(y, [Tensor::new(vec![2], Data::I4(vec![-1, 2])).unwrap()]);
    }
}
