//! Computes what does not depend on the inputs.
//!
//! Exporters spell shapes as arithmetic and weights as chains of nodes (decode, transpose, cast); later passes and
//! plans want the constant itself.

use super::{Evaluate, PassError, dead_nodes};
use crate::{Graph, Input, Node, Op, TensorType};
use lowbit_tensor::Tensor;
use std::sync::Arc;

/// Most bytes that one folded result may take.
const LIMIT: usize = 1 << 30;
/// Most bytes worth keeping of what a node makes from next to nothing.
const GROWN_LIMIT: usize = 64 << 20;

/// Turns the outputs of every node whose inputs are all constant into constants, and drops those nodes.
///
/// A `ConstantOfShape` or `Expand` of more than 64 MiB stays a node: computing it again is cheaper than keeping it.
///
/// # Errors
/// When such a node's inputs do not fit, its evaluation fails, or a result takes more than 1 GiB.
pub fn fold_constants(graph: &mut Graph, evaluate: Evaluate<'_>) -> Result<(), PassError> {
    for n in 0..graph.nodes.len() {
        let node = &graph.nodes[n];
        let constant =
            |id| graph.constant(id).map(|t| Input { ty: TensorType::from(t.as_ref()), value: Some(t) });
        let inputs: Vec<_> = node.inputs.iter().map(|i| i.and_then(constant)).collect();
        if inputs.iter().zip(&node.inputs).any(|(input, id)| input.is_some() != id.is_some()) {
            continue;
        }
        let types = node.op.infer(&inputs).map_err(|source| PassError::shape(node, source))?;
        let results = evaluated(node, &inputs, &types, evaluate)?;
        set_constants(graph, n, results);
    }
    dead_nodes(graph);
    Ok(())
}

/// The results of a node if all its present inputs are constant and they are worth keeping.
pub(super) fn evaluated(
    node: &Node,
    inputs: &[Option<Input<'_>>],
    types: &[TensorType],
    evaluate: Evaluate<'_>,
) -> Result<Vec<Tensor>, PassError> {
    if inputs.is_empty() || inputs.iter().flatten().any(|i| i.value.is_none()) {
        return Ok(Vec::new());
    }
    for ty in types {
        match ty.bytes() {
            Some(bytes)
                if bytes > GROWN_LIMIT && matches!(node.op, Op::ConstantOfShape(_) | Op::Expand(_)) =>
            {
                return Ok(Vec::new());
            }
            Some(bytes) if bytes <= LIMIT => {}
            _ => return Err(PassError::too_large(node, &ty.shape, LIMIT)),
        }
    }
    let tensors: Vec<_> = inputs.iter().map(|i| i.as_ref().and_then(|i| i.value)).collect();
    let results = evaluate(&node.op, &tensors).map_err(|reason| PassError::evaluate(node, reason))?;
    match results.len() < node.outputs.len() {
        true => Err(PassError::outputs(node, results.len())),
        false => Ok(results),
    }
}

/// Makes the outputs of node `n` constants; none if there are no results.
pub(super) fn set_constants(graph: &mut Graph, n: usize, results: Vec<Tensor>) {
    let outputs = graph.nodes[n].outputs.clone();
    for (output, result) in outputs.into_iter().zip(results) {
        graph.set_constant(output, Arc::new(result));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::{Add, ConstantOfShape, Relu, Reshape};
    use crate::passes::testing::{evaluate, names};
    use lowbit_tensor::DType;

    #[test]
    fn constants_run_through_and_the_rest_stays() {
        let mut graph = Graph::default();
        let x = graph.add_input("x", DType::F32, vec![]);
        let a = graph.add_constant("a", Tensor::scalar(-2.0));
        let b = graph.add_node("b", Relu, &[a]);
        let c = graph.add_node("c", Relu, &[b]);
        let y = graph.add_node("y", Add, &[x, c]);
        graph.outputs = vec![y];
        fold_constants(&mut graph, &evaluate).unwrap();
        assert_eq!(names(&graph), ["y"]);
        assert_eq!(graph.constant(c).unwrap().to_f32(), [0.0]);
    }

    #[test]
    fn a_failing_node_is_named() {
        let mut graph = Graph::default();
        let a = graph.add_constant("a", Tensor::from_f32([2], vec![1.0; 2]));
        let shape = graph.add_constant("shape", Tensor::from_i64s(&[3]));
        let y = graph.add_node("squash", Reshape::default(), &[a, shape]);
        graph.outputs = vec![y];
        let error = fold_constants(&mut graph, &evaluate).unwrap_err();
        assert_eq!(error.to_string(), "Reshape `squash`: [2] cannot take the shape [3]");
        let refuse = |_: &Op, _: &[Option<&Tensor>]| Err("no".to_owned());
        graph.set_constant(shape, Arc::new(Tensor::from_i64s(&[2])));
        let error = fold_constants(&mut graph, &refuse).unwrap_err();
        assert_eq!(error.to_string(), "Reshape `squash`: no");
    }

    #[test]
    fn what_is_cheap_to_repeat_and_large_to_keep_stays_a_node() {
        let mut graph = Graph::default();
        let shape = graph.add_constant("shape", Tensor::from_i64s(&[1 << 40]));
        let fill = ConstantOfShape { value: Arc::new(Tensor::scalar(0.0)) };
        let y = graph.add_node("fill", fill, &[shape]);
        graph.outputs = vec![y];
        fold_constants(&mut graph, &evaluate).unwrap();
        assert_eq!(names(&graph), ["fill"]);
    }
}
