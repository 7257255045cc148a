//! Weights must be numbers: one NaN makes every answer NaN, and no range can be found around an infinity.

use crate::error::{ReadError, ReadProblem};
use lowbit_graph::{Graph, Role};

/// Refuses NaN in any constant that a node reads, and infinity in weights and biases.
///
/// Infinity elsewhere is meant: limits of `Clip`, masks added before `Softmax`.
///
/// # Errors
/// [`ReadProblem::NotFinite`], naming the constant and the first such element.
pub fn check_finite(graph: &Graph) -> Result<(), ReadError> {
    Ok(check(graph)?)
}

pub(crate) fn check(graph: &Graph) -> Result<(), ReadProblem> {
    for node in &graph.nodes {
        for (i, id) in node.inputs.iter().enumerate() {
            let Some((id, tensor)) = id.and_then(|id| Some((id, graph.constant(id)?))) else { continue };
            if !tensor.dtype().is_float() {
                continue;
            }
            let is_trained = matches!(node.op.role(i), Role::Weight { .. } | Role::Bias);
            let is_bad = |x: f64| x.is_nan() || is_trained && x.is_infinite();
            if let Some((index, value)) = tensor.to_f64().into_iter().enumerate().find(|&(_, x)| is_bad(x)) {
                let name = graph.value(id).name.clone();
                return Err(ReadProblem::NotFinite { name, index, value });
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{ints, model, node, read};
    use lowbit_tensor::Tensor;

    fn check(op: &str, value: f32) -> Result<(), String> {
        let operand = Tensor::from_f32([3, 3, 1, 1], [[0.0; 8].as_slice(), &[value]].concat());
        let attributes: &[_] = if op == "Conv" { &[("kernel_shape", ints(&[1, 1]))] } else { &[] };
        let graph = read(&model(13, vec![node(op, "x w", "y", attributes)], &[("w", operand)])).unwrap();
        check_finite(&graph).map_err(|e| e.to_string())
    }

    #[test]
    fn weights_are_numbers_and_masks_may_be_infinite() {
        assert_eq!(check("Conv", f32::NAN).unwrap_err(), "constant `w`: element 8 is NaN");
        assert_eq!(check("Conv", f32::INFINITY).unwrap_err(), "constant `w`: element 8 is inf");
        assert!(check("Add", f32::NAN).is_err());
        assert_eq!(check("Add", f32::NEG_INFINITY), Ok(()));
        assert_eq!(check("Conv", 1.0), Ok(()));
    }
}
