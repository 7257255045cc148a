//! `Clip`: limits each element, the limits being inputs.

use super::*;
use crate::mismatch;
use crate::shape::Inputs;

/// min(max(x, lower), upper), elementwise, so that `upper` wins where the two cross.
///
/// Inputs: `input`, `min` and `max`; the last two are optional scalars of the same type, and unlimited when absent.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Clip;

impl OpSpec for Clip {
    const NAME: &'static str = "Clip";

    fn read(_: &mut Attributes) -> Result<Clip, AttributeError> {
        Ok(Clip)
    }

    fn infer(&self, inputs: &[Option<Input<'_>>]) -> Result<Vec<TensorType>, ShapeError> {
        let x = &inputs.required(0, "input")?.ty;
        for (i, name) in [(1, "min"), (2, "max")] {
            let Some(limit) = inputs.optional(i) else { continue };
            support::same_type(x, name, &limit.ty)?;
            // Scalars by the specification; some exporters write a vector of one.
            if limit.ty.len() != 1 {
                return Err(mismatch!("`{name}` {:?} must be a scalar", limit.ty.shape));
            }
        }
        Ok(vec![x.clone()])
    }

    fn since(&self) -> u64 {
        // Limits are inputs since 11, and integers allowed since 12; the type is not known here.
        12
    }
}

#[cfg(test)]
mod tests {
    use super::super::support::testing::{float, infer, read};
    use super::*;

    #[test]
    fn limits_are_optional_scalars() {
        let op: Clip = read(Attributes::new());
        assert_eq!(infer(&op, &[&[2, 3]]), Ok(vec![2, 3]));
        assert_eq!(infer(&op, &[&[2, 3], &[], &[1]]), Ok(vec![2, 3]));
        assert!(op.infer(&[float(&[2, 3]), None, float(&[2])]).is_err());
    }
}
