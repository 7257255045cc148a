//! `BitwiseAnd`: how packed codes are masked.

use super::*;

/// A & B of integers, with numpy broadcasting.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct BitwiseAnd;

impl OpSpec for BitwiseAnd {
    const NAME: &'static str = "BitwiseAnd";

    fn read(_: &mut Attributes) -> Result<BitwiseAnd, AttributeError> {
        Ok(BitwiseAnd)
    }

    fn infer(&self, inputs: &[Option<Input<'_>>]) -> Result<Vec<TensorType>, ShapeError> {
        support::binary_of_integers(inputs)
    }

    fn since(&self) -> u64 {
        18
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::support::testing::{float, round_trips, typed};
    use lowbit_tensor::DType;

    #[test]
    fn integers_broadcast() {
        round_trips(BitwiseAnd);
        let ty = BitwiseAnd.infer(&[typed(DType::I32, &[2, 1]), typed(DType::I32, &[3])]).unwrap();
        assert_eq!(ty, [TensorType::new(DType::I32, [2, 3])]);
        assert!(BitwiseAnd.infer(&[float(&[1]), float(&[1])]).is_err());
    }
}
