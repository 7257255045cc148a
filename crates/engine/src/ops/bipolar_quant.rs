//! `BipolarQuant`.

use super::support::{broadcast_indices, infer, required};
use crate::EvalError;
use lowbit_graph::ops::BipolarQuant;
use lowbit_tensor::{Data, Tensor};

pub(super) fn reference(op: &BipolarQuant, inputs: &[Option<&Tensor>]) -> Result<Vec<Tensor>, EvalError> {
    let ty = infer(op, inputs)?.remove(0);
    let (x, scale) = (required(inputs, 0, "X")?, required(inputs, 1, "scale")?);
    let (xs, scales) = (x.to_f32(), scale.to_f32());
    let values = xs.iter().zip(broadcast_indices(scale.shape(), &ty.shape));
    let values = values.map(|(&x, s)| if x >= 0.0 { scales[s] } else { -scales[s] }).collect();
    Ok(vec![Tensor::new(ty.shape, Data::F32(values))?.cast(ty.dtype)])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zero_counts_as_positive() {
        let x = Tensor::from_f32([2, 2], vec![0.0, -3.0, 3.0, -0.1]);
        let scale = Tensor::from_f32([2, 1], vec![0.5, 2.0]);
        assert_eq!(
            reference(&BipolarQuant, &[Some(&x), Some(&scale)]).unwrap()[0].to_f32(),
            [0.5, -0.5, 2.0, -2.0]
        );
    }
}
