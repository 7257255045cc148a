//! `GlobalAveragePool`: the mean of each channel.

use super::*;
use crate::mismatch;
use crate::shape::Inputs;

/// Mean over all spatial axes, which stay with extent 1: `X: [n, c, d1, …]`, `Y: [n, c, 1, …]`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct GlobalAveragePool;

impl OpSpec for GlobalAveragePool {
    const NAME: &'static str = "GlobalAveragePool";

    fn read(_: &mut Attributes) -> Result<GlobalAveragePool, AttributeError> {
        Ok(GlobalAveragePool)
    }

    fn infer(&self, inputs: &[Option<Input<'_>>]) -> Result<Vec<TensorType>, ShapeError> {
        let x = &inputs.required(0, "X")?.ty;
        if x.shape.len() < 2 {
            return Err(mismatch!("input {:?} has no channel axis 1", x.shape));
        }
        let shape = x.shape.iter().enumerate().map(|(i, &d)| if i < 2 { d } else { 1 });
        Ok(vec![TensorType::new(x.dtype, shape.collect::<Vec<_>>())])
    }
}

#[cfg(test)]
mod tests {
    use super::super::support::testing::{infer, read};
    use super::*;

    #[test]
    fn spatial_axes_shrink_to_one() {
        let op: GlobalAveragePool = read(Attributes::new());
        assert_eq!(infer(&op, &[&[2, 3, 4, 5]]), Ok(vec![2, 3, 1, 1]));
        assert!(infer(&op, &[&[3]]).is_err());
    }
}
