//! `HardSwish`: piecewise-linear gate times its input.

use super::*;

/// x · clamp(x/6 + 1/2, 0, 1), elementwise.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct HardSwish;

impl OpSpec for HardSwish {
    const NAME: &'static str = "HardSwish";

    fn read(_: &mut Attributes) -> Result<HardSwish, AttributeError> {
        Ok(HardSwish)
    }

    fn infer(&self, inputs: &[Option<Input<'_>>]) -> Result<Vec<TensorType>, ShapeError> {
        support::like_x(inputs)
    }

    fn since(&self) -> u64 {
        14
    }
}

#[cfg(test)]
mod tests {
    use super::super::support::testing::{infer, read};
    use super::*;

    #[test]
    fn the_shape_stays() {
        assert_eq!(infer(&read::<HardSwish>(Attributes::new()), &[&[2, 3]]), Ok(vec![2, 3]));
    }
}
