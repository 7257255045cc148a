//! `Div`.

use super::support::fast;
use super::support::gradient::{self, InputGradients};
use super::support::{required, zip};
use crate::EvalError;
use crate::form::{Form, Site};
use lowbit_graph::ops::Div;
use lowbit_kernels::Binary;
use lowbit_tensor::{DType, Tensor};

pub(super) fn reference(op: &Div, inputs: &[Option<&Tensor>]) -> Result<Vec<Tensor>, EvalError> {
    let divisor = required(inputs, 1, "B")?;
    if divisor.to_i64().is_some_and(|b| b.contains(&0)) {
        return Err(EvalError::DivisionByZero);
    }
    let unsigned = divisor.dtype() == DType::U64; // whose upper half is negative in i64
    let on_integers =
        |a: i64, b: i64| if unsigned { (a as u64 / b as u64) as i64 } else { a.wrapping_div(b) };
    zip(op, inputs, |a, b| a / b, on_integers)
}

pub(super) fn gradient(
    _: &Div,
    inputs: &[Option<&Tensor>],
    dy: &Tensor,
) -> Result<InputGradients, EvalError> {
    gradient::pairwise(inputs, dy, |a, b| [1.0 / b, -a / (b * b)])
}

pub(super) fn forward(_: &Div, site: &Site<'_>) -> Option<Form> {
    fast::binary(Binary::Div, site)
}

#[cfg(test)]
mod tests {
    use super::*;
    use lowbit_tensor::Data;

    #[test]
    fn integers_truncate_towards_zero() {
        let (a, b) = (Tensor::from_i64s(&[7, -7, i64::MIN]), Tensor::from_i64s(&[2, 2, -1]));
        assert_eq!(reference(&Div, &[Some(&a), Some(&b)]).unwrap(), [Tensor::from_i64s(&[3, -3, i64::MIN])]);
        let large = Tensor::new(vec![1], Data::U64(vec![u64::MAX])).unwrap();
        let two = Tensor::new(vec![1], Data::U64(vec![2])).unwrap();
        assert_eq!(
            reference(&Div, &[Some(&large), Some(&two)]).unwrap()[0].data(),
            &Data::U64(vec![u64::MAX / 2])
        );
    }

    #[test]
    fn zero_divides_floats_but_no_integers() {
        let (a, b) = (Tensor::scalar(1.0), Tensor::scalar(0.0));
        assert_eq!(reference(&Div, &[Some(&a), Some(&b)]).unwrap(), [Tensor::scalar(f32::INFINITY)]);
        let (a, b) = (Tensor::from_i64s(&[1]), Tensor::from_i64s(&[0]));
        assert_eq!(reference(&Div, &[Some(&a), Some(&b)]), Err(EvalError::DivisionByZero));
    }
}
