//! Concrete tensor types and what shape rules are made of.
//!
//! Rules see only known extents: a symbolic batch is bound to a number before inference
//! ([`crate::passes::specialize`]), which keeps every rule plain arithmetic.

use crate::mismatch;
use lowbit_tensor::{DType, Tensor};

/// Element type and extents of a value, all known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TensorType {
    /// Element type.
    pub dtype: DType,
    /// Extent of each axis; empty for a scalar.
    pub shape: Vec<usize>,
}

impl TensorType {
    /// A type from its parts.
    pub fn new(dtype: DType, shape: impl Into<Vec<usize>>) -> TensorType {
        TensorType { dtype, shape: shape.into() }
    }

    /// A type whose elements could be held in one buffer; what every rule that computes extents from data returns.
    ///
    /// # Errors
    /// When the byte count does not fit `isize`, the limit of any buffer.
    pub fn checked(dtype: DType, shape: impl Into<Vec<usize>>) -> Result<TensorType, ShapeError> {
        let ty = TensorType::new(dtype, shape);
        if ty.bytes().is_none() {
            return Err(mismatch!("a {dtype} tensor of shape {:?} is too large to exist", ty.shape));
        }
        Ok(ty)
    }

    /// Bytes in memory, where types narrower than a byte take one; `None` beyond `isize::MAX`.
    pub fn bytes(&self) -> Option<usize> {
        let count = self.shape.iter().try_fold(1usize, |n, &d| n.checked_mul(d))?;
        count.checked_mul(self.dtype.bits().div_ceil(8)).filter(|&b| isize::try_from(b).is_ok())
    }

    /// Number of elements, saturating: a file may declare any extents.
    pub fn len(&self) -> usize {
        if self.shape.contains(&0) { 0 } else { self.shape.iter().fold(1, |n, &d| n.saturating_mul(d)) }
    }

    /// Whether there is no element.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl From<&Tensor> for TensorType {
    fn from(tensor: &Tensor) -> TensorType {
        TensorType::new(tensor.dtype(), tensor.shape())
    }
}

/// What a shape rule knows of one input: its type and, if it is a constant, its value.
#[derive(Clone, Debug)]
pub struct Input<'a> {
    /// Type of the input.
    pub ty: TensorType,
    /// The constant, where it is one.
    pub value: Option<&'a Tensor>,
}

/// Why a shape rule refused its inputs. The node's name is added by the caller.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ShapeError {
    /// An input that the operator requires is absent.
    #[error("input {0} (`{1}`) is missing")]
    MissingInput(usize, &'static str),
    /// The shape depends on data that is not constant.
    #[error("input {0} (`{1}`) must be a constant")]
    NotConstant(usize, &'static str),
    /// Extents, types or attributes do not fit together.
    #[error("{0}")]
    Mismatch(String),
}

/// Shorthand for [`ShapeError::Mismatch`] with a formatted message.
#[macro_export]
macro_rules! mismatch {
    ($($arg:tt)*) => { $crate::ShapeError::Mismatch(format!($($arg)*)) };
}

/// The inputs of a node as a shape rule asks for them.
pub trait Inputs<'a> {
    /// Input `i`, required; `name` is its name in the ONNX specification.
    fn required(&self, i: usize, name: &'static str) -> Result<&Input<'a>, ShapeError>;
    /// Input `i`, if present.
    fn optional(&self, i: usize) -> Option<&Input<'a>>;
    /// The elements of integer constant input `i`, if present.
    fn integers(&self, i: usize, name: &'static str) -> Result<Option<Vec<i64>>, ShapeError>;
}

impl<'a> Inputs<'a> for [Option<Input<'a>>] {
    fn required(&self, i: usize, name: &'static str) -> Result<&Input<'a>, ShapeError> {
        self.optional(i).ok_or(ShapeError::MissingInput(i, name))
    }

    fn optional(&self, i: usize) -> Option<&Input<'a>> {
        self.get(i).and_then(Option::as_ref)
    }

    fn integers(&self, i: usize, name: &'static str) -> Result<Option<Vec<i64>>, ShapeError> {
        let Some(input) = self.optional(i) else { return Ok(None) };
        let value = input.value.ok_or(ShapeError::NotConstant(i, name))?;
        let integers = value.to_i64().ok_or_else(|| mismatch!("input {i} (`{name}`) must hold integers"))?;
        Ok(Some(integers))
    }
}

/// Resolves an axis that may count from the end; `rank` is the rank of the tensor.
pub fn axis(axis: i64, rank: usize) -> Result<usize, ShapeError> {
    let resolved = if axis < 0 { axis + rank as i64 } else { axis };
    usize::try_from(resolved)
        .ok()
        .filter(|&a| a < rank)
        .ok_or_else(|| mismatch!("axis {axis} is outside a tensor of rank {rank}"))
}

/// The numpy broadcast of two shapes.
pub fn broadcast(a: &[usize], b: &[usize]) -> Result<Vec<usize>, ShapeError> {
    let rank = a.len().max(b.len());
    let at = |s: &[usize], i: usize| (i + s.len()).checked_sub(rank).map_or(1, |j| s[j]);
    (0..rank)
        .map(|i| match (at(a, i), at(b, i)) {
            (x, y) if x == y => Ok(x),
            (1, y) => Ok(y),
            (x, 1) => Ok(x),
            _ => Err(mismatch!("shapes {a:?} and {b:?} do not broadcast")),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn broadcasting_is_numpys() {
        assert_eq!(broadcast(&[2, 1, 4], &[3, 1]), Ok(vec![2, 3, 4]));
        assert_eq!(broadcast(&[], &[5]), Ok(vec![5]));
        assert_eq!(broadcast(&[0, 1], &[1, 3]), Ok(vec![0, 3]));
        assert!(broadcast(&[2], &[3]).is_err());
    }

    #[test]
    fn types_that_no_buffer_could_hold_are_noticed() {
        assert_eq!(TensorType::new(DType::I4, [3, 5]).bytes(), Some(15));
        assert_eq!(TensorType::new(DType::F32, [usize::MAX, 2]).bytes(), None);
        assert!(TensorType::checked(DType::F64, [1 << 60]).is_err());
    }

    #[test]
    fn axes_count_from_either_end() {
        assert_eq!((axis(-1, 4), axis(0, 4)), (Ok(3), Ok(0)));
        assert!(axis(4, 4).is_err() && axis(-5, 4).is_err());
    }
}
