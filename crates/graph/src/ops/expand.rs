//! `Expand`: broadcast to a given shape.

use super::*;
use crate::broadcast;
use crate::mismatch;
use crate::shape::Inputs;

/// Input 0 broadcast together with the shape in input 1, which may also be the smaller.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Expand;

impl OpSpec for Expand {
    const NAME: &'static str = "Expand";

    fn read(_: &mut Attributes) -> Result<Expand, AttributeError> {
        Ok(Expand)
    }

    fn infer(&self, inputs: &[Option<Input<'_>>]) -> Result<Vec<TensorType>, ShapeError> {
        let x = &inputs.required(0, "input")?.ty;
        let target = inputs.integers(1, "shape")?.ok_or(ShapeError::MissingInput(1, "shape"))?;
        let extents: Option<Vec<usize>> = target.iter().map(|&d| usize::try_from(d).ok()).collect();
        let extents = extents.ok_or_else(|| mismatch!("shape {target:?} has a negative extent"))?;
        Ok(vec![TensorType::checked(x.dtype, broadcast(&x.shape, &extents)?)?])
    }

    fn since(&self) -> u64 {
        8
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::support::testing::{round_trips, shapes};

    #[test]
    fn both_shapes_broadcast() {
        round_trips(Expand);
        assert_eq!(shapes(&Expand, &[3, 1], &[&[2, 1, 4]]), Ok(vec![vec![2, 3, 4]]));
        assert_eq!(shapes(&Expand, &[3, 4], &[&[1, 1]]), Ok(vec![vec![3, 4]]));
        assert!(shapes(&Expand, &[3], &[&[2]]).is_err());
        assert!(shapes(&Expand, &[3], &[&[-1]]).is_err());
        assert!(shapes(&Expand, &[1], &[&[i64::MAX, 4]]).is_err(), "too large to exist");
    }
}
