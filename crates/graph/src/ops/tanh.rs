//! `Tanh`: hyperbolic tangent.

use super::*;

/// tanh(x), elementwise.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Tanh;

impl OpSpec for Tanh {
    const NAME: &'static str = "Tanh";

    fn read(_: &mut Attributes) -> Result<Tanh, AttributeError> {
        Ok(Tanh)
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
    fn the_shape_stays() {
        assert_eq!(infer(&read::<Tanh>(Attributes::new()), &[&[2, 3]]), Ok(vec![2, 3]));
    }
}
