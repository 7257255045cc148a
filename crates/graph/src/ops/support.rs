//! Rules that several operators share.

pub(super) mod window;

use crate::shape::Inputs;
use crate::{Input, ShapeError, TensorType, broadcast, mismatch};

/// Shape rule of elementwise operators on two inputs `A` and `B` of one type.
pub(super) fn binary(inputs: &[Option<Input<'_>>]) -> Result<Vec<TensorType>, ShapeError> {
    let (a, b) = (&inputs.required(0, "A")?.ty, &inputs.required(1, "B")?.ty);
    if a.dtype != b.dtype {
        return Err(mismatch!("operands are {} and {}; they must be of one type", a.dtype, b.dtype));
    }
    Ok(vec![TensorType::new(a.dtype, broadcast(&a.shape, &b.shape)?)])
}
