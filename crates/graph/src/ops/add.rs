//! `Add`: elementwise sum with numpy broadcasting.

use super::*;

/// A + B.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Add;

impl OpSpec for Add {
    const NAME: &'static str = "Add";

    fn read(_: &mut Attributes) -> Result<Add, AttributeError> {
        Ok(Add)
    }

    fn infer(&self, inputs: &[Option<Input<'_>>]) -> Result<Vec<TensorType>, ShapeError> {
        support::binary(inputs)
    }

    fn role(&self, _: usize) -> Role {
        Role::Activation
    }
}
