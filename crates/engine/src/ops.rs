//! Float meaning of each operator, one file each, named as in the graph crate.
//!
//! `reference` is the plain twin: row-major (NCHW) tensors, any element type the operator allows, floats computed in
//! f64 and rounded once at the end. It folds constants, serves what needs no speed, and is the oracle of the fast forms.

mod add;
mod bipolar_quant;
mod bit_shift;
mod bitwise_and;
mod bitwise_or;
mod cast;
mod concat;
mod constant_of_shape;
mod conv;
mod dequantize_linear;
mod dropout;
mod expand;
mod fake_quantize;
mod flatten;
mod gather;
mod identity;
mod int_quant;
mod pad;
mod quantize_linear;
mod relu;
mod reshape;
mod shape;
mod slice;
mod split;
mod squeeze;
mod support;
mod transpose;
mod unsqueeze;

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
        Op::BipolarQuant(op) => bipolar_quant::reference(op, inputs),
        Op::BitShift(op) => bit_shift::reference(op, inputs),
        Op::BitwiseAnd(op) => bitwise_and::reference(op, inputs),
        Op::BitwiseOr(op) => bitwise_or::reference(op, inputs),
        Op::Cast(op) => cast::reference(op, inputs),
        Op::Concat(op) => concat::reference(op, inputs),
        Op::ConstantOfShape(op) => constant_of_shape::reference(op, inputs),
        Op::Conv(op) => conv::reference(op, inputs),
        Op::DequantizeLinear(op) => dequantize_linear::reference(op, inputs),
        Op::Dropout(op) => dropout::reference(op, inputs),
        Op::Expand(op) => expand::reference(op, inputs),
        Op::FakeQuantize(op) => fake_quantize::reference(op, inputs),
        Op::Flatten(op) => flatten::reference(op, inputs),
        Op::Gather(op) => gather::reference(op, inputs),
        Op::Identity(op) => identity::reference(op, inputs),
        Op::IntQuant(op) => int_quant::reference(op, inputs),
        Op::Pad(op) => pad::reference(op, inputs),
        Op::QuantizeLinear(op) => quantize_linear::reference(op, inputs),
        Op::Relu(op) => relu::reference(op, inputs),
        Op::Reshape(op) => reshape::reference(op, inputs),
        Op::Shape(op) => shape::reference(op, inputs),
        Op::Slice(op) => slice::reference(op, inputs),
        Op::Split(op) => split::reference(op, inputs),
        Op::Squeeze(op) => squeeze::reference(op, inputs),
        Op::Transpose(op) => transpose::reference(op, inputs),
        Op::Unsqueeze(op) => unsqueeze::reference(op, inputs),
    }
}
