//! The host array: a shape and one contiguous row-major buffer of one element type.

use crate::DType;
use half::{bf16, f16};

/// Row-major array. An empty shape is a scalar.
#[derive(Clone, Debug, PartialEq)]
pub struct Tensor {
    shape: Vec<usize>,
    data: Data,
}

/// Buffer of one element type. The 2- and 4-bit types hold one element per byte.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs, reason = "one variant per DType")]
pub enum Data {
    F32(Vec<f32>),
    F64(Vec<f64>),
    F16(Vec<f16>),
    BF16(Vec<bf16>),
    I2(Vec<i8>),
    U2(Vec<u8>),
    I4(Vec<i8>),
    U4(Vec<u8>),
    I8(Vec<i8>),
    U8(Vec<u8>),
    I16(Vec<i16>),
    U16(Vec<u16>),
    I32(Vec<i32>),
    U32(Vec<u32>),
    I64(Vec<i64>),
    U64(Vec<u64>),
    Bool(Vec<bool>),
}

/// Why a tensor could not be made.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum TensorError {
    /// Shape and buffer disagree.
    #[error("shape {shape:?} has {expected} elements, the data {found}")]
    Length {
        /// The shape asked for.
        shape: Vec<usize>,
        /// Its element count.
        expected: usize,
        /// Elements in the buffer.
        found: usize,
    },
    /// The element count of the shape does not fit in memory.
    #[error("shape {0:?} is too large")]
    TooLarge(Vec<usize>),
}

/// Runs `$body` with `$v` bound to the buffer, whatever its type.
macro_rules! each {
    ($data:expr, $v:ident => $body:expr) => {
        match $data {
            Data::F32($v) => $body,
            Data::F64($v) => $body,
            Data::F16($v) => $body,
            Data::BF16($v) => $body,
            Data::I2($v) | Data::I4($v) | Data::I8($v) => $body,
            Data::U2($v) | Data::U4($v) | Data::U8($v) => $body,
            Data::I16($v) => $body,
            Data::U16($v) => $body,
            Data::I32($v) => $body,
            Data::U32($v) => $body,
            Data::I64($v) => $body,
            Data::U64($v) => $body,
            Data::Bool($v) => $body,
        }
    };
}

impl Data {
    /// Number of elements.
    pub fn len(&self) -> usize {
        each!(self, v => v.len())
    }

    /// Whether there is no element.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Element type.
    pub fn dtype(&self) -> DType {
        match self {
            Data::F32(_) => DType::F32,
            Data::F64(_) => DType::F64,
            Data::F16(_) => DType::F16,
            Data::BF16(_) => DType::BF16,
            Data::I2(_) => DType::I2,
            Data::U2(_) => DType::U2,
            Data::I4(_) => DType::I4,
            Data::U4(_) => DType::U4,
            Data::I8(_) => DType::I8,
            Data::U8(_) => DType::U8,
            Data::I16(_) => DType::I16,
            Data::U16(_) => DType::U16,
            Data::I32(_) => DType::I32,
            Data::U32(_) => DType::U32,
            Data::I64(_) => DType::I64,
            Data::U64(_) => DType::U64,
            Data::Bool(_) => DType::Bool,
        }
    }

    /// The elements at `indices`, in that order: what gather, slice, transpose and broadcast are made of.
    ///
    /// # Panics
    /// If an index is out of bounds; callers compute them from checked shapes.
    pub fn take(&self, indices: impl Iterator<Item = usize>) -> Data {
        macro_rules! take {
            ($($variant:ident),*) => {
                match self { $(Data::$variant(v) => Data::$variant(indices.map(|i| v[i]).collect()),)* }
            };
        }
        take!(F32, F64, F16, BF16, I2, U2, I4, U4, I8, U8, I16, U16, I32, U32, I64, U64, Bool)
    }

    /// Appends the elements `range` of `other`, which must be of the same type.
    ///
    /// # Panics
    /// If the types differ or the range is out of bounds.
    pub fn extend_from(&mut self, other: &Data, range: std::ops::Range<usize>) {
        macro_rules! extend {
            ($($variant:ident),*) => {
                match (self, other) {
                    $((Data::$variant(to), Data::$variant(from)) => to.extend_from_slice(&from[range]),)*
                    (to, from) => panic!("cannot append {} to {}", from.dtype(), to.dtype()),
                }
            };
        }
        extend!(F32, F64, F16, BF16, I2, U2, I4, U4, I8, U8, I16, U16, I32, U32, I64, U64, Bool);
    }

    /// `len` zeros of a type.
    pub fn zeros(dtype: DType, len: usize) -> Data {
        match dtype {
            DType::F32 => Data::F32(vec![0.0; len]),
            DType::F64 => Data::F64(vec![0.0; len]),
            DType::F16 => Data::F16(vec![f16::ZERO; len]),
            DType::BF16 => Data::BF16(vec![bf16::ZERO; len]),
            DType::I2 => Data::I2(vec![0; len]),
            DType::U2 => Data::U2(vec![0; len]),
            DType::I4 => Data::I4(vec![0; len]),
            DType::U4 => Data::U4(vec![0; len]),
            DType::I8 => Data::I8(vec![0; len]),
            DType::U8 => Data::U8(vec![0; len]),
            DType::I16 => Data::I16(vec![0; len]),
            DType::U16 => Data::U16(vec![0; len]),
            DType::I32 => Data::I32(vec![0; len]),
            DType::U32 => Data::U32(vec![0; len]),
            DType::I64 => Data::I64(vec![0; len]),
            DType::U64 => Data::U64(vec![0; len]),
            DType::Bool => Data::Bool(vec![false; len]),
        }
    }
}

/// Element count of a shape; `None` when it overflows.
fn count(shape: &[usize]) -> Option<usize> {
    shape.iter().try_fold(1usize, |n, &d| n.checked_mul(d))
}

impl Tensor {
    /// A tensor over `data`.
    ///
    /// # Errors
    /// When the shape's element count is not the buffer's length.
    pub fn new(shape: Vec<usize>, data: Data) -> Result<Tensor, TensorError> {
        let Some(expected) = count(&shape) else { return Err(TensorError::TooLarge(shape)) };
        if expected != data.len() {
            return Err(TensorError::Length { shape, expected, found: data.len() });
        }
        Ok(Tensor { shape, data })
    }

    /// A float tensor whose shape is known to fit.
    ///
    /// # Panics
    /// If it does not: for shapes that the program computed, not for shapes read from a file.
    #[track_caller]
    pub fn from_f32(shape: impl Into<Vec<usize>>, data: Vec<f32>) -> Tensor {
        Tensor::new(shape.into(), Data::F32(data)).expect("shape fits the data")
    }

    /// A 1-D int64 tensor: how ONNX passes shapes and axes.
    pub fn from_i64s(values: &[i64]) -> Tensor {
        Tensor { shape: vec![values.len()], data: Data::I64(values.to_vec()) }
    }

    /// A float scalar (shape `[]`).
    pub fn scalar(value: f32) -> Tensor {
        Tensor { shape: Vec::new(), data: Data::F32(vec![value]) }
    }

    /// Zeros.
    ///
    /// # Errors
    /// When the element count overflows.
    pub fn zeros(dtype: DType, shape: Vec<usize>) -> Result<Tensor, TensorError> {
        let Some(len) = count(&shape) else { return Err(TensorError::TooLarge(shape)) };
        Ok(Tensor { data: Data::zeros(dtype, len), shape })
    }

    /// Extent of each axis.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// The buffer, row-major.
    pub fn data(&self) -> &Data {
        &self.data
    }

    /// Gives the buffer away.
    pub fn into_data(self) -> Data {
        self.data
    }

    /// Element type.
    pub fn dtype(&self) -> DType {
        self.data.dtype()
    }

    /// Number of elements.
    pub fn len(&self) -> usize {
        self.data.len()
    }

    /// Whether there is no element.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The same elements under another shape.
    ///
    /// # Errors
    /// When the element counts differ.
    pub fn reshape(self, shape: Vec<usize>) -> Result<Tensor, TensorError> {
        Tensor::new(shape, self.data)
    }

    /// The float32 buffer, or `None` for another element type.
    pub fn as_f32(&self) -> Option<&[f32]> {
        match &self.data {
            Data::F32(v) => Some(v),
            _ => None,
        }
    }

    /// The float32 buffer, mutable, or `None` for another element type.
    pub fn as_f32_mut(&mut self) -> Option<&mut [f32]> {
        match &mut self.data {
            Data::F32(v) => Some(v),
            _ => None,
        }
    }

    /// All elements as float32 (booleans as 0 and 1), rounded where the type is wider.
    pub fn to_f32(&self) -> Vec<f32> {
        match &self.data {
            Data::F32(v) => v.clone(),
            Data::F16(v) => v.iter().map(|x| x.to_f32()).collect(),
            Data::BF16(v) => v.iter().map(|x| x.to_f32()).collect(),
            // One rounding from the 64-bit types, not two.
            Data::I64(v) => v.iter().map(|&x| x as f32).collect(),
            Data::U64(v) => v.iter().map(|&x| x as f32).collect(),
            _ => self.to_f64().into_iter().map(|x| x as f32).collect(),
        }
    }

    /// All elements as float64 (booleans as 0 and 1).
    pub fn to_f64(&self) -> Vec<f64> {
        match &self.data {
            Data::F16(v) => v.iter().map(|x| x.to_f64()).collect(),
            Data::BF16(v) => v.iter().map(|x| x.to_f64()).collect(),
            Data::F32(v) => v.iter().map(|&x| x.into()).collect(),
            Data::F64(v) => v.clone(),
            Data::I64(v) => v.iter().map(|&x| x as f64).collect(),
            Data::U64(v) => v.iter().map(|&x| x as f64).collect(),
            Data::Bool(v) => v.iter().map(|&x| f64::from(u8::from(x))).collect(),
            Data::I2(v) | Data::I4(v) | Data::I8(v) => v.iter().map(|&x| x.into()).collect(),
            Data::U2(v) | Data::U4(v) | Data::U8(v) => v.iter().map(|&x| x.into()).collect(),
            Data::I16(v) => v.iter().map(|&x| x.into()).collect(),
            Data::U16(v) => v.iter().map(|&x| x.into()).collect(),
            Data::I32(v) => v.iter().map(|&x| x.into()).collect(),
            Data::U32(v) => v.iter().map(|&x| x.into()).collect(),
        }
    }

    /// All elements as int64; `None` for floats. Booleans count as 0 and 1, `u64` wraps.
    pub fn to_i64(&self) -> Option<Vec<i64>> {
        Some(match &self.data {
            Data::F32(_) | Data::F64(_) | Data::F16(_) | Data::BF16(_) => return None,
            Data::I64(v) => v.clone(),
            Data::U64(v) => v.iter().map(|&x| x as i64).collect(),
            Data::Bool(v) => v.iter().map(|&x| x.into()).collect(),
            Data::I2(v) | Data::I4(v) | Data::I8(v) => v.iter().map(|&x| x.into()).collect(),
            Data::U2(v) | Data::U4(v) | Data::U8(v) => v.iter().map(|&x| x.into()).collect(),
            Data::I16(v) => v.iter().map(|&x| x.into()).collect(),
            Data::U16(v) => v.iter().map(|&x| x.into()).collect(),
            Data::I32(v) => v.iter().map(|&x| x.into()).collect(),
            Data::U32(v) => v.iter().map(|&x| x.into()).collect(),
        })
    }

    /// Converts the elements as ONNX `Cast` does: floats truncate towards zero and saturate, integers wrap,
    /// anything non-zero is `true`, float narrowing rounds to nearest even.
    pub fn cast(&self, to: DType) -> Tensor {
        if to == self.dtype() {
            return self.clone();
        }
        let data = match self.to_i64() {
            Some(v) if !to.is_float() => from_integers(&v, to),
            _ if to == DType::F32 => Data::F32(self.to_f32()),
            _ => from_reals(&self.to_f64(), to),
        };
        Tensor { shape: self.shape.clone(), data }
    }
}

fn wrap(x: i64, bits: usize) -> i8 {
    crate::pack::sign_extend(x as u8, bits)
}

fn from_integers(v: &[i64], to: DType) -> Data {
    macro_rules! narrow {
        ($($variant:ident $t:ty),*) => {
            match to {
                $(DType::$variant => Data::$variant(v.iter().map(|&x| x as $t).collect()),)*
                DType::I2 => Data::I2(v.iter().map(|&x| wrap(x, 2)).collect()),
                DType::I4 => Data::I4(v.iter().map(|&x| wrap(x, 4)).collect()),
                DType::U2 => Data::U2(v.iter().map(|&x| x as u8 & 3).collect()),
                DType::U4 => Data::U4(v.iter().map(|&x| x as u8 & 15).collect()),
                DType::Bool => Data::Bool(v.iter().map(|&x| x != 0).collect()),
                DType::F32 | DType::F64 | DType::F16 | DType::BF16 => unreachable!("floats go through from_reals"),
            }
        };
    }
    narrow!(I8 i8, U8 u8, I16 i16, U16 u16, I32 i32, U32 u32, I64 i64, U64 u64)
}

fn from_reals(v: &[f64], to: DType) -> Data {
    macro_rules! saturate {
        ($($variant:ident $t:ty),*) => {
            match to {
                $(DType::$variant => Data::$variant(v.iter().map(|&x| x as $t).collect()),)*
                DType::I2 => Data::I2(v.iter().map(|&x| (x as i8).clamp(-2, 1)).collect()),
                DType::I4 => Data::I4(v.iter().map(|&x| (x as i8).clamp(-8, 7)).collect()),
                DType::U2 => Data::U2(v.iter().map(|&x| (x as u8).min(3)).collect()),
                DType::U4 => Data::U4(v.iter().map(|&x| (x as u8).min(15)).collect()),
                DType::Bool => Data::Bool(v.iter().map(|&x| x != 0.0).collect()),
                DType::F16 => Data::F16(v.iter().map(|&x| f16::from_f64(x)).collect()),
                DType::BF16 => Data::BF16(v.iter().map(|&x| bf16::from_f64(x)).collect()),
            }
        };
    }
    saturate!(F32 f32, F64 f64, I8 i8, U8 u8, I16 i16, U16 u16, I32 i32, U32 u32, I64 i64, U64 u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shape_and_data_must_agree() {
        let error = Tensor::new(vec![2, 3], Data::F32(vec![0.0; 5])).unwrap_err();
        assert_eq!(error.to_string(), "shape [2, 3] has 6 elements, the data 5");
        assert!(matches!(Tensor::zeros(DType::U8, vec![usize::MAX, 2]), Err(TensorError::TooLarge(_))));
    }

    #[test]
    fn casts_truncate_saturate_and_wrap() {
        let x = Tensor::from_f32([4], vec![-1.9, 300.0, f32::NAN, 2.5]);
        assert_eq!(x.cast(DType::U8).data(), &Data::U8(vec![0, 255, 0, 2]));
        assert_eq!(x.cast(DType::I4).data(), &Data::I4(vec![-1, 7, 0, 2]));
        let n = Tensor::from_i64s(&[-1, 300, 9]);
        assert_eq!(n.cast(DType::U8).data(), &Data::U8(vec![255, 44, 9]));
        assert_eq!(n.cast(DType::I4).data(), &Data::I4(vec![-1, -4, -7]));
        assert_eq!(n.cast(DType::Bool).data(), &Data::Bool(vec![true; 3]));
    }

    #[test]
    fn take_reorders_and_repeats() {
        let data = Data::I8(vec![5, 6, 7]);
        assert_eq!(data.take([2, 0, 0].into_iter()), Data::I8(vec![7, 5, 5]));
    }

    #[test]
    fn the_empty_shape_is_a_scalar() {
        assert_eq!(Tensor::scalar(2.0).len(), 1);
        assert_eq!(Tensor::scalar(2.0).shape(), &[] as &[usize]);
    }
}
