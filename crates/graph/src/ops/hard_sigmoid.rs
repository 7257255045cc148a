//! `HardSigmoid`: a piecewise-linear sigmoid.

use super::*;

/// clamp(`alpha`·x + `beta`, 0, 1), elementwise.
#[derive(Clone, Debug, PartialEq)]
pub struct HardSigmoid {
    /// Slope.
    pub alpha: f32,
    /// Value at zero.
    pub beta: f32,
}

impl OpSpec for HardSigmoid {
    const NAME: &'static str = "HardSigmoid";

    fn read(attributes: &mut Attributes) -> Result<HardSigmoid, AttributeError> {
        Ok(HardSigmoid {
            alpha: attributes.float("alpha")?.unwrap_or(0.2),
            beta: attributes.float("beta")?.unwrap_or(0.5),
        })
    }

    fn write(&self) -> Attributes {
        support::floats([("alpha", self.alpha), ("beta", self.beta)])
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
    fn slope_and_offset_are_kept() {
        let op: HardSigmoid = read(Attributes::new().with("alpha", Attribute::Float(1.0 / 6.0)));
        assert_eq!((op.alpha, op.beta), (1.0 / 6.0, 0.5));
        assert_eq!(infer(&op, &[&[2, 3]]), Ok(vec![2, 3]));
    }
}
