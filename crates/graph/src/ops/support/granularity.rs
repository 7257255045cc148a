//! Which scale belongs to which element: what `QuantizeLinear` and `DequantizeLinear` share.

use crate::shape::axis as resolve_axis;
use crate::{ShapeError, mismatch};

/// How a tensor of scales lies over the tensor it scales: one for all, one per index of an axis, or one per block of
/// consecutive indices of an axis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Granularity {
    /// One scale.
    Tensor,
    /// One scale per index of this axis.
    Axis(usize),
    /// Along this axis one scale per block of this many indices (the last may be shorter); other axes one each.
    Blocks(usize, usize),
}

impl Granularity {
    /// The granularity of scales of shape `scale` over a tensor of shape `x`; `block` is 0 for no blocks.
    ///
    /// # Errors
    /// When the shape of the scales fits no granularity.
    pub fn resolve(axis: i64, block: usize, x: &[usize], scale: &[usize]) -> Result<Granularity, ShapeError> {
        if scale.is_empty() || (block == 0 && scale == [1]) {
            return Ok(Granularity::Tensor);
        }
        let axis = resolve_axis(axis, x.len())?;
        if block == 0 {
            return match scale {
                [n] if *n == x[axis] => Ok(Granularity::Axis(axis)),
                _ => Err(mismatch!(
                    "scale {scale:?} must be a scalar or [{}], one per index of axis {axis} of {x:?}",
                    x[axis]
                )),
            };
        }
        let mut expected = x.to_vec();
        expected[axis] = x[axis].div_ceil(block);
        if scale != expected {
            return Err(mismatch!(
                "scale {scale:?} must be {expected:?}: blocks of {block} along axis {axis} of {x:?}"
            ));
        }
        Ok(Granularity::Blocks(axis, block))
    }

    /// Flat index of the scale of each element of a tensor of shape `x`, in row-major order.
    pub fn scales(self, x: &[usize]) -> impl Iterator<Item = usize> {
        let (axis, block) = match self {
            Granularity::Tensor => (None, 1),
            Granularity::Axis(axis) => (Some(axis), 1),
            Granularity::Blocks(axis, block) => (Some(axis), block),
        };
        let inner: usize = axis.map_or(1, |a| x[a + 1..].iter().product());
        let extent = axis.map_or(1, |a| x[a]);
        let blocks = extent.div_ceil(block);
        (0..x.iter().product()).map(move |flat: usize| match self {
            Granularity::Tensor => 0,
            Granularity::Axis(_) => flat / inner % extent,
            Granularity::Blocks(..) => {
                (flat / inner / extent * blocks + flat / inner % extent / block) * inner + flat % inner
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scales(axis: i64, block: usize, x: &[usize], scale: &[usize]) -> Vec<usize> {
        Granularity::resolve(axis, block, x, scale).unwrap().scales(x).collect()
    }

    #[test]
    fn scales_are_found_by_tensor_axis_and_block() {
        assert_eq!(scales(1, 0, &[2, 2], &[]), [0, 0, 0, 0]);
        assert_eq!(scales(-1, 0, &[2, 2], &[2]), [0, 1, 0, 1]);
        assert_eq!(scales(0, 0, &[2, 2], &[2]), [0, 0, 1, 1]);
        assert_eq!(scales(1, 2, &[2, 3], &[2, 2]), [0, 0, 1, 2, 2, 3]);
        assert_eq!(scales(0, 2, &[3, 2], &[2, 2]), [0, 1, 0, 1, 2, 3]);
    }

    #[test]
    fn scales_of_another_shape_are_refused() {
        assert!(Granularity::resolve(1, 0, &[2, 3], &[2]).is_err());
        assert!(Granularity::resolve(1, 2, &[2, 3], &[2, 3]).is_err());
        assert!(Granularity::resolve(2, 0, &[2, 3], &[3]).is_err());
    }
}
