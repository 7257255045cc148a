//! `Dropout`: at inference, its input.

use super::*;
use crate::mismatch;
use crate::shape::Inputs;
use lowbit_tensor::DType;

/// Output 0 is the data, output 1 (the mask) is true everywhere. Inputs are data, ratio, training_mode.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Dropout;

impl OpSpec for Dropout {
    const NAME: &'static str = "Dropout";

    fn read(attributes: &mut Attributes) -> Result<Dropout, AttributeError> {
        attributes.int("seed")?; // of a generator that inference does not use
        Ok(Dropout)
    }

    fn infer(&self, inputs: &[Option<Input<'_>>]) -> Result<Vec<TensorType>, ShapeError> {
        let x = inputs.required(0, "data")?.ty.clone();
        if inputs.integers(2, "training_mode")?.is_some_and(|v| v.iter().any(|&v| v != 0)) {
            return Err(mismatch!("training_mode is set; export the network for inference"));
        }
        let mask = TensorType::new(DType::Bool, x.shape.as_slice());
        Ok(vec![x, mask])
    }

    fn since(&self) -> u64 {
        12
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::support::testing::{float, known, round_trips};
    use lowbit_tensor::{Data, Tensor};

    #[test]
    fn data_passes_and_training_is_refused() {
        round_trips(Dropout);
        let mode = |on| Tensor::new(vec![], Data::Bool(vec![on])).unwrap();
        let infer = |mode: &Tensor| Dropout.infer(&[float(&[2, 3]), None, known(mode)]);
        assert_eq!(
            infer(&mode(false)),
            Ok(vec![TensorType::new(DType::F32, [2, 3]), TensorType::new(DType::Bool, [2, 3])])
        );
        assert!(infer(&mode(true)).is_err());
    }
}
