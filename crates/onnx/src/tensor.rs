//! `TensorProto` to [`Tensor`] and back.
//!
//! Three places can hold the elements: `raw_data`, a typed field, or another file. All are little end first; 2- and
//! 4-bit types are packed in every one of them. Nothing is allocated from a declared size before the bytes that it
//! claims were seen.

mod external;
mod minifloat;

pub(crate) use external::Folder;

use crate::proto::TensorProto;
use half::{bf16, f16};
use lowbit_tensor::{DType, Data, Tensor, pack};
use minifloat::MiniFloat;
use std::borrow::Cow;

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
        Some(raw) => from_bytes(stored, elements, &raw)?,
        None => from_fields(stored, elements, proto)?,
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

fn from_bytes(stored: Stored, elements: usize, raw: &[u8]) -> Result<Data, TensorProblem> {
    check(stored, elements, expected_bytes(stored, elements), raw.len() as u64)?;
    macro_rules! little_endian {
        ($variant:ident, $t:ty) => {{
            let (chunks, _) = raw.as_chunks::<{ size_of::<$t>() }>();
            Data::$variant(chunks.iter().map(|&c| <$t>::from_le_bytes(c)).collect())
        }};
    }
    // The length was checked, so that unpacking cannot fail.
    let codes = |bits| pack::unpack(raw, bits, elements).unwrap_or_default();
    let signed = |bits| codes(bits).into_iter().map(|c| pack::sign_extend(c, bits)).collect();
    Ok(match stored {
        Stored::Mini(mini) if mini.bits() == 8 => Data::F32(raw.iter().map(|&b| mini.decode(b)).collect()),
        Stored::Mini(mini) => Data::F32(codes(mini.bits()).into_iter().map(|c| mini.decode(c)).collect()),
        Stored::Plain(dtype) => match dtype {
            DType::F32 => little_endian!(F32, f32),
            DType::F64 => little_endian!(F64, f64),
            DType::F16 => little_endian!(F16, f16),
            DType::BF16 => little_endian!(BF16, bf16),
            DType::I2 => Data::I2(signed(2)),
            DType::U2 => Data::U2(codes(2)),
            DType::I4 => Data::I4(signed(4)),
            DType::U4 => Data::U4(codes(4)),
            DType::I8 => Data::I8(raw.iter().map(|&b| b as i8).collect()),
            DType::U8 => Data::U8(raw.to_vec()),
            DType::I16 => little_endian!(I16, i16),
            DType::U16 => little_endian!(U16, u16),
            DType::I32 => little_endian!(I32, i32),
            DType::U32 => little_endian!(U32, u32),
            DType::I64 => little_endian!(I64, i64),
            DType::U64 => little_endian!(U64, u64),
            DType::Bool => Data::Bool(raw.iter().map(|&b| b != 0).collect()),
        },
    })
}

/// Reads the typed field that the schema assigns to the element type.
fn from_fields(stored: Stored, elements: usize, proto: &mut TensorProto) -> Result<Data, TensorProblem> {
    let per_entry = if stored.bits() < 8 { 8 / stored.bits() } else { 1 };
    let expected = elements.div_ceil(per_entry);
    let entries = |field, found| {
        if found == expected {
            return Ok(());
        }
        Err(TensorProblem::Entries { dtype: stored.name(), elements, field, expected, found })
    };
    let range =
        |field, index, found: String| TensorProblem::Range { dtype: stored.name(), field, index, found };
    macro_rules! narrow {
        ($variant:ident, $field:ident, $t:ty) => {{
            entries(stringify!($field), proto.$field.len())?;
            let narrowed =
                proto.$field.iter().enumerate().map(|(i, &x)| {
                    <$t>::try_from(x).map_err(|_| range(stringify!($field), i, x.to_string()))
                });
            Data::$variant(narrowed.collect::<Result<Vec<$t>, _>>()?)
        }};
    }
    macro_rules! whole {
        ($variant:ident, $field:ident) => {{
            entries(stringify!($field), proto.$field.len())?;
            Data::$variant(std::mem::take(&mut proto.$field))
        }};
    }
    Ok(match stored {
        Stored::Plain(DType::F32) => whole!(F32, float_data),
        Stored::Plain(DType::F64) => whole!(F64, double_data),
        Stored::Plain(DType::I32) => whole!(I32, int32_data),
        Stored::Plain(DType::I64) => whole!(I64, int64_data),
        Stored::Plain(DType::U64) => whole!(U64, uint64_data),
        Stored::Plain(DType::U32) => narrow!(U32, uint64_data, u32),
        Stored::Plain(DType::I16) => narrow!(I16, int32_data, i16),
        Stored::Plain(DType::U16) => narrow!(U16, int32_data, u16),
        Stored::Plain(DType::I8) => narrow!(I8, int32_data, i8),
        Stored::Plain(DType::U8) => narrow!(U8, int32_data, u8),
        Stored::Plain(DType::Bool) => {
            entries("int32_data", proto.int32_data.len())?;
            Data::Bool(proto.int32_data.iter().map(|&x| x != 0).collect())
        }
        Stored::Plain(DType::F16 | DType::BF16) => {
            entries("int32_data", proto.int32_data.len())?;
            let bits = proto.int32_data.iter().enumerate();
            let bits =
                bits.map(|(i, &x)| u16::try_from(x).map_err(|_| range("int32_data", i, x.to_string())));
            let raw: Vec<u8> =
                bits.collect::<Result<Vec<u16>, _>>()?.into_iter().flat_map(u16::to_le_bytes).collect();
            from_bytes(stored, elements, &raw)?
        }
        // Each entry is one byte of the packed form.
        Stored::Plain(DType::I2 | DType::U2 | DType::I4 | DType::U4) | Stored::Mini(_) => {
            entries("int32_data", proto.int32_data.len())?;
            let bytes = proto.int32_data.iter().enumerate();
            let bytes =
                bytes.map(|(i, &x)| u8::try_from(x).map_err(|_| range("int32_data", i, x.to_string())));
            from_bytes(stored, elements, &bytes.collect::<Result<Vec<u8>, _>>()?)?
        }
    })
}

/// The message for `tensor`, with its elements in `raw_data`.
pub(crate) fn write(name: &str, tensor: &Tensor) -> TensorProto {
    TensorProto {
        name: Some(name.to_owned()),
        dims: tensor.shape().iter().map(|&d| d as i64).collect(),
        data_type: Some(type_id(tensor.dtype())),
        raw_data: Some(to_bytes(tensor.data()).into_owned()),
        ..TensorProto::default()
    }
}

fn to_bytes(data: &Data) -> Cow<'_, [u8]> {
    macro_rules! little_endian {
        ($v:expr) => {
            $v.iter().flat_map(|x| x.to_le_bytes()).collect::<Vec<u8>>().into()
        };
    }
    let packed =
        |codes: &[i8], bits| pack::pack(&codes.iter().map(|&c| c as u8).collect::<Vec<u8>>(), bits).into();
    match data {
        Data::F32(v) => little_endian!(v),
        Data::F64(v) => little_endian!(v),
        Data::F16(v) => little_endian!(v),
        Data::BF16(v) => little_endian!(v),
        Data::I2(v) => packed(v, 2),
        Data::U2(v) => pack::pack(v, 2).into(),
        Data::I4(v) => packed(v, 4),
        Data::U4(v) => pack::pack(v, 4).into(),
        Data::I8(v) => v.iter().map(|&x| x as u8).collect::<Vec<u8>>().into(),
        Data::U8(v) => v.into(),
        Data::I16(v) => little_endian!(v),
        Data::U16(v) => little_endian!(v),
        Data::I32(v) => little_endian!(v),
        Data::U32(v) => little_endian!(v),
        Data::I64(v) => little_endian!(v),
        Data::U64(v) => little_endian!(v),
        Data::Bool(v) => v.iter().map(|&x| u8::from(x)).collect::<Vec<u8>>().into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
