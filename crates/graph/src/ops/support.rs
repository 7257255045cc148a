//! Rules that several operators share.

pub(super) mod element_type;
pub(super) mod granularity;
#[cfg(test)]
pub(super) mod testing;
pub(super) mod window;
pub(super) mod words;

use crate::shape::Inputs;
use crate::{Attribute, AttributeError, Attributes, Input, ShapeError, TensorType, broadcast, mismatch};
use lowbit_tensor::Uniform;

/// Shape rule of elementwise operators on two inputs `A` and `B` of one type.
pub(super) fn binary(inputs: &[Option<Input<'_>>]) -> Result<Vec<TensorType>, ShapeError> {
    let (a, b) = (&inputs.required(0, "A")?.ty, &inputs.required(1, "B")?.ty);
    same_type(a, "B", b)?;
    Ok(vec![TensorType::new(a.dtype, broadcast(&a.shape, &b.shape)?)])
}

/// The same of integers.
pub(super) fn binary_of_integers(inputs: &[Option<Input<'_>>]) -> Result<Vec<TensorType>, ShapeError> {
    let types = binary(inputs)?;
    match types[0].dtype {
        dtype if dtype.is_integer() => Ok(types),
        dtype => Err(mismatch!("operands are {dtype}; they must be integers")),
    }
}

/// Shape rule of operators whose output is like their first input `X`.
pub(super) fn like_x(inputs: &[Option<Input<'_>>]) -> Result<Vec<TensorType>, ShapeError> {
    Ok(vec![inputs.required(0, "X")?.ty.clone()])
}

/// Shape rule of what rounds `X` to a code: its output is like `X`, and the code has a step per channel of it.
///
/// A code comes from a file or a plan: what it indexes is checked here, once, not where it runs.
pub(super) fn rounded(code: &Uniform, inputs: &[Option<Input<'_>>]) -> Result<Vec<TensorType>, ShapeError> {
    let x = &inputs.required(0, "X")?.ty;
    let channels = match code.axis {
        None => Some(1),
        Some(axis) => x.shape.get(axis).copied(),
    };
    let lengths = [code.bits.len(), code.scale.len(), code.zero_point.len()];
    let shifts = code.shift.as_ref().map_or(code.scale.len(), Vec::len);
    if channels.is_none_or(|c| lengths != [c; 3] || shifts != c) {
        let axis = code.axis.map_or("no axis".into(), |a| format!("axis {a}"));
        return Err(mismatch!(
            "a code of {} steps along {axis} does not fit {:?}",
            code.scale.len(),
            x.shape
        ));
    }
    Ok(vec![x.clone()])
}

/// Refuses an input `name` of another element type than the first input has.
pub(super) fn same_type(first: &TensorType, name: &str, other: &TensorType) -> Result<(), ShapeError> {
    if first.dtype == other.dtype {
        return Ok(());
    }
    Err(mismatch!("`{name}` is {}, the first input {}; they must be of one type", other.dtype, first.dtype))
}

/// Refuses an input whose shape `found` does not broadcast to `to` without enlarging it.
pub(super) fn broadcasts_into(name: &str, found: &[usize], to: &[usize]) -> Result<(), ShapeError> {
    match broadcast(found, to) {
        Ok(shape) if shape == to => Ok(()),
        _ => Err(mismatch!("`{name}` {found:?} does not broadcast to {to:?}")),
    }
}

/// An integer from 1 to 2^31 - 1; `None` when absent.
pub(super) fn positive(
    attributes: &mut Attributes,
    name: &'static str,
) -> Result<Option<usize>, AttributeError> {
    let Some(value) = attributes.int(name)? else { return Ok(None) };
    if !(1..=i64::from(i32::MAX)).contains(&value) {
        let accepted = "integers from 1 to 2^31 - 1";
        return Err(AttributeError::Value { name, found: value.to_string(), accepted });
    }
    Ok(Some(value as usize))
}

/// Attributes that hold one float.
pub(super) fn floats<const N: usize>(values: [(&'static str, f32); N]) -> Attributes {
    values.into_iter().fold(Attributes::new(), |a, (name, value)| a.with(name, Attribute::Float(value)))
}

/// Product of extents, saturating: multiply-accumulate counts of hostile shapes must not wrap.
pub(super) fn product<'a>(extents: impl IntoIterator<Item = &'a usize>) -> u64 {
    extents.into_iter().fold(1, |n, &d| n.saturating_mul(d as u64))
}
