//! `Sub`: elementwise difference with numpy broadcasting.

use super::*;

/// A − B.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Sub;

impl OpSpec for Sub {
    const NAME: &'static str = "Sub";

    fn read(_: &mut Attributes) -> Result<Sub, AttributeError> {
        Ok(Sub)
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
        let op: Sub = read(Attributes::new());
        assert_eq!(infer(&op, &[&[2, 1, 4], &[3, 1]]), Ok(vec![2, 3, 4]));
        assert!(infer(&op, &[&[2], &[3]]).is_err());
    }
}
