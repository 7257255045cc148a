//! Binds symbolic extents to numbers and works out the type of every value.
//!
//! A batch of another size is another specialization: execution, observation and lowering then only ever meet static
//! shapes, and what a file computes from shapes has become constant.

use super::constants::{evaluated, set_constants};
use super::{Evaluate, PassError};
use crate::{Dim, Graph, Input, Op, TensorType};
use std::collections::BTreeMap;

/// Most bytes of one value: beyond it a shape is a mistake, not a plan.
const LIMIT: usize = 1 << 40;

/// The graph with each symbol of `bindings` replaced by its extent, and the type of each value that it computes, reads
/// or holds (by [`crate::ValueId`]; `None` for values that no node uses any more).
///
/// `Shape` and every node on constants alone become constants, and those nodes are gone; other nodes stay, in order.
///
/// # Errors
/// When a symbol of an input is not bound, inputs of a node do not fit together (the message names it), a node on
/// constants cannot be computed, or a value would take more than 2^40 bytes.
pub fn specialize(
    graph: &Graph,
    bindings: &BTreeMap<String, usize>,
    evaluate: Evaluate<'_>,
) -> Result<(Graph, Vec<Option<TensorType>>), PassError> {
    let mut graph = graph.clone();
    let mut types: Vec<Option<TensorType>> =
        graph.values.iter().map(|v| v.constant.as_deref().map(TensorType::from)).collect();
    for &id in &graph.inputs {
        types[id.0] = Some(bound(&graph, id, bindings)?);
    }
    for n in 0..graph.nodes.len() {
        let (inferred, results) = {
            let node = &graph.nodes[n];
            let inputs = typed_inputs(&graph, n, &types)?;
            let inferred = node.op.infer(&inputs).map_err(|source| PassError::shape(node, source))?;
            if inferred.len() < node.outputs.len() {
                return Err(PassError::outputs(node, inferred.len()));
            }
            if let Some(ty) = inferred.iter().find(|ty| ty.bytes().is_none_or(|b| b > LIMIT)) {
                return Err(PassError::too_large(node, &ty.shape, LIMIT));
            }
            let results = match (&node.op, &inputs[..]) {
                (Op::Shape(op), [Some(x), ..]) => vec![op.of(&x.ty.shape)],
                _ => evaluated(node, &inputs, &inferred, evaluate)?,
            };
            (inferred, results)
        };
        set_constants(&mut graph, n, results);
        for (&output, ty) in graph.nodes[n].outputs.iter().zip(inferred) {
            types[output.0] = Some(ty);
        }
    }
    let values = &graph.values;
    graph.nodes.retain(|node| node.outputs.iter().any(|o| values[o.0].constant.is_none()));
    for (value, ty) in graph.values.iter_mut().zip(&types) {
        if let Some(ty) = ty {
            value.dtype = Some(ty.dtype);
            value.shape = Some(ty.shape.iter().map(|&d| Dim::Known(d)).collect());
        }
    }
    Ok((graph, types))
}

/// Type of a graph input under the bindings.
fn bound(
    graph: &Graph,
    id: crate::ValueId,
    bindings: &BTreeMap<String, usize>,
) -> Result<TensorType, PassError> {
    let value = graph.value(id);
    let (Some(dtype), Some(dims)) = (value.dtype, &value.shape) else {
        return Err(PassError::UntypedInput(value.name.clone()));
    };
    let extent = |dim: &Dim| match dim {
        Dim::Known(extent) => Ok(*extent),
        Dim::Symbol(symbol) => bindings
            .get(symbol)
            .copied()
            .ok_or_else(|| PassError::Unbound { input: value.name.clone(), symbol: symbol.clone() }),
    };
    let ty = TensorType::new(dtype, dims.iter().map(extent).collect::<Result<Vec<_>, _>>()?);
    match ty.bytes() {
        Some(bytes) if bytes <= LIMIT => Ok(ty),
        _ => {
            Err(PassError::TooLarge { op: "input", node: value.name.clone(), shape: ty.shape, limit: LIMIT })
        }
    }
}

/// The inputs of node `n` with their types and constants.
fn typed_inputs<'g>(
    graph: &'g Graph,
    n: usize,
    types: &[Option<TensorType>],
) -> Result<Vec<Option<Input<'g>>>, PassError> {
    let node = &graph.nodes[n];
    let input = |id: crate::ValueId| match &types[id.0] {
        Some(ty) => Ok(Input { ty: ty.clone(), value: graph.constant(id).map(|t| t.as_ref()) }),
        None => Err(PassError::Unordered {
            op: node.op.name(),
            node: node.name.clone(),
            value: graph.value(id).name.clone(),
        }),
    };
    node.inputs.iter().map(|id| id.map(input).transpose()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::{Concat, Expand, Gather, Relu, Reshape, Shape, Unsqueeze};
    use crate::passes::testing::{evaluate, names};
    use lowbit_tensor::{DType, Tensor};

    fn batch(n: usize) -> BTreeMap<String, usize> {
        BTreeMap::from([("N".to_owned(), n)])
    }

    /// What PyTorch writes for `x.view(x.size(0), -1)`.
    fn view() -> Graph {
        let mut graph = Graph::default();
        let dims = vec![Dim::Symbol("N".into()), Dim::Known(3), Dim::Known(2)];
        let x = graph.add_input("x", DType::F32, dims);
        let relu = graph.add_node("relu", Relu, &[x]);
        let zero = graph.add_constant("zero", Tensor::from_i64s(&[0]).reshape(vec![]).unwrap());
        let axes = graph.add_constant("axes", Tensor::from_i64s(&[0]));
        let rest = graph.add_constant("rest", Tensor::from_i64s(&[-1]));
        let shape = graph.add_node("shape", Shape::default(), &[relu]);
        let n = graph.add_node("n", Gather { axis: 0 }, &[shape, zero]);
        let n = graph.add_node("n_1", Unsqueeze, &[n, axes]);
        let target = graph.add_node("target", Concat { axis: 0 }, &[n, rest]);
        let y = graph.add_node("view", Reshape::default(), &[relu, target]);
        graph.outputs = vec![y];
        graph
    }

    #[test]
    fn shape_arithmetic_becomes_constant_for_each_batch() {
        let graph = view();
        for n in [1, 5] {
            let (bound, types) = specialize(&graph, &batch(n), &evaluate).unwrap();
            assert_eq!(names(&bound), ["relu", "view"]);
            assert_eq!(types[bound.outputs[0].0], Some(TensorType::new(DType::F32, [n, 6])));
            assert_eq!(bound.value(bound.inputs[0]).shape.as_ref().unwrap()[0], Dim::Known(n));
        }
    }

    #[test]
    fn a_symbol_without_a_number_is_named() {
        let error = specialize(&view(), &BTreeMap::new(), &evaluate).unwrap_err();
        assert_eq!(error.to_string(), "input `x`: the extent `N` is not bound to a number");
    }

    #[test]
    fn a_node_whose_inputs_do_not_fit_is_named() {
        let mut graph = view();
        let bad = graph.add_constant("bad", Tensor::from_i64s(&[7, 7]));
        graph.nodes.last_mut().unwrap().inputs[1] = Some(bad);
        let error = specialize(&graph, &batch(1), &evaluate).unwrap_err();
        assert_eq!(error.to_string(), "Reshape `view`: [1, 3, 2] cannot take the shape [7, 7]");
    }

    #[test]
    fn absurd_sizes_are_refused_before_anything_is_computed() {
        let error = specialize(&view(), &batch(1 << 40), &evaluate).unwrap_err();
        assert!(
            error.to_string().starts_with("input `x`: a result of shape [1099511627776, 3, 2]"),
            "{error}"
        );
        let mut graph = Graph::default();
        let x = graph.add_input("x", DType::F32, vec![Dim::Known(1)]);
        let shape = graph.add_constant("shape", Tensor::from_i64s(&[1 << 41]));
        let y = graph.add_node("grow", Expand, &[x, shape]);
        graph.outputs = vec![y];
        let error = specialize(&graph, &batch(1), &evaluate).unwrap_err();
        assert!(error.to_string().starts_with("Expand `grow`"), "{error}");
    }

    #[test]
    fn nodes_out_of_order_are_refused() {
        let mut graph = view();
        graph.nodes.reverse();
        assert!(matches!(specialize(&graph, &batch(1), &evaluate), Err(PassError::Unordered { .. })));
    }
}
