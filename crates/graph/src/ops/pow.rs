//! `Pow`: elementwise power with numpy broadcasting.

use super::*;
use crate::broadcast;
use crate::shape::Inputs;

/// X to the power Y, in the element type of X.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Pow;

impl OpSpec for Pow {
    const NAME: &'static str = "Pow";

    fn read(_: &mut Attributes) -> Result<Pow, AttributeError> {
        Ok(Pow)
    }

    fn infer(&self, inputs: &[Option<Input<'_>>]) -> Result<Vec<TensorType>, ShapeError> {
        let (x, y) = (&inputs.required(0, "X")?.ty, &inputs.required(1, "Y")?.ty);
        Ok(vec![TensorType::new(x.dtype, broadcast(&x.shape, &y.shape)?)])
    }

    fn since(&self) -> u64 {
        // Integers and mixed types are allowed since 12; the types are not known here.
        12
    }

    fn role(&self, _: usize) -> Role {
        Role::Activation
    }
}

#[cfg(test)]
mod tests {
    use super::super::support::testing::{float, read};
    use super::*;
    use lowbit_tensor::DType;

    #[test]
    fn the_base_gives_the_type() {
        let exponent = Some(Input { ty: TensorType::new(DType::I64, [3]), value: None });
        let types = read::<Pow>(Attributes::new()).infer(&[float(&[2, 1]), exponent]);
        assert_eq!(types, Ok(vec![TensorType::new(DType::F32, [2, 3])]));
    }
}
