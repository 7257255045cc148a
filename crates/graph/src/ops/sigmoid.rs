//! `Sigmoid`: the logistic function.

use super::*;

/// 1 / (1 + exp(−x)), elementwise.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Sigmoid;

impl OpSpec for Sigmoid {
    const NAME: &'static str = "Sigmoid";

    fn read(_: &mut Attributes) -> Result<Sigmoid, AttributeError> {
        Ok(Sigmoid)
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
        assert_eq!(infer(&read::<Sigmoid>(Attributes::new()), &[&[2, 3]]), Ok(vec![2, 3]));
    }
}
