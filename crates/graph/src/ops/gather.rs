//! `Gather`: rows picked by index.

use super::*;
use crate::mismatch;
use crate::shape::{Inputs, axis};

/// `data` with `axis` replaced by the axes of `indices`; a negative index counts from the end.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Gather {
    /// Axis of `data` that is indexed; negative counts from the end.
    pub axis: i64,
}

impl OpSpec for Gather {
    const NAME: &'static str = "Gather";

    fn read(attributes: &mut Attributes) -> Result<Gather, AttributeError> {
        Ok(Gather { axis: attributes.int("axis")?.unwrap_or(0) })
    }

    fn write(&self) -> Attributes {
        match self.axis {
            0 => Attributes::new(),
            axis => Attributes::new().with("axis", Attribute::Int(axis)),
        }
    }

    fn infer(&self, inputs: &[Option<Input<'_>>]) -> Result<Vec<TensorType>, ShapeError> {
        let (x, indices) = (&inputs.required(0, "data")?.ty, &inputs.required(1, "indices")?.ty);
        let axis = axis(self.axis, x.shape.len())?;
        if !indices.dtype.is_integer() {
            return Err(mismatch!("indices are {}; they must be integers", indices.dtype));
        }
        let shape = [&x.shape[..axis], &indices.shape, &x.shape[axis + 1..]].concat();
        Ok(vec![TensorType::checked(x.dtype, shape)?])
    }

    fn since(&self) -> u64 {
        11 // for indices that count from the end
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::support::testing::{float, round_trips, typed};
    use lowbit_tensor::DType;

    #[test]
    fn the_axis_is_replaced_by_the_axes_of_the_indices() {
        round_trips(Gather::default());
        round_trips(Gather { axis: -2 });
        let shape = |axis, indices: &[usize]| {
            Gather { axis }
                .infer(&[float(&[4, 3, 2]), typed(DType::I64, indices)])
                .map(|mut t| t.remove(0).shape)
        };
        assert_eq!(shape(0, &[2, 5]), Ok(vec![2, 5, 3, 2]));
        assert_eq!(shape(-2, &[]), Ok(vec![4, 2]));
        assert!(shape(3, &[1]).is_err());
        assert!(Gather::default().infer(&[float(&[4]), float(&[1])]).is_err());
    }
}
