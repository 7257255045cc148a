//! `Sqrt`: square root.

use super::*;

/// √x, elementwise; NaN below zero.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Sqrt;

impl OpSpec for Sqrt {
    const NAME: &'static str = "Sqrt";

    fn read(_: &mut Attributes) -> Result<Sqrt, AttributeError> {
        Ok(Sqrt)
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
        assert_eq!(infer(&read::<Sqrt>(Attributes::new()), &[&[2, 3]]), Ok(vec![2, 3]));
    }
}
