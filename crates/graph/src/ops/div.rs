//! `Div`: elementwise quotient with numpy broadcasting.

use super::*;

/// A / B; on integers truncated towards zero.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Div;

impl OpSpec for Div {
    const NAME: &'static str = "Div";

    fn read(_: &mut Attributes) -> Result<Div, AttributeError> {
        Ok(Div)
    }

    fn infer(&self, inputs: &[Option<Input<'_>>]) -> Result<Vec<TensorType>, ShapeError> {
        support::binary(inputs)
    }

    fn role(&self, _: usize) -> Role {
        Role::Activation
    }
}

#[cfg(test)]
mod tests {
    use super::super::support::testing::{infer, read};
    use super::*;

    #[test]
    fn operands_broadcast() {
        let op: Div = read(Attributes::new());
        assert_eq!(infer(&op, &[&[2, 1, 4], &[3, 1]]), Ok(vec![2, 3, 4]));
        assert!(infer(&op, &[&[2], &[3]]).is_err());
    }
}
