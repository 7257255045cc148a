//! `Squeeze`: axes of extent 1 removed.

use super::*;
use crate::mismatch;
use crate::shape::{Inputs, axis};

/// Input 1 names the axes to remove; without it all of extent 1 go.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Squeeze;

impl OpSpec for Squeeze {
    const NAME: &'static str = "Squeeze";

    fn read(_: &mut Attributes) -> Result<Squeeze, AttributeError> {
        Ok(Squeeze)
    }

    fn infer(&self, inputs: &[Option<Input<'_>>]) -> Result<Vec<TensorType>, ShapeError> {
        let x = &inputs.required(0, "data")?.ty;
        let mut goes: Vec<bool> = x.shape.iter().map(|&d| d == 1).collect();
        if let Some(axes) = inputs.integers(1, "axes")? {
            let mut named = vec![false; x.shape.len()];
            for a in axes {
                let a = axis(a, x.shape.len())?;
                if !goes[a] {
                    return Err(mismatch!("axis {a} of {:?} is not of extent 1", x.shape));
                }
                named[a] = true;
            }
            goes = named;
        }
        let kept: Vec<usize> = x.shape.iter().zip(goes).filter(|(_, goes)| !goes).map(|(&d, _)| d).collect();
        Ok(vec![TensorType::new(x.dtype, kept)])
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
    fn named_axes_go_or_all_of_extent_1() {
        round_trips(Squeeze);
        assert_eq!(shapes(&Squeeze, &[1, 3, 1, 2], &[]), Ok(vec![vec![3, 2]]));
        assert_eq!(shapes(&Squeeze, &[1, 3, 1, 2], &[&[-2]]), Ok(vec![vec![1, 3, 2]]));
        assert!(shapes(&Squeeze, &[1, 3], &[&[1]]).is_err());
        assert!(shapes(&Squeeze, &[1, 3], &[&[2]]).is_err());
    }
}
