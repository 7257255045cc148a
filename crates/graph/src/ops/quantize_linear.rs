//! `QuantizeLinear`: real to code.

use super::support::element_type;
use super::support::granularity::Granularity;
use super::*;
use crate::mismatch;
use crate::shape::Inputs;
use lowbit_tensor::DType;

/// `saturate(round_half_even(x / scale) + zero_point)`; inputs are x, scale, zero point.
///
/// The type of the codes is the zero point's, else `output_dtype`, else uint8.
#[derive(Clone, Debug, PartialEq)]
pub struct QuantizeLinear {
    /// Axis that a vector of scales, or a block, lies along; negative counts from the end.
    pub axis: i64,
    /// Indices of the axis that share a scale; 0 for none but the above.
    pub block_size: usize,
    /// Type of the codes where there is no zero point.
    pub output_dtype: Option<DType>,
}

impl Default for QuantizeLinear {
    fn default() -> QuantizeLinear {
        QuantizeLinear { axis: 1, block_size: 0, output_dtype: None }
    }
}

/// Takes `axis` and `block_size`, which both directions have.
pub(super) fn read_layout(attributes: &mut Attributes) -> Result<(i64, usize), AttributeError> {
    let block = attributes.int("block_size")?.unwrap_or(0);
    let block_size = usize::try_from(block).map_err(|_| AttributeError::Value {
        name: "block_size",
        found: block.to_string(),
        accepted: "0 or a positive integer",
    })?;
    Ok((attributes.int("axis")?.unwrap_or(1), block_size))
}

/// Writes `axis`, `block_size` and `output_dtype` where they are not the default.
pub(super) fn write_layout(axis: i64, block_size: usize, output_dtype: Option<DType>) -> Attributes {
    let mut attributes = Attributes::new();
    if axis != 1 {
        attributes.set("axis", Attribute::Int(axis));
    }
    if block_size != 0 {
        attributes.set("block_size", Attribute::Int(block_size as i64));
    }
    if let Some(dtype) = output_dtype {
        element_type::write(&mut attributes, "output_dtype", dtype);
    }
    attributes
}

impl OpSpec for QuantizeLinear {
    const NAME: &'static str = "QuantizeLinear";

    fn read(attributes: &mut Attributes) -> Result<QuantizeLinear, AttributeError> {
        let (axis, block_size) = read_layout(attributes)?;
        attributes.int("saturate")?; // speaks of 8-bit floats only, which no tensor here has
        let precision = attributes.int("precision")?.unwrap_or(0);
        if !matches!(element_type::numbered_dtype(precision), None | Some(DType::F32)) || precision > 1 {
            let found = precision.to_string();
            return Err(AttributeError::Value { name: "precision", found, accepted: "0 or 1 (float32)" });
        }
        Ok(QuantizeLinear { axis, block_size, output_dtype: element_type::read(attributes, "output_dtype")? })
    }

    fn write(&self) -> Attributes {
        write_layout(self.axis, self.block_size, self.output_dtype)
    }

    fn infer(&self, inputs: &[Option<Input<'_>>]) -> Result<Vec<TensorType>, ShapeError> {
        let (x, scale) = (&inputs.required(0, "x")?.ty, &inputs.required(1, "y_scale")?.ty);
        if !(x.dtype.is_float() || x.dtype == DType::I32) || !scale.dtype.is_float() {
            return Err(mismatch!(
                "x is {}, scale {}; both must be floats (x may be int32)",
                x.dtype,
                scale.dtype
            ));
        }
        Granularity::resolve(self.axis, self.block_size, &x.shape, &scale.shape)?;
        let zero_point = inputs.optional(2).map(|z| &z.ty);
        check_zero_point(scale, zero_point)?;
        let dtype = zero_point.map(|z| z.dtype).or(self.output_dtype).unwrap_or(DType::U8);
        if self.output_dtype.is_some_and(|d| d != dtype) {
            return Err(mismatch!(
                "the zero point is {dtype}, output_dtype says {}",
                self.output_dtype.unwrap_or(dtype)
            ));
        }
        if !dtype.is_integer() || dtype.bits() > 16 {
            return Err(mismatch!("codes cannot be {dtype}; accepted: integers of 2 to 16 bits"));
        }
        Ok(vec![TensorType::new(dtype, x.shape.as_slice())])
    }

    fn since(&self) -> u64 {
        // Types newer than the form are the writer's to notice: the rule does not see its inputs.
        let typed = self.output_dtype.map_or(0, |d| element_type::since(d).max(21));
        typed.max(if self.block_size > 0 { 21 } else { 13 })
    }
}

/// A zero point must lie as the scale does.
pub(super) fn check_zero_point(
    scale: &TensorType,
    zero_point: Option<&TensorType>,
) -> Result<(), ShapeError> {
    let single = |shape: &[usize]| shape.iter().all(|&d| d == 1);
    match zero_point {
        Some(z) if z.shape != scale.shape && !(single(&z.shape) && single(&scale.shape)) => {
            Err(mismatch!("zero point {:?} and scale {:?} must have one shape", z.shape, scale.shape))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::support::testing::{float, round_trips, typed};

    #[test]
    fn the_zero_point_decides_the_type() {
        let infer = |op: &QuantizeLinear, zero_point| {
            op.infer(&[float(&[2, 3]), float(&[]), zero_point]).map(|t| t[0].dtype)
        };
        let plain = QuantizeLinear::default();
        assert_eq!(infer(&plain, None), Ok(DType::U8));
        assert_eq!(infer(&plain, typed(DType::I4, &[])), Ok(DType::I4));
        assert_eq!(infer(&plain, typed(DType::I4, &[1])), Ok(DType::I4));
        assert!(infer(&plain, typed(DType::I32, &[])).is_err());
        assert!(infer(&plain, typed(DType::I8, &[3])).is_err());
        let wide = QuantizeLinear { output_dtype: Some(DType::I16), ..plain };
        assert_eq!(infer(&wide, None), Ok(DType::I16));
        assert!(infer(&wide, typed(DType::I8, &[])).is_err());
    }

    #[test]
    fn scales_fit_the_axis_or_the_blocks() {
        let infer = |op: &QuantizeLinear, scale| op.infer(&[float(&[2, 3, 8]), float(scale)]).is_ok();
        assert!(infer(&QuantizeLinear::default(), &[3]) && !infer(&QuantizeLinear::default(), &[2]));
        let blocked = QuantizeLinear { axis: -1, block_size: 3, ..QuantizeLinear::default() };
        assert!(infer(&blocked, &[2, 3, 3]) && !infer(&blocked, &[2, 3, 2]));
    }

    #[test]
    fn attributes_round_trip() {
        round_trips(QuantizeLinear::default());
        let op = QuantizeLinear { axis: 0, block_size: 32, output_dtype: Some(DType::U4) };
        assert_eq!([op.since(), QuantizeLinear::default().since()], [21, 13]);
        round_trips(op);
        assert!(QuantizeLinear::read(&mut Attributes::new().with("precision", Attribute::Int(10))).is_err());
        assert!(QuantizeLinear::read(&mut Attributes::new().with("block_size", Attribute::Int(-1))).is_err());
    }
}
