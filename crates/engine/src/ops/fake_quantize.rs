//! `FakeQuantize`.

use super::support::required;
use crate::EvalError;
use lowbit_graph::ops::FakeQuantize;
use lowbit_tensor::Tensor;

pub(super) fn reference(op: &FakeQuantize, inputs: &[Option<&Tensor>]) -> Result<Vec<Tensor>, EvalError> {
    let x = required(inputs, 0, "X")?;
    let mut values = x.to_f32();
    op.code.fake_quantize(&mut values, x.shape());
    Ok(vec![Tensor::from_f32(x.shape(), values).cast(x.dtype())])
}
