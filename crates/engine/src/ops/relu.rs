//! `Relu`.

use super::support::{map, required};
use crate::EvalError;
use lowbit_graph::ops::Relu;
use lowbit_tensor::Tensor;

pub(super) fn reference(_: &Relu, inputs: &[Option<&Tensor>]) -> Result<Vec<Tensor>, EvalError> {
    // `f64::max` would drop NaN; ONNX Runtime keeps it.
    Ok(vec![map("Relu", required(inputs, 0, "X")?, |x| if x < 0.0 { 0.0 } else { x })?])
}
