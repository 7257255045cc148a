//! `Flatten`: a matrix from a tensor of any rank.

use super::*;
use crate::mismatch;
use crate::shape::Inputs;

/// Axes before `axis` become rows, the others columns.
#[derive(Clone, Debug, PartialEq)]
pub struct Flatten {
    /// First axis of the columns, `-rank..=rank`.
    pub axis: i64,
}

impl OpSpec for Flatten {
    const NAME: &'static str = "Flatten";

    fn read(attributes: &mut Attributes) -> Result<Flatten, AttributeError> {
        Ok(Flatten { axis: attributes.int("axis")?.unwrap_or(1) })
    }

    fn write(&self) -> Attributes {
        match self.axis {
            1 => Attributes::new(),
            axis => Attributes::new().with("axis", Attribute::Int(axis)),
        }
    }

    fn infer(&self, inputs: &[Option<Input<'_>>]) -> Result<Vec<TensorType>, ShapeError> {
        let x = &inputs.required(0, "input")?.ty;
        let rank = x.shape.len();
        // Unlike other axes this one may be the rank itself: one column.
        let axis = if self.axis < 0 { self.axis + rank as i64 } else { self.axis };
        let axis = usize::try_from(axis).ok().filter(|&a| a <= rank);
        let axis = axis.ok_or_else(|| mismatch!("axis {} is outside -{rank}..={rank}", self.axis))?;
        let product = |extents: &[usize]| {
            let count = extents.iter().try_fold(1usize, |n, &d| n.checked_mul(d));
            count.ok_or_else(|| mismatch!("{extents:?} is too large to flatten"))
        };
        Ok(vec![TensorType::new(x.dtype, [product(&x.shape[..axis])?, product(&x.shape[axis..])?])])
    }

    fn since(&self) -> u64 {
        if self.axis < 0 { 11 } else { 9 } // 9 widened the element types
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::support::testing::{round_trips, shapes};

    #[test]
    fn axes_collapse_to_two() {
        round_trips(Flatten { axis: 1 });
        round_trips(Flatten { axis: -1 });
        for (axis, shape) in [(0, [1, 24]), (1, [2, 12]), (3, [24, 1]), (-1, [6, 4])] {
            assert_eq!(shapes(&Flatten { axis }, &[2, 3, 4], &[]), Ok(vec![shape.to_vec()]), "{axis}");
        }
        assert!(shapes(&Flatten { axis: 4 }, &[2, 3, 4], &[]).is_err());
        assert!(shapes(&Flatten { axis: -4 }, &[2, 3, 4], &[]).is_err());
    }
}
