//! `Add`.

use super::support::fast;
use super::support::gradient::{self, InputGradients};
use super::support::zip;
use crate::EvalError;
use crate::form::{Form, Site};
use crate::gradient::reverse::Reverse;
use lowbit_graph::ops::Add;
use lowbit_kernels::Binary;
use lowbit_tensor::Tensor;

pub(super) fn reference(op: &Add, inputs: &[Option<&Tensor>]) -> Result<Vec<Tensor>, EvalError> {
    zip(op, inputs, |a, b| a + b, i64::wrapping_add)
}

pub(super) fn gradient(
    _: &Add,
    inputs: &[Option<&Tensor>],
    dy: &Tensor,
) -> Result<InputGradients, EvalError> {
    gradient::pairwise(inputs, dy, |_, _| [1.0, 1.0])
}

pub(super) fn forward(_: &Add, site: &Site<'_>) -> Option<Form> {
    fast::binary(Binary::Add, site)
}

/// Operands of one shape get the gradient as it is.
pub(super) fn backward(_: &Add, site: &Site<'_>) -> Option<Reverse> {
    let data: Vec<_> = (0..2).filter_map(|i| site.data(i)).collect();
    data.iter().all(|o| o.ty.shape == site.output.shape).then(|| Reverse::copy(site.isa))
}
