//! Element types as attributes name them (`to`, `output_dtype`): the numbers of ONNX's `TensorProto.DataType`.

use crate::{Attribute, AttributeError, Attributes};
use lowbit_tensor::DType;

const NUMBERS: [(i64, DType); 17] = [
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

/// The number by which ONNX names an element type.
pub fn dtype_number(dtype: DType) -> i64 {
    NUMBERS.iter().find(|(_, d)| *d == dtype).expect("the table has every type").0
}

/// The element type of that ONNX number; `None` for those without a [`DType`] (strings, complex and 8-bit floats).
pub fn numbered_dtype(number: i64) -> Option<DType> {
    NUMBERS.iter().find(|(n, _)| *n == number).map(|&(_, d)| d)
}

/// Oldest opset in which quantization and data-moving operators take the type.
pub(in crate::ops) fn since(dtype: DType) -> u64 {
    match dtype {
        DType::I2 | DType::U2 => 25,
        DType::I4 | DType::U4 => 21,
        DType::BF16 => 13,
        _ => 7,
    }
}

/// Takes an attribute that names an element type; ONNX's 0 means absent.
pub(in crate::ops) fn read(
    attributes: &mut Attributes,
    name: &'static str,
) -> Result<Option<DType>, AttributeError> {
    match attributes.int(name)? {
        None | Some(0) => Ok(None),
        Some(number) => match numbered_dtype(number) {
            Some(dtype) => Ok(Some(dtype)),
            None => Err(AttributeError::Value {
                name,
                found: format!("element type number {number}"),
                accepted: "numbers, booleans and integers of 2 to 64 bits (1 to 7, 9 to 13, 16, 21, 22, 25, 26)",
            }),
        },
    }
}

pub(in crate::ops) fn write(attributes: &mut Attributes, name: &str, dtype: DType) {
    attributes.set(name, Attribute::Int(dtype_number(dtype)));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_name_types_both_ways() {
        for (number, dtype) in NUMBERS {
            assert_eq!((dtype_number(dtype), numbered_dtype(number)), (number, Some(dtype)));
        }
    }

    #[test]
    fn strings_and_8_bit_floats_are_refused() {
        for number in [8, 17, -1] {
            let error = read(&mut Attributes::new().with("to", Attribute::Int(number)), "to").unwrap_err();
            assert!(error.to_string().contains(&format!("number {number}")), "{error}");
        }
    }
}
