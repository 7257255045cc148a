//! `LeakyRelu`: identity above zero, a slope below.

use super::*;

/// x for x ≥ 0, `alpha`·x below, elementwise.
#[derive(Clone, Debug, PartialEq)]
pub struct LeakyRelu {
    /// Slope below zero.
    pub alpha: f32,
}

impl OpSpec for LeakyRelu {
    const NAME: &'static str = "LeakyRelu";

    fn read(attributes: &mut Attributes) -> Result<LeakyRelu, AttributeError> {
        Ok(LeakyRelu { alpha: attributes.float("alpha")?.unwrap_or(0.01) })
    }

    fn write(&self) -> Attributes {
        support::floats([("alpha", self.alpha)])
    }

    fn infer(&self, inputs: &[Option<Input<'_>>]) -> Result<Vec<TensorType>, ShapeError> {
        support::like_x(inputs)
    }
}

#[cfg(test)]
mod tests {
    use super::super::support::testing::{infer, read};
    use super::*;

    #[test]
    fn the_slope_is_kept() {
        let op: LeakyRelu = read(Attributes::new().with("alpha", Attribute::Float(0.2)));
        assert_eq!((op.alpha, infer(&op, &[&[2, 3]])), (0.2, Ok(vec![2, 3])));
        assert_eq!(read::<LeakyRelu>(Attributes::new()).alpha, 0.01);
    }
}
