//! `Reshape`: the same elements under another shape.

use super::*;
use crate::mismatch;
use crate::shape::Inputs;

/// Input 1 is the shape; in it 0 keeps the extent of that axis (unless `allow_zero`), and one -1 takes what is left.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Reshape {
    /// Whether 0 means an extent of 0.
    pub allow_zero: bool,
}

impl OpSpec for Reshape {
    const NAME: &'static str = "Reshape";

    fn read(attributes: &mut Attributes) -> Result<Reshape, AttributeError> {
        Ok(Reshape { allow_zero: attributes.flag("allowzero", false)? })
    }

    fn write(&self) -> Attributes {
        match self.allow_zero {
            false => Attributes::new(),
            true => Attributes::new().with("allowzero", Attribute::Int(1)),
        }
    }

    fn infer(&self, inputs: &[Option<Input<'_>>]) -> Result<Vec<TensorType>, ShapeError> {
        let x = &inputs.required(0, "data")?.ty;
        let target = inputs.integers(1, "shape")?.ok_or(ShapeError::MissingInput(1, "shape"))?;
        let misfit = || mismatch!("{:?} cannot take the shape {target:?}", x.shape);
        let product = |extents: &[usize]| extents.iter().try_fold(1usize, |n, &d| n.checked_mul(d));
        let mut shape = Vec::with_capacity(target.len());
        let mut open = None;
        for (i, &extent) in target.iter().enumerate() {
            shape.push(match extent {
                0 if !self.allow_zero => *x.shape.get(i).ok_or_else(misfit)?,
                // Holds the place without counting in the product.
                -1 if open.replace(i).is_none() => 1,
                extent => usize::try_from(extent).map_err(|_| misfit())?,
            });
        }
        let (have, want) = (product(&x.shape).ok_or_else(misfit)?, product(&shape).ok_or_else(misfit)?);
        match open {
            Some(i) if want > 0 && have.is_multiple_of(want) => shape[i] = have / want,
            None if want == have => {}
            _ => return Err(misfit()),
        }
        Ok(vec![TensorType::new(x.dtype, shape)])
    }

    fn since(&self) -> u64 {
        if self.allow_zero { 14 } else { 7 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::support::testing::{round_trips, shapes};

    fn shape(x: &[usize], target: &[i64]) -> Result<Vec<usize>, ShapeError> {
        shapes(&Reshape::default(), x, &[target]).map(|mut s| s.remove(0))
    }

    #[test]
    fn zero_keeps_and_minus_one_takes_what_is_left() {
        assert_eq!(shape(&[2, 3, 4], &[4, 6]), Ok(vec![4, 6]));
        assert_eq!(shape(&[2, 3, 4], &[0, -1]), Ok(vec![2, 12]));
        assert_eq!(shape(&[2, 3, 4], &[0, 0, 2, -1]), Ok(vec![2, 3, 2, 2]));
        assert_eq!(shape(&[1, 1], &[]), Ok(vec![]));
        assert_eq!(shape(&[0, 3], &[3, -1]), Ok(vec![3, 0]));
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        for target in [&[5, 5][..], &[-1, -1], &[-2, 12], &[-1, 5], &[24, 1, 1, 0], &[i64::MAX, i64::MAX]] {
            assert!(shape(&[2, 3, 4], target).is_err(), "{target:?}");
        }
        assert!(shape(&[0, 3], &[0, -1]).is_err(), "any extent would do");
    }

    #[test]
    fn zero_may_mean_zero() {
        round_trips(Reshape { allow_zero: true });
        round_trips(Reshape::default());
        assert_eq!(shapes(&Reshape { allow_zero: true }, &[0, 3], &[&[3, 0]]), Ok(vec![vec![3, 0]]));
    }
}
