//! `QuantizeLinear`.

use super::support::{from_i64, infer, required};
use crate::EvalError;
use lowbit_graph::ops::{Granularity, QuantizeLinear};
use lowbit_tensor::Tensor;
use lowbit_tensor::number::encode;

pub(super) fn reference(op: &QuantizeLinear, inputs: &[Option<&Tensor>]) -> Result<Vec<Tensor>, EvalError> {
    let ty = infer(op, inputs)?.remove(0);
    let (x, scale) = (required(inputs, 0, "x")?, required(inputs, 1, "y_scale")?);
    let granularity = Granularity::resolve(op.axis, op.block_size, x.shape(), scale.shape())?;
    let zeros =
        inputs.get(2).copied().flatten().and_then(Tensor::to_i64).unwrap_or_else(|| vec![0; scale.len()]);
    let refused = EvalError::DType { op: "QuantizeLinear", dtype: ty.dtype };
    let range = ty.dtype.integer_range().ok_or(refused)?.map(|code| code as i32);
    let scales = scale.to_f32();
    let values = x.to_f32();
    let codes = values.iter().zip(granularity.scales(x.shape()));
    let codes = codes.map(|(&x, s)| encode(x, scales[s], zeros[s] as i32, range).into()).collect();
    Ok(vec![from_i64(&ty, codes)?])
}

#[cfg(test)]
mod tests {
    use super::*;
    use lowbit_tensor::{DType, Data};

    #[test]
    fn codes_round_half_to_even_and_saturate() {
        let x = Tensor::from_f32([5], vec![0.25, 0.75, 1.25, 1e9, -1e9]);
        let zero = Tensor::new(vec![], Data::I4(vec![-1])).unwrap();
        let y = reference(&QuantizeLinear::default(), &[Some(&x), Some(&Tensor::scalar(0.5)), Some(&zero)])
            .unwrap();
        assert_eq!(y, [Tensor::new(vec![5], Data::I4(vec![-1, 1, 1, 7, -8])).unwrap()]);
    }

    #[test]
    fn each_index_or_block_has_its_scale() {
        let x = Tensor::from_f32([1, 3], vec![8.; 3]);
        let quantize =
            |op: QuantizeLinear, scale| reference(&op, &[Some(&x), Some(&scale)]).unwrap()[0].clone();
        let per_axis = quantize(QuantizeLinear::default(), Tensor::from_f32([3], vec![1., 2., 4.]));
        assert_eq!(per_axis.data(), &Data::U8(vec![8, 4, 2]));
        let op = QuantizeLinear { block_size: 2, output_dtype: Some(DType::I16), axis: -1 };
        let blocked = quantize(op, Tensor::from_f32([1, 2], vec![1., 2.]));
        assert_eq!(blocked.data(), &Data::I16(vec![8, 8, 4]));
    }
}
