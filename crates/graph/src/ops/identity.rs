//! `Identity`: its input.

use super::*;
use crate::shape::Inputs;

/// y = x, of any type.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Identity;

impl OpSpec for Identity {
    const NAME: &'static str = "Identity";

    fn read(_: &mut Attributes) -> Result<Identity, AttributeError> {
        Ok(Identity)
    }

    fn infer(&self, inputs: &[Option<Input<'_>>]) -> Result<Vec<TensorType>, ShapeError> {
        Ok(vec![inputs.required(0, "input")?.ty.clone()])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::support::testing::{round_trips, shapes};

    #[test]
    fn the_type_stays() {
        round_trips(Identity);
        assert_eq!(shapes(&Identity, &[2, 3], &[]), Ok(vec![vec![2, 3]]));
    }
}
