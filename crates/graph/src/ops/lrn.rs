//! `LRN`: each channel divided by the energy of its neighbours.

use super::*;
use crate::mismatch;
use crate::shape::Inputs;

/// x / (`bias` + `alpha`/`size` · Σ x²)^`beta`, the sum over the `size` channels around each, for `X: [n, c, …]`.
#[derive(Clone, Debug, PartialEq)]
pub struct Lrn {
    /// Channels summed over: from `(size − 1)/2` before (rounded down) to `(size − 1)/2` after (rounded up).
    pub size: usize,
    /// Factor of the mean square.
    pub alpha: f32,
    /// Exponent.
    pub beta: f32,
    /// Value for no energy at all.
    pub bias: f32,
}

impl OpSpec for Lrn {
    const NAME: &'static str = "LRN";

    fn read(attributes: &mut Attributes) -> Result<Lrn, AttributeError> {
        Ok(Lrn {
            size: support::positive(attributes, "size")?.ok_or(AttributeError::Missing("size"))?,
            alpha: attributes.float("alpha")?.unwrap_or(1e-4),
            beta: attributes.float("beta")?.unwrap_or(0.75),
            bias: attributes.float("bias")?.unwrap_or(1.0),
        })
    }

    fn write(&self) -> Attributes {
        support::floats([("alpha", self.alpha), ("beta", self.beta), ("bias", self.bias)])
            .with("size", Attribute::Int(self.size as i64))
    }

    fn infer(&self, inputs: &[Option<Input<'_>>]) -> Result<Vec<TensorType>, ShapeError> {
        let x = &inputs.required(0, "X")?.ty;
        if x.shape.len() < 2 {
            return Err(mismatch!("input {:?} has no channel axis 1", x.shape));
        }
        Ok(vec![x.clone()])
    }
}

#[cfg(test)]
mod tests {
    use super::super::support::testing::{infer, read};
    use super::*;

    #[test]
    fn the_size_is_required() {
        let op: Lrn = read(Attributes::new().with("size", Attribute::Int(5)));
        assert_eq!((op.size, op.beta), (5, 0.75));
        assert_eq!(infer(&op, &[&[1, 3, 2, 2]]), Ok(vec![1, 3, 2, 2]));
        assert!(infer(&op, &[&[3]]).is_err());
        assert_eq!(Lrn::read(&mut Attributes::new()), Err(AttributeError::Missing("size")));
    }
}
