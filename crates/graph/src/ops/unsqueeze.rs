//! `Unsqueeze`: axes of extent 1 inserted.

use super::*;
use crate::mismatch;
use crate::shape::{Inputs, axis};

/// Input 1 names where the new axes are in the result.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Unsqueeze;

impl OpSpec for Unsqueeze {
    const NAME: &'static str = "Unsqueeze";

    fn read(_: &mut Attributes) -> Result<Unsqueeze, AttributeError> {
        Ok(Unsqueeze)
    }

    fn infer(&self, inputs: &[Option<Input<'_>>]) -> Result<Vec<TensorType>, ShapeError> {
        let x = &inputs.required(0, "data")?.ty;
        let axes = inputs.integers(1, "axes")?.ok_or(ShapeError::MissingInput(1, "axes"))?;
        let mut new = vec![false; x.shape.len() + axes.len()];
        for &a in &axes {
            let a = axis(a, new.len())?;
            if std::mem::replace(&mut new[a], true) {
                return Err(mismatch!("axes {axes:?} name axis {a} twice"));
            }
        }
        let mut extents = x.shape.iter();
        let extent = |new| if new { Some(1) } else { extents.next().copied() };
        Ok(vec![TensorType::new(x.dtype, new.into_iter().filter_map(extent).collect::<Vec<_>>())])
    }

    fn since(&self) -> u64 {
        13
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::support::testing::{round_trips, shapes};

    #[test]
    fn axes_are_those_of_the_result() {
        round_trips(Unsqueeze);
        assert_eq!(shapes(&Unsqueeze, &[2, 3], &[&[3, -4]]), Ok(vec![vec![1, 2, 3, 1]]));
        assert_eq!(shapes(&Unsqueeze, &[], &[&[0]]), Ok(vec![vec![1]]));
        assert!(shapes(&Unsqueeze, &[2], &[&[0, -3]]).is_err());
        assert!(shapes(&Unsqueeze, &[2], &[&[2]]).is_err());
        assert!(shapes(&Unsqueeze, &[2], &[]).is_err());
    }
}
