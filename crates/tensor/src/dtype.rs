//! Element types. Widths below a byte are values of their own: a 4-bit tensor is stored one element per byte in
//! memory and packed only where it meets a file or a kernel ([`crate::pack`]).

use std::fmt;

/// Element type of a [`crate::Tensor`]; names follow ONNX and Rust.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[allow(missing_docs, reason = "the variants are the documentation")]
pub enum DType {
    F32,
    F64,
    F16,
    BF16,
    I2,
    U2,
    I4,
    U4,
    I8,
    U8,
    I16,
    U16,
    I32,
    U32,
    I64,
    U64,
    Bool,
}

impl DType {
    /// Width of one element in bits, as stored in an ONNX file (booleans take a byte).
    pub fn bits(self) -> usize {
        match self {
            DType::I2 | DType::U2 => 2,
            DType::I4 | DType::U4 => 4,
            DType::I8 | DType::U8 | DType::Bool => 8,
            DType::F16 | DType::BF16 | DType::I16 | DType::U16 => 16,
            DType::F32 | DType::I32 | DType::U32 => 32,
            DType::F64 | DType::I64 | DType::U64 => 64,
        }
    }

    /// Whether this is one of the four floating-point types.
    pub fn is_float(self) -> bool {
        matches!(self, DType::F32 | DType::F64 | DType::F16 | DType::BF16)
    }

    /// Whether this is an integer type (booleans are not).
    pub fn is_integer(self) -> bool {
        !self.is_float() && self != DType::Bool
    }

    /// Smallest and largest code of an integer type; `None` for floats, booleans and `u64` (whose top leaves `i64`).
    pub fn integer_range(self) -> Option<[i64; 2]> {
        Some(match self {
            DType::I2 => [-2, 1],
            DType::U2 => [0, 3],
            DType::I4 => [-8, 7],
            DType::U4 => [0, 15],
            DType::I8 => [i8::MIN.into(), i8::MAX.into()],
            DType::U8 => [0, u8::MAX.into()],
            DType::I16 => [i16::MIN.into(), i16::MAX.into()],
            DType::U16 => [0, u16::MAX.into()],
            DType::I32 => [i32::MIN.into(), i32::MAX.into()],
            DType::U32 => [0, u32::MAX.into()],
            DType::I64 => [i64::MIN, i64::MAX],
            DType::U64 | DType::F32 | DType::F64 | DType::F16 | DType::BF16 | DType::Bool => return None,
        })
    }

    /// Bytes that `elements` of this type take in a file, sub-byte types packed.
    pub fn file_bytes(self, elements: usize) -> usize {
        (elements * self.bits()).div_ceil(8)
    }
}

impl fmt::Display for DType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            DType::F32 => "float32",
            DType::F64 => "float64",
            DType::F16 => "float16",
            DType::BF16 => "bfloat16",
            DType::I2 => "int2",
            DType::U2 => "uint2",
            DType::I4 => "int4",
            DType::U4 => "uint4",
            DType::I8 => "int8",
            DType::U8 => "uint8",
            DType::I16 => "int16",
            DType::U16 => "uint16",
            DType::I32 => "int32",
            DType::U32 => "uint32",
            DType::I64 => "int64",
            DType::U64 => "uint64",
            DType::Bool => "bool",
        })
    }
}
