//! `BipolarQuant` (QONNX): one bit, -scale or scale.

use super::*;
use crate::mismatch;
use crate::shape::Inputs;

/// `scale` where x ≥ 0, else `-scale`; inputs are X and scale, which broadcasts against X.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct BipolarQuant;

impl OpSpec for BipolarQuant {
    const NAME: &'static str = "BipolarQuant";
    const DOMAIN: &'static str = "qonnx.custom_op.general";

    fn read(_: &mut Attributes) -> Result<BipolarQuant, AttributeError> {
        Ok(BipolarQuant)
    }

    fn infer(&self, inputs: &[Option<Input<'_>>]) -> Result<Vec<TensorType>, ShapeError> {
        let (x, scale) = (&inputs.required(0, "X")?.ty, &inputs.required(1, "scale")?.ty);
        if !x.dtype.is_float() || !scale.dtype.is_float() {
            return Err(mismatch!("X is {}, scale {}; both must be floats", x.dtype, scale.dtype));
        }
        support::broadcasts_into("scale", &scale.shape, &x.shape)?;
        Ok(vec![x.clone()])
    }

    fn since(&self) -> u64 {
        1
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::support::testing::{float, round_trips};

    #[test]
    fn the_scale_broadcasts_against_x() {
        round_trips(BipolarQuant);
        assert!(BipolarQuant.infer(&[float(&[2, 3]), float(&[2, 1])]).is_ok());
        assert!(BipolarQuant.infer(&[float(&[3]), float(&[2, 1])]).is_err());
    }
}
