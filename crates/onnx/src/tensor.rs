//! `TensorProto` to [`Tensor`] and back.
//!
//! Three places can hold the elements: `raw_data`, a typed field, or another file. All are little end first; 2- and
//! 4-bit types are packed in every one of them. Nothing is allocated from a declared size before the bytes that it
//! claims were seen.

mod decode;
mod encode;
mod external;
mod minifloat;

pub(crate) use external::Folder;

use crate::proto::TensorProto;
use lowbit_tensor::{DType, Tensor};
use minifloat::MiniFloat;

/// Why the elements of a tensor could not be read. The tensor's name is added by the caller.
#[derive(Debug, thiserror::Error)]
pub enum TensorProblem {
    /// A dimension below zero, or more elements than can be addressed.
    #[error("dimensions {0:?} are negative or too large")]
    Dimensions(Vec<i64>),
    /// An element type that is not held here.
    #[error("element type {0} is not supported (accepted: float, integer and boolean types of 2 to 64 bits)")]
    Type(String),
    /// Too few or too many bytes.
    #[error("{elements} elements of {dtype} take {expected} bytes, found {found}")]
    Bytes {
        /// Element type.
        dtype: String,
        /// Elements that the dimensions ask for.
        elements: usize,
        /// Bytes that they take.
        expected: u128,
        /// Bytes in the file.
        found: u64,
    },
    /// Too few or too many entries of a typed field.
    #[error("{elements} elements of {dtype} take {expected} entries of `{field}`, found {found}")]
    Entries {
        /// Element type.
        dtype: String,
        /// Elements that the dimensions ask for.
        elements: usize,
        /// Field of the message.
        field: &'static str,
        /// Entries that the elements take.
        expected: usize,
        /// Entries present.
        found: usize,
    },
    /// An entry of a typed field that the element type cannot hold.
    #[error("entry {index} of `{field}` is {found}, which {dtype} cannot hold")]
    Range {
        /// Element type.
        dtype: String,
        /// Field of the message.
        field: &'static str,
        /// Position in the field.
        index: usize,
        /// The entry.
        found: String,
    },
    /// Elements stored in another file that could not be had.
    #[error("external data: {0}")]
    External(String),
    /// Parts of the format that no exporter uses.
    #[error("segmented tensors are not supported")]
    Segmented,
}

/// An element type as the file names it.
#[derive(Clone, Copy, PartialEq)]
enum Stored {
    /// Held as it is.
    Plain(DType),
    /// A float of 8 bits or fewer, widened to float32.
    Mini(MiniFloat),
}

/// `TensorProto.DataType` of each element type that is held as it is.
const TYPE_IDS: [(i32, DType); 17] = [
    (1, DType::F32),
    (2, DType::U8),
    (3, DType::I8),
    (4, DType::U16),
    (5, DType::I16),
    (6, DType::I32),
    (7, DType::I64),
    (9, DType::Bool),
    (10, DType::F16),
    (11, DType::F64),
    (12, DType::U32),
    (13, DType::U64),
    (16, DType::BF16),
    (21, DType::U4),
    (22, DType::I4),
    (25, DType::U2),
    (26, DType::I2),
];

/// The element type of an ONNX type id that is held as it is.
pub(crate) fn dtype(id: i32) -> Option<DType> {
    TYPE_IDS.iter().find(|(i, _)| *i == id).map(|(_, d)| *d)
}

/// The ONNX type id of an element type.
pub(crate) fn type_id(dtype: DType) -> i32 {
    TYPE_IDS.iter().find(|(_, d)| *d == dtype).expect("every element type has an id").0
}

/// What an ONNX type id is called in messages.
pub(crate) fn type_name(id: i32) -> String {
    match (stored(id), id) {
        (Some(stored), _) => stored.name(),
        (None, 0) => "undefined".into(),
        (None, 8) => "string".into(),
        (None, 14) => "complex64".into(),
        (None, 15) => "complex128".into(),
        (None, id) => format!("number {id}"),
    }
}

fn stored(id: i32) -> Option<Stored> {
    dtype(id).map(Stored::Plain).or_else(|| MiniFloat::from_id(id).map(Stored::Mini))
}

impl Stored {
    fn bits(self) -> usize {
        match self {
            Stored::Plain(dtype) => dtype.bits(),
            Stored::Mini(mini) => mini.bits(),
        }
    }

    fn name(self) -> String {
        match self {
            Stored::Plain(dtype) => dtype.to_string(),
            Stored::Mini(mini) => mini.name.to_owned(),
        }
    }
}

/// The tensor in `proto`, whose buffers are taken out of it.
///
/// `folder` is where external data may lie; `None` refuses it.
pub(crate) fn read(proto: &mut TensorProto, folder: Option<&Folder>) -> Result<Tensor, TensorProblem> {
    if proto.segment.is_some() {
        return Err(TensorProblem::Segmented);
    }
    let id = proto.data_type.unwrap_or(0);
    let stored = stored(id).ok_or_else(|| TensorProblem::Type(type_name(id)))?;
    let too_large = || TensorProblem::Dimensions(proto.dims.clone());
    let shape: Option<Vec<usize>> = proto.dims.iter().map(|&d| usize::try_from(d).ok()).collect();
    let shape = shape.ok_or_else(too_large)?;
    let elements = shape.iter().try_fold(1usize, |n, &d| n.checked_mul(d)).ok_or_else(too_large)?;

    let raw = if proto.data_location == Some(1) {
        let folder = folder.ok_or_else(|| TensorProblem::External("no folder is known to look in".into()))?;
        let expected = expected_bytes(stored, elements);
        let bytes =
            external::read(&proto.external_data, folder, |found| check(stored, elements, expected, found))?;
        Some(bytes)
    } else {
        proto.raw_data.take().filter(|raw| !raw.is_empty())
    };
    let data = match raw {
        Some(raw) => decode::from_bytes(stored, elements, &raw)?,
        None => decode::from_fields(stored, elements, proto)?,
    };
    Tensor::new(shape, data).map_err(|_| TensorProblem::Dimensions(proto.dims.clone()))
}

fn expected_bytes(stored: Stored, elements: usize) -> u128 {
    (elements as u128 * stored.bits() as u128).div_ceil(8)
}

fn check(stored: Stored, elements: usize, expected: u128, found: u64) -> Result<(), TensorProblem> {
    if u128::from(found) == expected {
        return Ok(());
    }
    Err(TensorProblem::Bytes { dtype: stored.name(), elements, expected, found })
}

/// The message for `tensor`, with its elements in `raw_data`.
pub(crate) fn write(name: &str, tensor: &Tensor) -> TensorProto {
    TensorProto {
        name: Some(name.to_owned()),
        dims: tensor.shape().iter().map(|&d| d as i64).collect(),
        data_type: Some(type_id(tensor.dtype())),
        raw_data: Some(encode::to_bytes(tensor.data())),
        ..TensorProto::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lowbit_tensor::Data;

    fn proto(id: i32, dims: &[i64]) -> TensorProto {
        TensorProto { data_type: Some(id), dims: dims.to_vec(), ..TensorProto::default() }
    }

    #[test]
    fn every_type_survives_writing_and_reading() {
        for (_, dtype) in TYPE_IDS {
            let values = Tensor::from_i64s(&[1, 0, -2, 1, 0, 1, 1]).cast(dtype);
            assert_eq!(read(&mut write("t", &values), None).unwrap(), values, "{dtype}");
        }
    }

    #[test]
    fn packed_types_are_read_from_bytes_and_from_entries_alike() {
        let nibbles = Data::I4(vec![1, -8, 7]);
        let raw = TensorProto { raw_data: Some(vec![0x81, 0x07]), ..proto(22, &[3]) };
        let typed = TensorProto { int32_data: vec![0x81, 0x07], ..proto(22, &[3]) };
        for mut message in [raw, typed] {
            assert_eq!(read(&mut message, None).unwrap().data(), &nibbles);
        }
        let mut quarters = TensorProto { int32_data: vec![0b10_01_11_00, 1], ..proto(26, &[5]) };
        assert_eq!(read(&mut quarters, None).unwrap().data(), &Data::I2(vec![0, -1, 1, -2, 1]));
    }

    #[test]
    fn a_length_that_does_not_fit_is_refused_before_anything_is_allocated() {
        let say = |mut p: TensorProto| read(&mut p, None).unwrap_err().to_string();
        let raw = |n, p| TensorProto { raw_data: Some(vec![0; n]), ..p };
        assert_eq!(say(raw(47, proto(1, &[3, 4]))), "12 elements of float32 take 48 bytes, found 47");
        assert_eq!(say(raw(4, proto(22, &[3, 3]))), "9 elements of int4 take 5 bytes, found 4");
        assert_eq!(
            say(raw(1, proto(1, &[1 << 33, 1 << 33]))),
            "dimensions [8589934592, 8589934592] are negative or too large"
        );
        assert!(say(raw(16, proto(1, &[1 << 20, 1 << 20]))).contains("found 16"));
        assert!(say(proto(1, &[-1])).contains("negative"));
        assert_eq!(say(proto(1, &[2])), "2 elements of float32 take 2 entries of `float_data`, found 0");
        let wide = TensorProto { int32_data: vec![0, 300], ..proto(3, &[2]) };
        assert_eq!(say(wide), "entry 1 of `int32_data` is 300, which int8 cannot hold");
        assert!(say(proto(8, &[0])).contains("element type string"));
    }

    #[test]
    fn no_elements_need_no_data() {
        assert_eq!(read(&mut proto(1, &[0, 5]), None).unwrap().shape(), [0, 5]);
    }
}
