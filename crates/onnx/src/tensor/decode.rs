//! Elements out of bytes, or out of the typed fields of the message.

use super::{Stored, TensorProblem, check, expected_bytes};
use crate::proto::TensorProto;
use half::{bf16, f16};
use lowbit_tensor::{DType, Data, pack};

/// The elements in `raw`, whose length is checked.
pub(super) fn from_bytes(stored: Stored, elements: usize, raw: &[u8]) -> Result<Data, TensorProblem> {
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

/// The elements in the typed field that the schema assigns to the element type.
pub(super) fn from_fields(
    stored: Stored,
    elements: usize,
    proto: &mut TensorProto,
) -> Result<Data, TensorProblem> {
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
