//! `Mul`: elementwise product with numpy broadcasting.

use super::*;

/// A · B.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Mul;

impl OpSpec for Mul {
    const NAME: &'static str = "Mul";

    fn read(_: &mut Attributes) -> Result<Mul, AttributeError> {
        Ok(Mul)
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
        let op: Mul = read(Attributes::new());
        assert_eq!(infer(&op, &[&[2, 1, 4], &[3, 1]]), Ok(vec![2, 3, 4]));
        assert!(infer(&op, &[&[2], &[3]]).is_err());
    }
}
