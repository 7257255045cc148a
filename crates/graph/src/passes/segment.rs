//! A part of a network as a network: what reconstruction runs block by block, from stored values at its edges.
//!
//! Values keep their ids and names, so that a plan, a site or a step size means the same edge in both.

use crate::{Dim, Graph, NodeId, TensorType, ValueId};
use std::collections::HashSet;

/// The nodes of `graph` given, in network order, fed through `inputs` and giving `outputs`.
///
/// `types` are those of the network at some batch size ([`super::specialize`]). An input of the part has the element type
/// and extents found there; its axis 0 takes the batch symbol of the network where it has one row per row of the
/// network's first input, so that the part runs at any batch size. Other free extents are as in `types`. An input of the
/// network stays as declared.
///
/// `types` may be shorter than the values: what simulation inserted has the type of what it rounds. An input that has no
/// type at all, like a value that the nodes read and nothing gives, is refused when the part is compiled.
pub fn segment(
    graph: &Graph,
    types: &[Option<TensorType>],
    nodes: &[NodeId],
    inputs: &[ValueId],
    outputs: &[ValueId],
) -> Graph {
    let mut part = Graph { inputs: inputs.to_vec(), outputs: outputs.to_vec(), ..graph.clone() };
    let keep: HashSet<NodeId> = nodes.iter().copied().collect();
    let kept = graph.nodes.iter().enumerate().filter(|(n, _)| keep.contains(&NodeId(*n)));
    part.nodes = kept.map(|(_, node)| node.clone()).collect();
    for &id in inputs.iter().filter(|id| !graph.inputs.contains(id)) {
        if let Some(ty) = type_of(graph, types, id) {
            let value = &mut part.values[id.0];
            value.dtype = Some(ty.dtype);
            value.shape = Some(declared(graph, types, ty));
        }
    }
    part
}

/// The nodes that `outputs` depend on, looking back no further than `inputs`; in network order.
///
/// The nodes of a part where only its edges are known: the same edges bound more nodes in a simulated network than in
/// the float one.
pub fn between(graph: &Graph, inputs: &[ValueId], outputs: &[ValueId]) -> Vec<NodeId> {
    let known = |id: &ValueId| !inputs.contains(id) && graph.constant(*id).is_none();
    let mut wanted: HashSet<ValueId> = outputs.iter().copied().filter(known).collect();
    let mut nodes = Vec::new();
    for (n, node) in graph.nodes.iter().enumerate().rev() {
        if node.outputs.iter().any(|o| wanted.contains(o)) {
            nodes.push(NodeId(n));
            wanted.extend(node.inputs.iter().flatten().copied().filter(known));
        }
    }
    nodes.reverse();
    nodes
}

/// The type of a value, or of what it is a rounding of.
fn type_of<'a>(graph: &Graph, types: &'a [Option<TensorType>], mut id: ValueId) -> Option<&'a TensorType> {
    loop {
        if let Some(ty) = types.get(id.0).and_then(Option::as_ref) {
            return Some(ty);
        }
        // Searched each time: two values at most are rounded in a row, and the graph is no larger for it.
        let node = graph.nodes.iter().find(|node| node.outputs.contains(&id))?;
        id = node.input(0).filter(|_| node.op.is_rounding())?;
    }
}

/// The extents of a type, axis 0 free where it holds the rows of the batch.
fn declared(graph: &Graph, types: &[Option<TensorType>], ty: &TensorType) -> Vec<Dim> {
    let mut dims: Vec<Dim> = ty.shape.iter().map(|&extent| Dim::Known(extent)).collect();
    let first = graph.inputs.first();
    let rows = first.and_then(|id| types.get(id.0)?.as_ref()?.shape.first());
    let batch = first.and_then(|&id| graph.value(id).shape.as_deref()?.first());
    if let (Some(Dim::Symbol(symbol)), Some(dim)) = (batch, dims.first_mut())
        && ty.shape.first() == rows
        && ty.dtype.is_float()
    {
        *dim = Dim::Symbol(symbol.clone());
    }
    dims
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::{Add, Relu};
    use crate::passes::specialize;
    use crate::passes::testing::{evaluate, names};
    use lowbit_tensor::DType;
    use std::collections::BTreeMap;

    /// `x` `[N, 3]` → `a` → `b` → `sum` of `a` and `b`, with the types at one row.
    fn network() -> (Graph, Vec<Option<TensorType>>) {
        let mut graph = Graph::default();
        let x = graph.add_input("x", DType::F32, vec![Dim::Symbol("N".into()), Dim::Known(3)]);
        let a = graph.add_node("a", Relu, &[x]);
        let b = graph.add_node("b", Relu, &[a]);
        let sum = graph.add_node("sum", Add, &[a, b]);
        graph.outputs = vec![sum];
        let bound = BTreeMap::from([("N".to_owned(), 1)]);
        let (_, types) = specialize(&graph, &bound, &evaluate).unwrap();
        (graph, types)
    }

    #[test]
    fn a_part_keeps_ids_and_frees_the_batch_of_its_inputs() {
        let (graph, types) = network();
        let (a, sum) = (graph.find("a").unwrap(), graph.find("sum").unwrap());
        let part = segment(&graph, &types, &between(&graph, &[a], &[sum]), &[a], &[sum]);
        assert_eq!(names(&part), ["b", "sum"]);
        assert_eq!(part.find("sum"), Some(sum));
        let value = part.value(a);
        assert_eq!(value.dtype, Some(DType::F32));
        assert_eq!(value.shape, Some(vec![Dim::Symbol("N".into()), Dim::Known(3)]));
    }

    #[test]
    fn an_input_of_the_network_stays_as_declared() {
        let (graph, types) = network();
        let x = graph.inputs[0];
        let part = segment(&graph, &types, &[NodeId(0)], &[x], &[graph.find("a").unwrap()]);
        assert_eq!(part.value(x), graph.value(x));
    }

    #[test]
    fn extents_that_are_not_rows_of_the_batch_stay_known() {
        let (graph, mut types) = network();
        let a = graph.find("a").unwrap();
        types[a.0] = Some(TensorType::new(DType::F32, [49, 3])); // windows of one image, say
        let part = segment(&graph, &types, &[NodeId(1)], &[a], &[graph.find("b").unwrap()]);
        assert_eq!(part.value(a).shape, Some(vec![Dim::Known(49), Dim::Known(3)]));
    }
}
