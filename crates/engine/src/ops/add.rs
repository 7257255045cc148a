//! `Add`.

use super::support::fast;
use super::support::zip;
use crate::EvalError;
use crate::form::{Form, Site};
use lowbit_graph::ops::Add;
use lowbit_kernels::Binary;
use lowbit_tensor::Tensor;

pub(super) fn reference(op: &Add, inputs: &[Option<&Tensor>]) -> Result<Vec<Tensor>, EvalError> {
    zip(op, inputs, |a, b| a + b, i64::wrapping_add)
}

pub(super) fn forward(_: &Add, site: &Site<'_>) -> Option<Form> {
    fast::binary(Binary::Add, site)
}
