//! `ReduceMean`: the mean over some axes, which are an input.

use super::*;
use crate::shape::{Inputs, axis};

/// Mean over the axes in the optional constant input `axes`.
#[derive(Clone, Debug, PartialEq)]
pub struct ReduceMean {
    /// Whether reduced axes stay, with extent 1.
    pub keepdims: bool,
    /// What no axes mean: nothing to do if set, all axes otherwise.
    pub noop_with_empty_axes: bool,
}

impl ReduceMean {
    /// For each axis of the input, whether it is reduced.
    ///
    /// # Errors
    /// When `axes` is not constant or names an axis that does not exist.
    pub fn reduced(&self, inputs: &[Option<Input<'_>>]) -> Result<Vec<bool>, ShapeError> {
        let rank = inputs.required(0, "data")?.ty.shape.len();
        let axes = inputs.integers(1, "axes")?.unwrap_or_default();
        let mut reduced = vec![axes.is_empty() && !self.noop_with_empty_axes; rank];
        for a in axes {
            reduced[axis(a, rank)?] = true;
        }
        Ok(reduced)
    }
}

impl OpSpec for ReduceMean {
    const NAME: &'static str = "ReduceMean";

    fn read(attributes: &mut Attributes) -> Result<ReduceMean, AttributeError> {
        Ok(ReduceMean {
            keepdims: attributes.flag("keepdims", true)?,
            noop_with_empty_axes: attributes.flag("noop_with_empty_axes", false)?,
        })
    }

    fn write(&self) -> Attributes {
        Attributes::new()
            .with("keepdims", Attribute::Int(self.keepdims.into()))
            .with("noop_with_empty_axes", Attribute::Int(self.noop_with_empty_axes.into()))
    }

    fn infer(&self, inputs: &[Option<Input<'_>>]) -> Result<Vec<TensorType>, ShapeError> {
        let x = &inputs.required(0, "data")?.ty;
        let axes = x.shape.iter().zip(self.reduced(inputs)?);
        let shape: Vec<usize> = match self.keepdims {
            true => axes.map(|(&d, reduced)| if reduced { 1 } else { d }).collect(),
            false => axes.filter(|(_, reduced)| !reduced).map(|(&d, _)| d).collect(),
        };
        Ok(vec![TensorType::new(x.dtype, shape)])
    }

    fn since(&self) -> u64 {
        18
    }
}

#[cfg(test)]
mod tests {
    use super::super::support::testing::{float, infer, known, read};
    use super::*;
    use lowbit_tensor::Tensor;

    #[test]
    fn axes_stay_or_leave() {
        let axes = Tensor::from_i64s(&[-1, 2]);
        let keep: ReduceMean = read(Attributes::new());
        let drop: ReduceMean = read(Attributes::new().with("keepdims", Attribute::Int(0)));
        let shape =
            |op: &ReduceMean| op.infer(&[float(&[2, 3, 4, 5]), known(&axes)]).unwrap().remove(0).shape;
        assert_eq!((shape(&keep), shape(&drop)), (vec![2, 3, 1, 1], vec![2, 3]));
        assert!(keep.infer(&[float(&[2, 3]), known(&axes)]).is_err(), "axis 2 of rank 2");
        assert!(keep.infer(&[float(&[2, 3]), float(&[1])]).is_err(), "axes are not constant");
    }

    #[test]
    fn no_axes_mean_all_or_none() {
        let all: ReduceMean = read(Attributes::new());
        let none: ReduceMean = read(Attributes::new().with("noop_with_empty_axes", Attribute::Int(1)));
        assert_eq!((infer(&all, &[&[2, 3]]), infer(&none, &[&[2, 3]])), (Ok(vec![1, 1]), Ok(vec![2, 3])));
    }
}
