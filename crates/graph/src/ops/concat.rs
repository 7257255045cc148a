//! `Concat`: tensors joined along one axis.

use super::*;
use crate::mismatch;
use crate::shape::axis;

/// All inputs one after the other along `axis`; other extents agree.
#[derive(Clone, Debug, PartialEq)]
pub struct Concat {
    /// Axis to join along; negative counts from the end.
    pub axis: i64,
}

impl OpSpec for Concat {
    const NAME: &'static str = "Concat";

    fn read(attributes: &mut Attributes) -> Result<Concat, AttributeError> {
        Ok(Concat { axis: attributes.int("axis")?.ok_or(AttributeError::Missing("axis"))? })
    }

    fn write(&self) -> Attributes {
        Attributes::new().with("axis", Attribute::Int(self.axis))
    }

    fn infer(&self, inputs: &[Option<Input<'_>>]) -> Result<Vec<TensorType>, ShapeError> {
        let mut parts = inputs.iter().flatten().map(|input| &input.ty);
        let mut ty = parts.next().ok_or(ShapeError::MissingInput(0, "inputs"))?.clone();
        let axis = axis(self.axis, ty.shape.len())?;
        for part in parts {
            let fits = part.dtype == ty.dtype
                && part.shape.len() == ty.shape.len()
                && (0..ty.shape.len()).all(|i| i == axis || part.shape[i] == ty.shape[i]);
            if !fits {
                return Err(mismatch!(
                    "{} {:?} and {} {:?} do not join along axis {axis}",
                    ty.dtype,
                    ty.shape,
                    part.dtype,
                    part.shape
                ));
            }
            ty.shape[axis] = ty.shape[axis].saturating_add(part.shape[axis]);
        }
        Ok(vec![TensorType::checked(ty.dtype, ty.shape)?])
    }

    fn since(&self) -> u64 {
        if self.axis < 0 { 11 } else { 7 }
    }

    fn role(&self, _: usize) -> Role {
        Role::Activation
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::support::testing::{float, round_trips};

    #[test]
    fn extents_add_up_along_the_axis() {
        round_trips(Concat { axis: -2 });
        let op = Concat { axis: -2 };
        let ty = op.infer(&[float(&[2, 3, 4]), float(&[2, 0, 4]), float(&[2, 5, 4])]).unwrap();
        assert_eq!(ty[0].shape, [2, 8, 4]);
        assert!(op.infer(&[float(&[2, 3, 4]), float(&[1, 3, 4])]).is_err());
        assert!(op.infer(&[float(&[2, 3, 4]), float(&[3, 4])]).is_err());
        assert!(op.infer(&[]).is_err());
    }
}
