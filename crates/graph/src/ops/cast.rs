//! `Cast`: another element type.

use super::support::element_type;
use super::*;
use crate::shape::Inputs;
use lowbit_tensor::DType;

/// The elements converted as [`lowbit_tensor::Tensor::cast`] does.
#[derive(Clone, Debug, PartialEq)]
pub struct Cast {
    /// Element type of the result.
    pub to: DType,
}

impl OpSpec for Cast {
    const NAME: &'static str = "Cast";

    fn read(attributes: &mut Attributes) -> Result<Cast, AttributeError> {
        // Both speak of 8-bit floats only, which no tensor here has.
        attributes.int("saturate")?;
        attributes.text("round_mode")?;
        Ok(Cast { to: element_type::read(attributes, "to")?.ok_or(AttributeError::Missing("to"))? })
    }

    fn write(&self) -> Attributes {
        let mut attributes = Attributes::new();
        element_type::write(&mut attributes, "to", self.to);
        attributes
    }

    fn infer(&self, inputs: &[Option<Input<'_>>]) -> Result<Vec<TensorType>, ShapeError> {
        Ok(vec![TensorType::checked(self.to, inputs.required(0, "input")?.ty.shape.as_slice())?])
    }

    fn since(&self) -> u64 {
        element_type::since(self.to)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::support::testing::{float, round_trips};

    #[test]
    fn the_type_changes_and_the_shape_stays() {
        round_trips(Cast { to: DType::I4 });
        assert_eq!(
            Cast { to: DType::I4 }.infer(&[float(&[2, 3])]),
            Ok(vec![TensorType::new(DType::I4, [2, 3])])
        );
        assert_eq!([Cast { to: DType::I4 }.since(), Cast { to: DType::F32 }.since()], [21, 7]);
        assert_eq!(Cast::read(&mut Attributes::new()), Err(AttributeError::Missing("to")));
    }
}
