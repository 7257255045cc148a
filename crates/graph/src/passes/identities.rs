//! Removes nodes that hand their input on unchanged.
//!
//! Exporters leave them behind (dropout, padding by nothing, slices of everything); each would stand between a layer
//! and what could be fused with it.

use super::dead_nodes;
use crate::{Graph, Node, NodeId, Op, ValueId};
use lowbit_tensor::DType;
use std::collections::{HashMap, HashSet};

/// Removes `Identity`, `Dropout` whose mask is unused, `Cast` to the type that its input has, and `Pad`, `Slice`,
/// `Transpose`, `Concat`, `Clip` that do nothing, as far as constant inputs prove it.
///
/// Outputs of the graph keep their names: there it is the value before the removed node that disappears.
pub fn identities(graph: &mut Graph) {
    identities_but(graph, |_| false);
}

/// [`identities`], leaving nodes that `keep` says.
pub(super) fn identities_but(graph: &mut Graph, keep: impl Fn(&Node) -> bool) {
    let producers = graph.producers();
    let consumers = graph.consumers();
    let outputs: HashSet<ValueId> = graph.outputs.iter().copied().collect();
    // Output of a removed node → its input; and, before an output of the graph, input → output.
    let mut same: HashMap<ValueId, ValueId> = HashMap::new();
    let mut renamed: HashMap<ValueId, ValueId> = HashMap::new();
    let nodes = std::mem::take(&mut graph.nodes);
    let mut kept = Vec::with_capacity(nodes.len());
    for node in &nodes {
        let mut node = node.clone();
        for input in node.inputs.iter_mut().flatten() {
            *input = same.get(input).copied().unwrap_or(*input);
        }
        let mask_used = node.outputs.iter().skip(1).any(|o| consumers.contains_key(o) || outputs.contains(o));
        let (through, output) = match (data_input(&node), node.outputs.first()) {
            (Some(input), Some(&output))
                if !mask_used && !keep(&node) && hands_on(graph, &nodes, &producers, &node) =>
            {
                (input, output)
            }
            _ => {
                kept.push(node);
                continue;
            }
        };
        if !outputs.contains(&output) {
            same.insert(output, through);
        } else if producers.contains_key(&through)
            && !outputs.contains(&through)
            && !renamed.contains_key(&through)
        {
            renamed.insert(through, output);
        } else {
            kept.push(node);
        }
    }
    for node in &mut kept {
        for value in node.inputs.iter_mut().flatten().chain(&mut node.outputs) {
            *value = renamed.get(value).copied().unwrap_or(*value);
        }
    }
    graph.nodes = kept;
    dead_nodes(graph);
}

/// Input that an operator of this kind could hand on.
fn data_input(node: &Node) -> Option<ValueId> {
    match node.op {
        Op::Concat(_) => {
            let mut present = node.inputs.iter().flatten();
            present.next().copied().filter(|_| present.next().is_none())
        }
        _ => node.input(0),
    }
}

/// Whether the node's first output equals its data input, whatever that is.
fn hands_on(graph: &Graph, nodes: &[Node], producers: &HashMap<ValueId, NodeId>, node: &Node) -> bool {
    let integers = |i: usize| graph.constant_input(node, i).and_then(|t| t.to_i64());
    let all = |i: usize, value: i64| integers(i).is_some_and(|v| v.iter().all(|&v| v == value));
    let absent = |i: usize| node.input(i).is_none();
    match &node.op {
        Op::Identity(_) | Op::Concat(_) => true,
        Op::Dropout(_) => absent(2) || all(2, 0),
        Op::Cast(op) => node.input(0).and_then(|x| dtype(graph, nodes, producers, x)) == Some(op.to),
        Op::Pad(_) => all(1, 0),
        // No axis is longer than the numbers that exporters write for "to the end".
        Op::Slice(_) => {
            let to_the_end = integers(2).is_some_and(|ends| ends.iter().all(|&e| e >= i64::from(i32::MAX)));
            all(1, 0) && to_the_end && (absent(4) || all(4, 1))
        }
        Op::Transpose(op) => {
            op.perm.as_ref().is_some_and(|perm| perm.iter().enumerate().all(|(i, &a)| i == a))
        }
        Op::Clip(_) => absent(1) && absent(2),
        _ => false,
    }
}

/// The element type where it is sure; types that a file declares for computed values are claims.
fn dtype(graph: &Graph, nodes: &[Node], producers: &HashMap<ValueId, NodeId>, id: ValueId) -> Option<DType> {
    match producers.get(&id).map(|n| &nodes[n.0].op) {
        None => graph.value(id).dtype,
        Some(Op::Cast(op)) => Some(op.to),
        Some(_) => graph.constant(id).map(|t| t.dtype()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::{Cast, Concat, Dropout, Identity, Pad, Relu, Slice, Transpose};
    use crate::passes::testing::names;
    use lowbit_tensor::Tensor;

    fn float_input(graph: &mut Graph) -> ValueId {
        graph.add_input("x", DType::F32, vec![])
    }

    #[test]
    fn nodes_that_do_nothing_go() {
        let mut graph = Graph::default();
        let mut v = float_input(&mut graph);
        let zeros = graph.add_constant("zeros", Tensor::from_i64s(&[0, 0]));
        let ends = graph.add_constant("ends", Tensor::from_i64s(&[i64::MAX, i32::MAX.into()]));
        v = graph.add_node("identity", Identity, &[v]);
        v = graph.add_node("cast", Cast { to: DType::F32 }, &[v]);
        v = graph.add_node("dropout", Dropout, &[v]);
        v = graph.add_node("pad", Pad::default(), &[v, zeros]);
        v = graph.add_node("slice", Slice, &[v, zeros, ends]);
        v = graph.add_node("transpose", Transpose { perm: Some(vec![0]) }, &[v]);
        v = graph.add_node("concat", Concat { axis: 0 }, &[v]);
        v = graph.add_node("y", Relu, &[v]);
        graph.outputs = vec![v];
        identities(&mut graph);
        assert_eq!(names(&graph), ["y"]);
        assert_eq!(graph.nodes[0].inputs, [Some(graph.inputs[0])]);
    }

    #[test]
    fn nodes_that_may_do_something_stay() {
        let mut graph = Graph::default();
        let x = float_input(&mut graph);
        let ones = graph.add_constant("ones", Tensor::from_i64s(&[1, 1]));
        let v = graph.add_node("a", Relu, &[x]);
        let v = graph.add_node("pad", Pad::default(), &[v, ones]);
        // The type of `pad` is a claim of the file at best.
        let v = graph.add_node("cast", Cast { to: DType::F32 }, &[v]);
        let v = graph.add_node("transpose", Transpose::default(), &[v]);
        let dropped = graph.add_node("dropout", Dropout, &[v]);
        let mask = graph.add_edge("mask");
        graph.nodes[4].outputs.push(mask);
        graph.outputs = vec![dropped, mask];
        identities(&mut graph);
        assert_eq!(names(&graph), ["a", "pad", "cast", "transpose", "dropout"]);
    }

    #[test]
    fn outputs_of_the_graph_keep_their_names() {
        let mut graph = Graph::default();
        let x = float_input(&mut graph);
        let v = graph.add_node("relu", Relu, &[x]);
        let first = graph.add_node("first", Identity, &[v]);
        let second = graph.add_node("second", Identity, &[v]);
        let copy = graph.add_node("copy", Identity, &[x]);
        graph.outputs = vec![first, second, copy];
        identities(&mut graph);
        // One output takes over what `relu` computes; the second needs a node of its own, as does a copy of an input.
        assert_eq!(names(&graph), ["relu", "second", "copy"]);
        assert_eq!(graph.nodes[0].outputs, [first]);
        assert_eq!(graph.nodes[1].inputs, [Some(first)]);
        assert_eq!(graph.outputs, [first, second, copy]);
    }
}
