//! What the tests of operators share: inputs of shape rules, and reading what was written.

use crate::{Attributes, Input, OpSpec, ShapeError, TensorType};
use lowbit_tensor::{DType, Tensor};

/// A computed float input of that shape.
pub(in crate::ops) fn float(shape: &[usize]) -> Option<Input<'static>> {
    typed(DType::F32, shape)
}

/// A computed input of that type.
pub(in crate::ops) fn typed(dtype: DType, shape: &[usize]) -> Option<Input<'static>> {
    Some(Input { ty: TensorType::new(dtype, shape), value: None })
}

/// A constant input.
pub(in crate::ops) fn known(tensor: &Tensor) -> Option<Input<'_>> {
    Some(Input { ty: TensorType::from(tensor), value: Some(tensor) })
}

/// Shapes of the outputs for a float input of shape `x` and integer constants after it.
pub(in crate::ops) fn shapes(
    op: &impl OpSpec,
    x: &[usize],
    constants: &[&[i64]],
) -> Result<Vec<Vec<usize>>, ShapeError> {
    let tensors: Vec<Tensor> = constants.iter().map(|v| Tensor::from_i64s(v)).collect();
    let inputs: Vec<_> = std::iter::once(float(x)).chain(tensors.iter().map(known)).collect();
    Ok(op.infer(&inputs)?.into_iter().map(|ty| ty.shape).collect())
}

/// Shape of the first output for float inputs of these shapes.
pub(in crate::ops) fn infer(op: &impl OpSpec, shapes: &[&[usize]]) -> Result<Vec<usize>, ShapeError> {
    let inputs: Vec<_> = shapes.iter().map(|shape| float(shape)).collect();
    op.infer(&inputs).map(|mut types| types.remove(0).shape)
}

/// The operator with these attributes, having asserted that it takes them all and reads back what it writes.
#[track_caller]
pub(in crate::ops) fn read<O: OpSpec + PartialEq + Clone + std::fmt::Debug>(mut attributes: Attributes) -> O {
    let op = O::read(&mut attributes).unwrap();
    assert_eq!(attributes.finish(), Ok(()));
    round_trips(op.clone());
    op
}

/// Asserts that reading what the operator writes gives it back, and leaves no attribute over.
#[track_caller]
pub(in crate::ops) fn round_trips<O: OpSpec + PartialEq + std::fmt::Debug>(op: O) {
    let mut attributes = op.write();
    assert_eq!(O::read(&mut attributes).as_ref(), Ok(&op));
    assert_eq!(attributes.finish(), Ok(()));
}
