//! `Relu`: max(x, 0).

use super::*;
use crate::shape::Inputs;

/// max(x, 0), elementwise.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Relu;

impl OpSpec for Relu {
    const NAME: &'static str = "Relu";

    fn read(_: &mut Attributes) -> Result<Relu, AttributeError> {
        Ok(Relu)
    }

    fn infer(&self, inputs: &[Option<Input<'_>>]) -> Result<Vec<TensorType>, ShapeError> {
        Ok(vec![inputs.required(0, "X")?.ty.clone()])
    }
}
