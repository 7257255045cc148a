//! Samples of a fixed size and known number type: rows of `.npy`, CIFAR and IDX.

use half::f16;

use crate::error::Fault;

/// One sample: optional label bytes, then numbers in row-major order.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Record {
    /// Leading bytes; the last of them is the label, if there are any.
    pub(crate) label_bytes: usize,
    /// Number of label values, where labels are in the record.
    pub(crate) classes: u32,
    pub(crate) number: Number,
    pub(crate) big_endian: bool,
    /// Shape of one sample, without the axis of samples.
    pub(crate) dims: Vec<usize>,
}

/// Number types of arrays; all become `f32`, integers beyond 24 bits and doubles by rounding.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Number {
    Bool,
    U8,
    I8,
    U16,
    I16,
    U32,
    I32,
    U64,
    I64,
    F16,
    F32,
    F64,
}

impl Number {
    pub(crate) fn bytes(self) -> usize {
        match self {
            Number::Bool | Number::U8 | Number::I8 => 1,
            Number::U16 | Number::I16 | Number::F16 => 2,
            Number::U32 | Number::I32 | Number::F32 => 4,
            Number::U64 | Number::I64 | Number::F64 => 8,
        }
    }

    pub(crate) fn is_integer(self) -> bool {
        !matches!(self, Number::Bool | Number::F16 | Number::F32 | Number::F64)
    }
}

impl Record {
    /// Whole bytes of a record; `None` when they overflow.
    pub(crate) fn bytes(&self) -> Option<usize> {
        let numbers = self.dims.iter().try_fold(1usize, |product, &dim| product.checked_mul(dim))?;
        numbers.checked_mul(self.number.bytes())?.checked_add(self.label_bytes)
    }

    /// Where the axes of an image are: height, width, channels, and whether channels come first.
    ///
    /// Two axes are a grey image. Of three, the first is the channels if it is at most 4 or the last is not.
    pub(crate) fn image(&self) -> Option<([usize; 3], bool)> {
        match self.dims[..] {
            [height, width] => Some(([height, width, 1], false)),
            [height, width, channels] if height > 4 && channels <= 4 => {
                Some(([height, width, channels], false))
            }
            [channels, height, width] => Some(([height, width, channels], true)),
            _ => None,
        }
    }

    /// The label inside the record, if there is one.
    pub(crate) fn label(&self, bytes: &[u8]) -> Result<Option<u32>, Fault> {
        match self.label_bytes.checked_sub(1).and_then(|last| bytes.get(last)) {
            None => Ok(None),
            Some(&label) if u32::from(label) < self.classes => Ok(Some(label.into())),
            Some(&label) => Err(Fault::Label { found: label.into(), classes: self.classes }),
        }
    }

    /// The numbers of a record as `f32`.
    pub(crate) fn values(&self, bytes: &[u8]) -> Vec<f32> {
        let bytes = &bytes[self.label_bytes.min(bytes.len())..];
        let big = self.big_endian;
        match self.number {
            Number::Bool => widen(bytes, big, |[b]: [u8; 1]| f32::from(u8::from(b != 0))),
            Number::U8 => widen(bytes, big, |[b]: [u8; 1]| f32::from(b)),
            Number::I8 => widen(bytes, big, |b| f32::from(i8::from_le_bytes(b))),
            Number::U16 => widen(bytes, big, |b| f32::from(u16::from_le_bytes(b))),
            Number::I16 => widen(bytes, big, |b| f32::from(i16::from_le_bytes(b))),
            Number::U32 => widen(bytes, big, |b| u32::from_le_bytes(b) as f32),
            Number::I32 => widen(bytes, big, |b| i32::from_le_bytes(b) as f32),
            Number::U64 => widen(bytes, big, |b| u64::from_le_bytes(b) as f32),
            Number::I64 => widen(bytes, big, |b| i64::from_le_bytes(b) as f32),
            Number::F16 => widen(bytes, big, |b| f16::from_le_bytes(b).to_f32()),
            Number::F32 => widen(bytes, big, f32::from_le_bytes),
            Number::F64 => widen(bytes, big, |b| f64::from_le_bytes(b) as f32),
        }
    }

    /// The numbers of a record as integers, exact up to `i64`; `None` where one is not an `i64`.
    pub(crate) fn integers(&self, bytes: &[u8]) -> Vec<Option<i64>> {
        let big = self.big_endian;
        match self.number {
            Number::U8 => widen(bytes, big, |[b]: [u8; 1]| Some(b.into())),
            Number::I8 => widen(bytes, big, |b| Some(i8::from_le_bytes(b).into())),
            Number::U16 => widen(bytes, big, |b| Some(u16::from_le_bytes(b).into())),
            Number::I16 => widen(bytes, big, |b| Some(i16::from_le_bytes(b).into())),
            Number::U32 => widen(bytes, big, |b| Some(u32::from_le_bytes(b).into())),
            Number::I32 => widen(bytes, big, |b| Some(i32::from_le_bytes(b).into())),
            Number::U64 => widen(bytes, big, |b| i64::try_from(u64::from_le_bytes(b)).ok()),
            Number::I64 => widen(bytes, big, |b| Some(i64::from_le_bytes(b))),
            Number::Bool | Number::F16 | Number::F32 | Number::F64 => Vec::new(),
        }
    }
}

fn widen<const N: usize, T>(bytes: &[u8], big_endian: bool, number: impl Fn([u8; N]) -> T) -> Vec<T> {
    let numbers = bytes.as_chunks::<N>().0.iter().copied();
    if big_endian {
        numbers
            .map(|mut bytes| {
                bytes.reverse();
                number(bytes)
            })
            .collect()
    } else {
        numbers.map(number).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(number: Number, big_endian: bool, dims: &[usize]) -> Record {
        Record { label_bytes: 0, classes: 0, number, big_endian, dims: dims.into() }
    }

    #[test]
    fn both_byte_orders_read_the_same_number() {
        assert_eq!(record(Number::F32, false, &[1]).values(&1.5f32.to_le_bytes()), [1.5]);
        assert_eq!(record(Number::F32, true, &[1]).values(&1.5f32.to_be_bytes()), [1.5]);
        assert_eq!(record(Number::I16, true, &[1]).values(&(-300i16).to_be_bytes()), [-300.0]);
        assert_eq!(record(Number::U64, false, &[1]).integers(&u64::MAX.to_le_bytes()), [None]);
    }

    #[test]
    fn channels_are_the_small_axis_and_the_first_in_doubt() {
        let image = |dims: &[usize]| record(Number::U8, false, dims).image();
        assert_eq!(image(&[3, 32, 32]), Some(([32, 32, 3], true)));
        assert_eq!(image(&[32, 32, 3]), Some(([32, 32, 3], false)));
        assert_eq!(image(&[3, 2, 3]), Some(([2, 3, 3], true)));
        assert_eq!(image(&[28, 28]), Some(([28, 28, 1], false)));
        assert_eq!(image(&[7]), None);
    }

    #[test]
    fn sizes_that_overflow_have_no_size() {
        assert_eq!(record(Number::F64, false, &[usize::MAX / 4]).bytes(), None);
    }
}
