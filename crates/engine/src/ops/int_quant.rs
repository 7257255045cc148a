//! `IntQuant`.

use super::support::{broadcast_indices, infer, required};
use crate::EvalError;
use lowbit_graph::mismatch;
use lowbit_graph::ops::{IntQuant, Rounding};
use lowbit_tensor::{Data, Tensor};

/// Computes in f32, as QONNX does: rounding decides between codes, so the precision before it is part of the meaning.
pub(super) fn reference(op: &IntQuant, inputs: &[Option<&Tensor>]) -> Result<Vec<Tensor>, EvalError> {
    let ty = infer(op, inputs)?.remove(0);
    let (x, scale) = (required(inputs, 0, "X")?, required(inputs, 1, "scale")?);
    let zero = required(inputs, 2, "zeropt")?;
    let bits = required(inputs, 3, "bitwidth")?.to_f32()[0];
    if bits.fract() != 0.0 || !(1.0..=64.0).contains(&bits) {
        return Err(mismatch!("bitwidth {bits} must be an integer from 1 to 64").into());
    }
    let [lo, hi] = op.range(bits as u8);
    let code = |real: f32| match (bits, op.signed) {
        (1.0, true) if real >= 0.0 => 1.0,
        (1.0, true) => -1.0,
        _ => round(op.rounding, real.clamp(lo, hi)),
    };
    let (xs, scales, zeros) = (x.to_f32(), scale.to_f32(), zero.to_f32());
    let parameters =
        broadcast_indices(scale.shape(), &ty.shape).zip(broadcast_indices(zero.shape(), &ty.shape));
    let values = xs.iter().zip(parameters).map(|(&x, (s, z))| {
        let (scale, zero) = (scales[s], zeros[z]);
        (code(x / scale + zero) - zero) * scale
    });
    let values = Data::F32(values.collect());
    Ok(vec![Tensor::new(ty.shape, values)?.cast(ty.dtype)])
}

fn round(rounding: Rounding, x: f32) -> f32 {
    let away = |magnitude: f32| magnitude.copysign(x);
    match rounding {
        Rounding::HalfEven => x.round_ties_even(),
        Rounding::HalfUp => away((x.abs() + 0.5).floor()),
        Rounding::HalfDown => away((x.abs() - 0.5).ceil()),
        Rounding::Ceil => x.ceil(),
        Rounding::Floor => x.floor(),
        Rounding::Up => away(x.abs().ceil()),
        Rounding::Down => x.trunc(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn quantize(op: &IntQuant, x: &[f32], [scale, zero, bits]: [f32; 3]) -> Vec<f32> {
        let inputs = [
            Tensor::from_f32([x.len()], x.to_vec()),
            Tensor::scalar(scale),
            Tensor::scalar(zero),
            Tensor::scalar(bits),
        ];
        reference(op, &inputs.each_ref().map(Some)).unwrap()[0].to_f32()
    }

    #[test]
    fn codes_clamp_and_return() {
        let op = IntQuant { signed: true, narrow: true, rounding: Rounding::HalfEven };
        assert_eq!(quantize(&op, &[0.5, 0.75, -9.0, 9.0], [0.5, 0.0, 3.0]), [0.5, 1.0, -1.5, 1.5]);
        let op = IntQuant { signed: false, narrow: false, rounding: Rounding::Floor };
        assert_eq!(quantize(&op, &[-9.0, 0.9, 9.0], [0.5, 1.0, 2.0]), [-0.5, 0.5, 1.0]);
    }

    #[test]
    fn one_signed_bit_is_the_sign() {
        let op = IntQuant { signed: true, narrow: false, rounding: Rounding::HalfEven };
        assert_eq!(quantize(&op, &[0.0, 7.0, -0.1], [0.5, 0.0, 1.0]), [0.5, 0.5, -0.5]);
    }

    #[test]
    fn modes_round_in_their_way() {
        let each = |r| [-1.5, -0.5, 0.25, 0.5, 1.5].map(|x| round(r, x));
        assert_eq!(each(Rounding::HalfEven), [-2., 0., 0., 0., 2.]);
        assert_eq!(each(Rounding::HalfUp), [-2., -1., 0., 1., 2.]);
        assert_eq!(each(Rounding::HalfDown), [-1., 0., 0., 0., 1.]);
        assert_eq!(each(Rounding::Ceil), [-1., 0., 1., 1., 2.]);
        assert_eq!(each(Rounding::Floor), [-2., -1., 0., 0., 1.]);
        assert_eq!(each(Rounding::Up), [-2., -1., 1., 1., 2.]);
        assert_eq!(each(Rounding::Down), [-1., 0., 0., 0., 1.]);
    }
}
