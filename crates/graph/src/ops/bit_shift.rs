//! `BitShift`: how packed codes are taken apart.

use super::*;
use crate::mismatch;

/// X shifted by Y bits, zeros moving in; unsigned integers, broadcast. A shift by the width or more gives 0.
#[derive(Clone, Debug, PartialEq)]
pub struct BitShift {
    /// Towards the high bits if set.
    pub left: bool,
}

impl OpSpec for BitShift {
    const NAME: &'static str = "BitShift";

    fn read(attributes: &mut Attributes) -> Result<BitShift, AttributeError> {
        let found = attributes.text("direction")?.ok_or(AttributeError::Missing("direction"))?;
        match found.as_str() {
            "LEFT" => Ok(BitShift { left: true }),
            "RIGHT" => Ok(BitShift { left: false }),
            _ => Err(AttributeError::Value { name: "direction", found, accepted: "LEFT, RIGHT" }),
        }
    }

    fn write(&self) -> Attributes {
        let direction = if self.left { "LEFT" } else { "RIGHT" };
        Attributes::new().with("direction", Attribute::Text(direction.into()))
    }

    fn infer(&self, inputs: &[Option<Input<'_>>]) -> Result<Vec<TensorType>, ShapeError> {
        use lowbit_tensor::DType::{U8, U16, U32, U64};
        let types = support::binary(inputs)?;
        if !matches!(types[0].dtype, U8 | U16 | U32 | U64) {
            return Err(mismatch!(
                "{} cannot be shifted; accepted: unsigned integers of 8 to 64 bits",
                types[0].dtype
            ));
        }
        Ok(types)
    }

    fn since(&self) -> u64 {
        11
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::support::testing::{float, round_trips, typed};
    use lowbit_tensor::DType;

    #[test]
    fn unsigned_operands_broadcast() {
        let op = BitShift { left: true };
        round_trips(op.clone());
        round_trips(BitShift { left: false });
        let ty = op.infer(&[typed(DType::U8, &[2, 1]), typed(DType::U8, &[3])]).unwrap();
        assert_eq!(ty, [TensorType::new(DType::U8, [2, 3])]);
        assert!(op.infer(&[float(&[1]), float(&[1])]).is_err());
        assert_eq!(BitShift::read(&mut Attributes::new()), Err(AttributeError::Missing("direction")));
    }
}
