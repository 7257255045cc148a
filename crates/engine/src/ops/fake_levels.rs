//! `FakeLevels`.

use super::fake_quantize;
use super::support::gradient::InputGradients;
use super::support::required;
use crate::EvalError;
use crate::form::{Form, Site};
use lowbit_graph::ops::{FakeLevels, FakeQuantize};
use lowbit_kernels::Staircase;
use lowbit_kernels::staircase::staircase;
use lowbit_tensor::Tensor;

pub(super) fn reference(op: &FakeLevels, inputs: &[Option<&Tensor>]) -> Result<Vec<Tensor>, EvalError> {
    let x = required(inputs, 0, "X")?;
    let mut values = x.to_f32();
    op.code.fake_quantize(&mut values, x.shape());
    Ok(vec![Tensor::from_f32(x.shape(), values).cast(x.dtype())])
}

/// Straight through, as through the grid: where a level lies changes nothing.
pub(super) fn gradient(
    op: &FakeLevels,
    inputs: &[Option<&Tensor>],
    dy: &Tensor,
) -> Result<InputGradients, EvalError> {
    fake_quantize::gradient(&FakeQuantize { code: op.code.grid.clone() }, inputs, dy)
}

/// Per tensor, in whatever layout the data has.
pub(super) fn forward(op: &FakeLevels, site: &Site<'_>) -> Option<Form> {
    let (isa, layout, code) = (site.isa, site.data(0)?.layout, &op.code);
    if code.grid.axis.is_some() {
        return None;
    }
    let values = code.levels.iter().map(|&level| code.decode(level, 0)).collect();
    let stairs = Staircase::new(code.thresholds(0), values);
    Some(Form::unary(layout, move |x, y| staircase(isa, &stairs, x, y)))
}
