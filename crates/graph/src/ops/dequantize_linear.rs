//! `DequantizeLinear`: code to real.

use super::quantize_linear::{check_zero_point, read_layout, write_layout};
use super::support::element_type;
use super::support::granularity::Granularity;
use super::*;
use crate::mismatch;
use crate::shape::Inputs;
use lowbit_tensor::DType;

/// `(x - zero_point) · scale`, of the scale's type; inputs are x, scale, zero point.
#[derive(Clone, Debug, PartialEq)]
pub struct DequantizeLinear {
    /// Axis that a vector of scales, or a block, lies along; negative counts from the end.
    pub axis: i64,
    /// Indices of the axis that share a scale; 0 for none but the above.
    pub block_size: usize,
    /// Type of the result, where it is not the scale's.
    pub output_dtype: Option<DType>,
}

impl Default for DequantizeLinear {
    fn default() -> DequantizeLinear {
        DequantizeLinear { axis: 1, block_size: 0, output_dtype: None }
    }
}

impl OpSpec for DequantizeLinear {
    const NAME: &'static str = "DequantizeLinear";

    fn read(attributes: &mut Attributes) -> Result<DequantizeLinear, AttributeError> {
        let (axis, block_size) = read_layout(attributes)?;
        Ok(DequantizeLinear {
            axis,
            block_size,
            output_dtype: element_type::read(attributes, "output_dtype")?,
        })
    }

    fn write(&self) -> Attributes {
        write_layout(self.axis, self.block_size, self.output_dtype)
    }

    fn infer(&self, inputs: &[Option<Input<'_>>]) -> Result<Vec<TensorType>, ShapeError> {
        let (x, scale) = (&inputs.required(0, "x")?.ty, &inputs.required(1, "x_scale")?.ty);
        let zero_point = inputs.optional(2).map(|z| &z.ty);
        if !x.dtype.is_integer() || x.dtype.bits() > 32 || x.dtype == DType::U32 {
            return Err(mismatch!("codes cannot be {}; accepted: integers of 2 to 16 bits, int32", x.dtype));
        }
        if zero_point.is_some_and(|z| z.dtype != x.dtype) {
            return Err(mismatch!("zero point and codes ({}) must be of one type", x.dtype));
        }
        let dtype = self.output_dtype.unwrap_or(scale.dtype);
        if !scale.dtype.is_float() || !dtype.is_float() {
            return Err(mismatch!("scale is {}, the result {dtype}; both must be floats", scale.dtype));
        }
        Granularity::resolve(self.axis, self.block_size, &x.shape, &scale.shape)?;
        check_zero_point(scale, zero_point)?;
        Ok(vec![TensorType::checked(dtype, x.shape.as_slice())?])
    }

    fn since(&self) -> u64 {
        // Types newer than the form are the writer's to notice: the rule does not see its inputs.
        match (self.output_dtype, self.block_size) {
            (Some(_), _) => 23,
            (None, 0) => 13,
            (None, _) => 21,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::support::testing::{float, round_trips, typed};

    #[test]
    fn the_scale_decides_the_type() {
        let op = DequantizeLinear::default();
        let infer =
            |x, scale, zero_point| op.infer(&[typed(x, &[2, 3]), scale, zero_point]).map(|t| t[0].dtype);
        assert_eq!(infer(DType::I4, float(&[]), None), Ok(DType::F32));
        assert_eq!(infer(DType::I8, typed(DType::F16, &[3]), typed(DType::I8, &[3])), Ok(DType::F16));
        assert_eq!(infer(DType::I32, float(&[3]), None), Ok(DType::F32));
        assert!(infer(DType::I8, float(&[]), typed(DType::U8, &[])).is_err());
        assert!(infer(DType::I64, float(&[]), None).is_err());
        assert!(infer(DType::F32, float(&[]), None).is_err());
    }

    #[test]
    fn attributes_round_trip() {
        round_trips(DequantizeLinear::default());
        let op = DequantizeLinear { axis: -1, block_size: 16, output_dtype: None };
        assert_eq!([op.since(), DequantizeLinear::default().since()], [21, 13]);
        round_trips(op);
    }
}
