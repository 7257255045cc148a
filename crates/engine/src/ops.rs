//! Float meaning of each operator, one file each, named as in the graph crate.
//!
//! `reference` is the plain twin: row-major (NCHW) tensors, any element type the operator allows, floats computed in
//! f64 and rounded once at the end. It folds constants, serves what needs no speed, and is the oracle of the fast forms.

mod add;
mod average_pool;
mod batch_normalization;
mod bipolar_quant;
mod bit_shift;
mod bit_window;
mod bitwise_and;
mod bitwise_or;
mod cast;
mod clip;
mod concat;
mod constant_of_shape;
mod conv;
mod conv_transpose;
mod dequantize_linear;
mod div;
mod dropout;
mod erf;
mod expand;
mod fake_levels;
mod fake_quantize;
mod flatten;
mod gather;
mod gelu;
mod gemm;
mod global_average_pool;
mod hard_sigmoid;
mod hard_swish;
mod identity;
mod int_quant;
mod layer_normalization;
mod leaky_relu;
mod lrn;
mod matmul;
mod max_pool;
mod mul;
mod pad;
mod pow;
mod prelu;
mod quantize_linear;
mod reduce_mean;
mod relu;
mod reshape;
mod resize;
mod shape;
mod sigmoid;
mod slice;
mod softmax;
mod split;
mod sqrt;
mod squeeze;
mod sub;
mod support;
mod tanh;
mod transpose;
mod unsqueeze;

use crate::EvalError;
use crate::form::{Form, Operand, Site};
use crate::gradient::reverse::{Reverse, Reversible};
use lowbit_graph::ops::FakeQuantize;
use lowbit_graph::{Graph, Node, Op, TensorType};
use lowbit_kernels::{FakeQuant, Unary};
use lowbit_tensor::Tensor;

/// Applies an operator to its inputs (`None` for an absent optional one) by its plain twin.
///
/// # Errors
/// When the inputs do not fit together or the element type is not defined for the operator.
pub fn evaluate(op: &Op, inputs: &[Option<&Tensor>]) -> Result<Vec<Tensor>, EvalError> {
    match op {
        Op::Add(op) => add::reference(op, inputs),
        Op::AveragePool(op) => average_pool::reference(op, inputs),
        Op::BatchNormalization(op) => batch_normalization::reference(op, inputs),
        Op::BipolarQuant(op) => bipolar_quant::reference(op, inputs),
        Op::BitShift(op) => bit_shift::reference(op, inputs),
        Op::BitWindow(op) => bit_window::reference(op, inputs),
        Op::BitwiseAnd(op) => bitwise_and::reference(op, inputs),
        Op::BitwiseOr(op) => bitwise_or::reference(op, inputs),
        Op::Cast(op) => cast::reference(op, inputs),
        Op::Clip(op) => clip::reference(op, inputs),
        Op::Concat(op) => concat::reference(op, inputs),
        Op::ConstantOfShape(op) => constant_of_shape::reference(op, inputs),
        Op::Conv(op) => conv::reference(op, inputs),
        Op::ConvTranspose(op) => conv_transpose::reference(op, inputs),
        Op::DequantizeLinear(op) => dequantize_linear::reference(op, inputs),
        Op::Div(op) => div::reference(op, inputs),
        Op::Dropout(op) => dropout::reference(op, inputs),
        Op::Erf(op) => erf::reference(op, inputs),
        Op::Expand(op) => expand::reference(op, inputs),
        Op::FakeLevels(op) => fake_levels::reference(op, inputs),
        Op::FakeQuantize(op) => fake_quantize::reference(op, inputs),
        Op::Flatten(op) => flatten::reference(op, inputs),
        Op::Gather(op) => gather::reference(op, inputs),
        Op::Gelu(op) => gelu::reference(op, inputs),
        Op::Gemm(op) => gemm::reference(op, inputs),
        Op::GlobalAveragePool(op) => global_average_pool::reference(op, inputs),
        Op::HardSigmoid(op) => hard_sigmoid::reference(op, inputs),
        Op::HardSwish(op) => hard_swish::reference(op, inputs),
        Op::Identity(op) => identity::reference(op, inputs),
        Op::IntQuant(op) => int_quant::reference(op, inputs),
        Op::LayerNormalization(op) => layer_normalization::reference(op, inputs),
        Op::LeakyRelu(op) => leaky_relu::reference(op, inputs),
        Op::Lrn(op) => lrn::reference(op, inputs),
        Op::MatMul(op) => matmul::reference(op, inputs),
        Op::MaxPool(op) => max_pool::reference(op, inputs),
        Op::Mul(op) => mul::reference(op, inputs),
        Op::Pad(op) => pad::reference(op, inputs),
        Op::Pow(op) => pow::reference(op, inputs),
        Op::PRelu(op) => prelu::reference(op, inputs),
        Op::QuantizeLinear(op) => quantize_linear::reference(op, inputs),
        Op::ReduceMean(op) => reduce_mean::reference(op, inputs),
        Op::Relu(op) => relu::reference(op, inputs),
        Op::Reshape(op) => reshape::reference(op, inputs),
        Op::Resize(op) => resize::reference(op, inputs),
        Op::Shape(op) => shape::reference(op, inputs),
        Op::Sigmoid(op) => sigmoid::reference(op, inputs),
        Op::Slice(op) => slice::reference(op, inputs),
        Op::Softmax(op) => softmax::reference(op, inputs),
        Op::Split(op) => split::reference(op, inputs),
        Op::Sqrt(op) => sqrt::reference(op, inputs),
        Op::Squeeze(op) => squeeze::reference(op, inputs),
        Op::Sub(op) => sub::reference(op, inputs),
        Op::Tanh(op) => tanh::reference(op, inputs),
        Op::Transpose(op) => transpose::reference(op, inputs),
        Op::Unsqueeze(op) => unsqueeze::reference(op, inputs),
    }
}

/// The vector-Jacobian product of an operator by its plain twin: d loss / d input for each input, from
/// `grads[i]` = d loss / d output `i` (of the shape of the output; `None` for zero).
///
/// Row-major, in f64 and rounded once to the type of the input. `None` where an input takes no gradient: integers,
/// shapes, limits, and everything if all of `grads` are `None`. At kinks as PyTorch: ReLU has none at 0 nor clips at
/// their limits, pools pass it to the first of equals. [`FakeQuantize`] and windows pass it straight through; see
/// [`step_gradient`].
///
/// # Errors
/// When inputs or gradients do not fit the operator, or the result is rounded or of integers
/// ([`EvalError::NotDifferentiable`]).
pub fn gradient(
    op: &Op,
    inputs: &[Option<&Tensor>],
    grads: &[Option<&Tensor>],
) -> Result<Vec<Option<Tensor>>, EvalError> {
    support::gradient::check(op, inputs, grads)?;
    let none = vec![None; inputs.len()];
    // Of the operators with several outputs, Dropout differentiates only the first; Split sees all.
    let Some(dy) = grads.iter().copied().flatten().next() else { return Ok(none) };
    let mut found = match op {
        Op::Add(op) => add::gradient(op, inputs, dy)?,
        Op::AveragePool(op) => average_pool::gradient(op, inputs, dy)?,
        Op::BatchNormalization(op) => batch_normalization::gradient(op, inputs, dy)?,
        Op::BitWindow(op) => bit_window::gradient(op, inputs, dy)?,
        Op::Cast(op) => cast::gradient(op, inputs, dy)?,
        Op::Clip(op) => clip::gradient(op, inputs, dy)?,
        Op::Concat(op) => concat::gradient(op, inputs, dy)?,
        Op::ConstantOfShape(_) => Vec::new(), // of its value, which is an attribute, not of the extents
        Op::Conv(op) => conv::gradient(op, inputs, dy)?,
        Op::ConvTranspose(op) => conv_transpose::gradient(op, inputs, dy)?,
        Op::Div(op) => div::gradient(op, inputs, dy)?,
        Op::Dropout(op) => dropout::gradient(op, inputs, dy)?,
        Op::Erf(op) => erf::gradient(op, inputs, dy)?,
        Op::Expand(op) => expand::gradient(op, inputs, dy)?,
        Op::FakeLevels(op) => fake_levels::gradient(op, inputs, dy)?,
        Op::FakeQuantize(op) => fake_quantize::gradient(op, inputs, dy)?,
        Op::Flatten(op) => flatten::gradient(op, inputs, dy)?,
        Op::Gather(op) => gather::gradient(op, inputs, dy)?,
        Op::Gelu(op) => gelu::gradient(op, inputs, dy)?,
        Op::Gemm(op) => gemm::gradient(op, inputs, dy)?,
        Op::GlobalAveragePool(op) => global_average_pool::gradient(op, inputs, dy)?,
        Op::HardSigmoid(op) => hard_sigmoid::gradient(op, inputs, dy)?,
        Op::HardSwish(op) => hard_swish::gradient(op, inputs, dy)?,
        Op::Identity(op) => identity::gradient(op, inputs, dy)?,
        Op::LayerNormalization(op) => layer_normalization::gradient(op, inputs, dy)?,
        Op::LeakyRelu(op) => leaky_relu::gradient(op, inputs, dy)?,
        Op::Lrn(op) => lrn::gradient(op, inputs, dy)?,
        Op::MatMul(op) => matmul::gradient(op, inputs, dy)?,
        Op::MaxPool(op) => max_pool::gradient(op, inputs, dy)?,
        Op::Mul(op) => mul::gradient(op, inputs, dy)?,
        Op::Pad(op) => pad::gradient(op, inputs, dy)?,
        Op::Pow(op) => pow::gradient(op, inputs, dy)?,
        Op::PRelu(op) => prelu::gradient(op, inputs, dy)?,
        Op::ReduceMean(op) => reduce_mean::gradient(op, inputs, dy)?,
        Op::Relu(op) => relu::gradient(op, inputs, dy)?,
        Op::Reshape(op) => reshape::gradient(op, inputs, dy)?,
        Op::Resize(op) => resize::gradient(op, inputs, dy)?,
        Op::Sigmoid(op) => sigmoid::gradient(op, inputs, dy)?,
        Op::Slice(op) => slice::gradient(op, inputs, dy)?,
        Op::Softmax(op) => softmax::gradient(op, inputs, dy)?,
        Op::Split(op) => split::gradient(op, inputs, grads)?,
        Op::Sqrt(op) => sqrt::gradient(op, inputs, dy)?,
        Op::Squeeze(op) => squeeze::gradient(op, inputs, dy)?,
        Op::Sub(op) => sub::gradient(op, inputs, dy)?,
        Op::Tanh(op) => tanh::gradient(op, inputs, dy)?,
        Op::Transpose(op) => transpose::gradient(op, inputs, dy)?,
        Op::Unsqueeze(op) => unsqueeze::gradient(op, inputs, dy)?,
        Op::BipolarQuant(_)
        | Op::BitShift(_)
        | Op::BitwiseAnd(_)
        | Op::BitwiseOr(_)
        | Op::DequantizeLinear(_)
        | Op::IntQuant(_)
        | Op::QuantizeLinear(_)
        | Op::Shape(_) => return Err(EvalError::NotDifferentiable { op: op.name() }),
    };
    found.resize(inputs.len(), None);
    Ok(found)
}

/// d loss / d scale of each channel of a code (of the whole tensor if it has no axis), by the plain twin: `[channels]`, in
/// the type of `x`, from `grad` = d loss / d output, of the shape of `x`.
///
/// Of x̂ = (q − z)·s + shift with q = clamp(round(x/s) + z, lo, hi), rounding taken as the identity (LSQ, Esser et al.
/// 2020, arXiv:1902.08153, equation 3, with a zero point):
/// ∂x̂/∂s = q − z − x/s where lo ≤ round(x/s) + z ≤ hi, else q − z. A channel of 0 bits has no step and gets 0.
///
/// # Errors
/// When the code does not fit `x`, or `grad` is not a float tensor of its shape.
pub fn step_gradient(op: &FakeQuantize, x: &Tensor, grad: &Tensor) -> Result<Tensor, EvalError> {
    support::gradient::check(&Op::FakeQuantize(op.clone()), &[Some(x)], &[Some(grad)])?;
    fake_quantize::step_gradient(op, x, grad)
}

/// [`evaluate`] as passes over a graph call it.
///
/// # Errors
/// As text.
pub fn evaluate_for_pass(op: &Op, inputs: &[Option<&Tensor>]) -> Result<Vec<Tensor>, String> {
    evaluate(op, inputs).map_err(|error| error.to_string())
}

/// The fast form of a node, if its operator has one that fits the site.
pub(crate) fn forward(op: &Op, site: &Site<'_>) -> Option<Form> {
    let form = match op {
        Op::Add(op) => add::forward(op, site),
        Op::AveragePool(op) => average_pool::forward(op, site),
        Op::BatchNormalization(op) => batch_normalization::forward(op, site),
        Op::BitWindow(op) => bit_window::forward(op, site),
        Op::Clip(op) => clip::forward(op, site),
        Op::Concat(op) => concat::forward(op, site),
        Op::Conv(op) => return conv::forward(op, site),
        Op::ConvTranspose(op) => return conv_transpose::forward(op, site),
        Op::Div(op) => div::forward(op, site),
        Op::Dropout(op) => dropout::forward(op, site),
        Op::Erf(op) => erf::forward(op, site),
        Op::Expand(op) => expand::forward(op, site),
        Op::FakeLevels(op) => fake_levels::forward(op, site),
        Op::FakeQuantize(op) => fake_quantize::forward(op, site),
        Op::Flatten(op) => flatten::forward(op, site),
        Op::Gather(op) => gather::forward(op, site),
        Op::Gelu(op) => gelu::forward(op, site),
        Op::Gemm(op) => return gemm::forward(op, site),
        Op::GlobalAveragePool(op) => global_average_pool::forward(op, site),
        Op::HardSigmoid(op) => hard_sigmoid::forward(op, site),
        Op::HardSwish(op) => hard_swish::forward(op, site),
        Op::Identity(op) => identity::forward(op, site),
        Op::LayerNormalization(op) => layer_normalization::forward(op, site),
        Op::LeakyRelu(op) => leaky_relu::forward(op, site),
        Op::Lrn(op) => lrn::forward(op, site),
        Op::MatMul(op) => return matmul::forward(op, site),
        Op::MaxPool(op) => max_pool::forward(op, site),
        Op::Mul(op) => mul::forward(op, site),
        Op::PRelu(op) => prelu::forward(op, site),
        Op::Pad(op) => pad::forward(op, site),
        Op::Pow(op) => pow::forward(op, site),
        Op::ReduceMean(op) => reduce_mean::forward(op, site),
        Op::Relu(op) => relu::forward(op, site),
        Op::Reshape(op) => reshape::forward(op, site),
        Op::Resize(op) => resize::forward(op, site),
        Op::Sigmoid(op) => sigmoid::forward(op, site),
        Op::Slice(op) => slice::forward(op, site),
        Op::Softmax(op) => softmax::forward(op, site),
        Op::Split(op) => split::forward(op, site),
        Op::Sqrt(op) => sqrt::forward(op, site),
        Op::Squeeze(op) => squeeze::forward(op, site),
        Op::Sub(op) => sub::forward(op, site),
        Op::Tanh(op) => tanh::forward(op, site),
        Op::Transpose(op) => transpose::forward(op, site),
        Op::Unsqueeze(op) => unsqueeze::forward(op, site),
        _ => None,
    };
    // Only convolutions and matrix products carry a bias and a tail.
    form.filter(|_| !site.tail.is_some() && site.bias.is_none())
}

/// A node forward and back by fast forms, if its operator has both for this site.
pub(crate) fn reversible(op: &Op, site: &Site<'_>) -> Option<Reversible> {
    match op {
        Op::Conv(op) => conv::reversible(op, site),
        Op::Gemm(op) => gemm::reversible(op, site),
        Op::MatMul(op) => matmul::reversible(op, site),
        Op::FakeQuantize(op) => fake_quantize::reversible(op, site),
        _ if !site.learned.is_empty() => None,
        _ => Some(Reversible { form: forward(op, site)?, reverse: backward(op, site)?, learns: None }),
    }
}

/// The way back of [`forward`], if the operator has a fast one for this site.
fn backward(op: &Op, site: &Site<'_>) -> Option<Reverse> {
    match op {
        Op::Add(op) => add::backward(op, site),
        Op::AveragePool(op) => average_pool::backward(op, site),
        Op::BitWindow(op) => bit_window::backward(op, site),
        Op::Clip(op) => clip::backward(op, site),
        Op::Dropout(op) => dropout::backward(op, site),
        Op::Erf(op) => erf::backward(op, site),
        Op::Flatten(op) => flatten::backward(op, site),
        Op::Gelu(op) => gelu::backward(op, site),
        Op::GlobalAveragePool(op) => global_average_pool::backward(op, site),
        Op::HardSigmoid(op) => hard_sigmoid::backward(op, site),
        Op::HardSwish(op) => hard_swish::backward(op, site),
        Op::Identity(op) => identity::backward(op, site),
        Op::LeakyRelu(op) => leaky_relu::backward(op, site),
        Op::MaxPool(op) => max_pool::backward(op, site),
        Op::Relu(op) => relu::backward(op, site),
        Op::Reshape(op) => reshape::backward(op, site),
        Op::Sigmoid(op) => sigmoid::backward(op, site),
        Op::Softmax(op) => softmax::backward(op, site),
        Op::Squeeze(op) => squeeze::backward(op, site),
        Op::Tanh(op) => tanh::backward(op, site),
        Op::Unsqueeze(op) => unsqueeze::backward(op, site),
        _ => None,
    }
}

/// The activation of a node as a kernel's epilogue knows it, if it does.
pub(crate) fn activation(graph: &Graph, node: &Node) -> Option<Unary> {
    match &node.op {
        Op::Relu(_) => Some(Unary::Relu),
        Op::LeakyRelu(op) => Some(Unary::LeakyRelu { alpha: op.alpha }),
        Op::HardSwish(_) => Some(Unary::HardSwish),
        Op::HardSigmoid(op) => Some(Unary::HardSigmoid { alpha: op.alpha, beta: op.beta }),
        Op::Sigmoid(_) => Some(Unary::Sigmoid),
        Op::Tanh(_) => Some(Unary::Tanh),
        Op::Gelu(op) if !op.tanh => Some(Unary::Gelu),
        Op::Clip(_) => {
            let types: Vec<Option<TensorType>> =
                (1..3).map(|i| graph.constant_input(node, i).map(|t| TensorType::from(t.as_ref()))).collect();
            let operand = |i: usize| {
                let ty = types[i - 1].as_ref()?;
                let constant = graph.constant_input(node, i).map(|t| t.as_ref());
                Some(Operand { ty, layout: crate::Layout::RowMajor, constant })
            };
            let given = |i: usize| node.input(i).is_some() && types[i - 1].is_none();
            if given(1) || given(2) { None } else { clip::limits(operand(1).as_ref(), operand(2).as_ref()) }
        }
        _ => None,
    }
}

/// The per-tensor rounding of a node as a kernel's epilogue knows it.
pub(crate) fn per_tensor_fake_quant(op: &FakeQuantize) -> Option<FakeQuant> {
    fake_quantize::per_tensor(op)
}
