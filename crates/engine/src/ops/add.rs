//! `Add`.

use super::support::zip;
use crate::EvalError;
use lowbit_graph::ops::Add;
use lowbit_tensor::Tensor;

pub(super) fn reference(op: &Add, inputs: &[Option<&Tensor>]) -> Result<Vec<Tensor>, EvalError> {
    zip(op, inputs, |a, b| a + b, i64::wrapping_add)
}
