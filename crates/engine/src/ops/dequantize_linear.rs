//! `DequantizeLinear`.

use super::support::{infer, required};
use crate::EvalError;
use lowbit_graph::mismatch;
use lowbit_graph::ops::{DequantizeLinear, Granularity};
use lowbit_tensor::number::decode;
use lowbit_tensor::{DType, Data, Tensor};

pub(super) fn reference(op: &DequantizeLinear, inputs: &[Option<&Tensor>]) -> Result<Vec<Tensor>, EvalError> {
    let ty = infer(op, inputs)?.remove(0);
    let (x, scale) = (required(inputs, 0, "x")?, required(inputs, 1, "x_scale")?);
    let granularity = Granularity::resolve(op.axis, op.block_size, x.shape(), scale.shape())?;
    let zeros =
        inputs.get(2).copied().flatten().and_then(Tensor::to_i64).unwrap_or_else(|| vec![0; scale.len()]);
    if x.dtype() == DType::I32 && zeros.iter().any(|&z| z != 0) {
        return Err(mismatch!("int32 codes take no zero point but 0").into());
    }
    let scales = scale.to_f32();
    let codes = x.to_i64().ok_or(EvalError::DType { op: "DequantizeLinear", dtype: x.dtype() })?;
    let reals = codes.iter().zip(granularity.scales(x.shape()));
    let reals = reals.map(|(&code, s)| decode(code as i32, scales[s], zeros[s] as i32)).collect();
    Ok(vec![Tensor::new(ty.shape, Data::F32(reals))?.cast(ty.dtype)])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_zero_point_is_real_zero() {
        let x = Tensor::new(vec![2], Data::U8(vec![3, 5])).unwrap();
        let zero = Tensor::new(vec![1], Data::U8(vec![3])).unwrap();
        let y = reference(&DequantizeLinear::default(), &[Some(&x), Some(&Tensor::scalar(0.5)), Some(&zero)])
            .unwrap();
        assert_eq!(y, [Tensor::from_f32([2], vec![0., 1.])]);
    }

    #[test]
    fn blocks_of_two_rows_share_a_row_of_scales() {
        let x = Tensor::new(vec![3, 2], Data::I4(vec![1, 2, 3, 4, 5, 6])).unwrap();
        let scale = Tensor::from_f32([2, 2], vec![1., 10., 100., 1000.]);
        let op = DequantizeLinear { axis: 0, block_size: 2, output_dtype: None };
        let y = reference(&op, &[Some(&x), Some(&scale)]).unwrap();
        assert_eq!(y, [Tensor::from_f32([3, 2], vec![1., 20., 3., 40., 500., 6000.])]);
    }

    #[test]
    fn biases_of_32_bits_have_no_zero_point() {
        let x = Tensor::new(vec![1], Data::I32(vec![i32::MIN])).unwrap();
        let zero = Tensor::new(vec![], Data::I32(vec![1])).unwrap();
        let op = DequantizeLinear::default();
        assert_eq!(
            reference(&op, &[Some(&x), Some(&Tensor::scalar(0.5))]).unwrap()[0].to_f32(),
            [-1073741824.0]
        );
        assert!(reference(&op, &[Some(&x), Some(&Tensor::scalar(0.5)), Some(&zero)]).is_err());
    }
}
