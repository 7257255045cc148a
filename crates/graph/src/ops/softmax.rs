//! `Softmax`: exponentials that sum to one along an axis.

use super::*;
use crate::shape::{Inputs, axis};

/// exp(x) / Σ exp(x) along one axis.
#[derive(Clone, Debug, PartialEq)]
pub struct Softmax {
    /// Axis of the sum; from the end if negative.
    pub axis: i64,
}

impl OpSpec for Softmax {
    const NAME: &'static str = "Softmax";

    fn read(attributes: &mut Attributes) -> Result<Softmax, AttributeError> {
        Ok(Softmax { axis: attributes.int("axis")?.unwrap_or(-1) })
    }

    fn write(&self) -> Attributes {
        Attributes::new().with("axis", Attribute::Int(self.axis))
    }

    fn infer(&self, inputs: &[Option<Input<'_>>]) -> Result<Vec<TensorType>, ShapeError> {
        let x = &inputs.required(0, "X")?.ty;
        axis(self.axis, x.shape.len())?;
        Ok(vec![x.clone()])
    }

    fn since(&self) -> u64 {
        // Before, the sum ran over all axes from this one on.
        13
    }
}

#[cfg(test)]
mod tests {
    use super::super::support::testing::{infer, read};
    use super::*;

    #[test]
    fn the_axis_must_exist() {
        let op: Softmax = read(Attributes::new().with("axis", Attribute::Int(1)));
        assert_eq!(infer(&op, &[&[2, 3]]), Ok(vec![2, 3]));
        assert!(infer(&op, &[&[3]]).is_err() && infer(&op, &[&[]]).is_err());
    }
}
