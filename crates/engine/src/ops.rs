//! Float meaning of each operator, one file each, named as in the graph crate.
//!
//! `reference` is the plain twin: row-major (NCHW) tensors, any element type the operator allows, floats computed in
//! f64 and rounded once at the end. It folds constants, serves what needs no speed, and is the oracle of the fast forms.

mod add;
mod conv;
mod fake_quantize;
mod relu;
mod support;

use crate::EvalError;
use lowbit_graph::Op;
use lowbit_tensor::Tensor;

/// Applies an operator to its inputs (`None` for an absent optional one) by its plain twin.
///
/// # Errors
/// When the inputs do not fit together or the element type is not defined for the operator.
pub fn evaluate(op: &Op, inputs: &[Option<&Tensor>]) -> Result<Vec<Tensor>, EvalError> {
    match op {
        Op::Add(op) => add::reference(op, inputs),
        Op::Conv(op) => conv::reference(op, inputs),
        Op::FakeQuantize(op) => fake_quantize::reference(op, inputs),
        Op::Relu(op) => relu::reference(op, inputs),
    }
}
