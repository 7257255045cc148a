//! `ConstantOfShape`.

use super::support::infer;
use crate::EvalError;
use lowbit_graph::ops::ConstantOfShape;
use lowbit_tensor::Tensor;

pub(super) fn reference(op: &ConstantOfShape, inputs: &[Option<&Tensor>]) -> Result<Vec<Tensor>, EvalError> {
    let ty = infer(op, inputs)?.remove(0);
    let data = op.value.data().take(std::iter::repeat_n(0, ty.len()));
    Ok(vec![Tensor::new(ty.shape, data)?])
}

#[cfg(test)]
mod tests {
    use super::*;
    use lowbit_tensor::Data;
    use std::sync::Arc;

    #[test]
    fn one_value_repeats() {
        let op = ConstantOfShape { value: Arc::new(Tensor::new(vec![1], Data::U8(vec![9])).unwrap()) };
        let y = reference(&op, &[Some(&Tensor::from_i64s(&[2, 1]))]).unwrap();
        assert_eq!(y, [Tensor::new(vec![2, 1], Data::U8(vec![9, 9])).unwrap()]);
    }
}
