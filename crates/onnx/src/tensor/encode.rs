//! Elements into bytes, as `raw_data` holds them.

use lowbit_tensor::{Data, pack};

/// The bytes, little end first, 2- and 4-bit types packed.
pub(super) fn to_bytes(data: &Data) -> Vec<u8> {
    macro_rules! little_endian {
        ($v:expr) => {
            $v.iter().map(|x| x.to_le_bytes()).collect::<Vec<_>>().into_flattened()
        };
    }
    let packed = |codes: &[i8], bits| pack::pack(&codes.iter().map(|&c| c as u8).collect::<Vec<u8>>(), bits);
    match data {
        Data::F32(v) => little_endian!(v),
        Data::F64(v) => little_endian!(v),
        Data::F16(v) => little_endian!(v),
        Data::BF16(v) => little_endian!(v),
        Data::I2(v) => packed(v, 2),
        Data::U2(v) => pack::pack(v, 2),
        Data::I4(v) => packed(v, 4),
        Data::U4(v) => pack::pack(v, 4),
        Data::I8(v) => v.iter().map(|&x| x as u8).collect(),
        Data::U8(v) => v.clone(),
        Data::I16(v) => little_endian!(v),
        Data::U16(v) => little_endian!(v),
        Data::I32(v) => little_endian!(v),
        Data::U32(v) => little_endian!(v),
        Data::I64(v) => little_endian!(v),
        Data::U64(v) => little_endian!(v),
        Data::Bool(v) => v.iter().map(|&x| u8::from(x)).collect(),
    }
}
