//! `ConstantOfShape`: one value repeated.

use super::*;
use crate::mismatch;
use crate::shape::Inputs;
use lowbit_tensor::Tensor;
use std::sync::Arc;

/// A tensor of the shape in input 0, every element the one of `value`.
#[derive(Clone, Debug, PartialEq)]
pub struct ConstantOfShape {
    /// One element, whose type is that of the result.
    pub value: Arc<Tensor>,
}

impl OpSpec for ConstantOfShape {
    const NAME: &'static str = "ConstantOfShape";

    fn read(attributes: &mut Attributes) -> Result<ConstantOfShape, AttributeError> {
        let value = attributes.tensor("value")?.unwrap_or_else(|| Arc::new(Tensor::from_f32([1], vec![0.0])));
        if value.len() != 1 {
            let found = format!("a tensor of shape {:?}", value.shape());
            return Err(AttributeError::Value { name: "value", found, accepted: "a tensor of one element" });
        }
        Ok(ConstantOfShape { value })
    }

    fn write(&self) -> Attributes {
        Attributes::new().with("value", Attribute::Tensor(self.value.clone()))
    }

    fn infer(&self, inputs: &[Option<Input<'_>>]) -> Result<Vec<TensorType>, ShapeError> {
        let extents = inputs.integers(0, "input")?.ok_or(ShapeError::MissingInput(0, "input"))?;
        let shape: Option<Vec<usize>> = extents.iter().map(|&d| usize::try_from(d).ok()).collect();
        let shape = shape.ok_or_else(|| mismatch!("shape {extents:?} has a negative extent"))?;
        Ok(vec![TensorType::checked(self.value.dtype(), shape)?])
    }

    fn since(&self) -> u64 {
        9
    }

    fn role(&self, _: usize) -> Role {
        Role::Parameter
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::support::testing::{known, round_trips};
    use lowbit_tensor::{DType, Data};

    #[test]
    fn shape_from_the_input_and_type_from_the_value() {
        let op = ConstantOfShape { value: Arc::new(Tensor::new(vec![1], Data::U8(vec![9])).unwrap()) };
        round_trips(op.clone());
        let infer = |extents: &[i64]| op.infer(&[known(&Tensor::from_i64s(extents))]);
        assert_eq!(infer(&[2, 3]), Ok(vec![TensorType::new(DType::U8, [2, 3])]));
        assert_eq!(infer(&[]), Ok(vec![TensorType::new(DType::U8, [])]));
        assert!(infer(&[-1]).is_err());
        assert!(infer(&[i64::MAX, 2]).is_err());
        let two = Attribute::Tensor(Arc::new(Tensor::from_i64s(&[1, 2])));
        assert!(ConstantOfShape::read(&mut Attributes::new().with("value", two)).is_err());
    }
}
