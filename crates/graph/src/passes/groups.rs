//! Finds what a layer computes in one go: itself, bias, residual addition and activation.
//!
//! An annotation, not a rewrite: the executor runs a group as one kernel with an epilogue, and quantization sites must
//! not fall on the edges inside, where the accumulator never becomes a tensor.

use super::batch_norm::per_channel;
use crate::{Graph, Node, NodeId, Op, ValueId};
use std::collections::{HashMap, HashSet};

/// A layer and what follows it, in this order: anchor, `bias`, `add`, `activation`, each optional but the first.
///
/// Every edge between two nodes of a group has one reader and is no output of the graph.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Group {
    /// `Conv`, `ConvTranspose`, `Gemm` or `MatMul`.
    pub anchor: NodeId,
    /// `Add` of a constant per output channel.
    pub bias: Option<NodeId>,
    /// `Add` of another activation (a residual connection). Belongs to one group only: of two layers that meet in an
    /// addition, to the later one.
    pub add: Option<NodeId>,
    /// What `add` adds to the layer.
    pub residual: Option<ValueId>,
    /// Elementwise function at the end.
    pub activation: Option<NodeId>,
    /// What the activation reads: the output of the last node before it.
    pub pre_activation: ValueId,
    /// Output of the last node.
    pub output: ValueId,
}

/// The groups of a graph, by anchor in node order. A node is in at most one; an `Add` that no layer takes, an
/// activation after it, and all other operators are in none.
pub fn groups(graph: &Graph) -> Vec<Group> {
    let (producers, consumers) = (graph.producers(), graph.consumers());
    let outputs: HashSet<ValueId> = graph.outputs.iter().copied().collect();
    // The one reader of a value, and at which input.
    let reader = |value: ValueId| match consumers.get(&value).map(Vec::as_slice) {
        Some(&[(n, input)]) if !outputs.contains(&value) => Some((n, input, &graph.nodes[n.0])),
        _ => None,
    };
    let mut taken = HashSet::new();
    let mut groups = Vec::new();
    // From the back, so that an addition goes to the later of its layers: when that one runs, the other has.
    for (n, node) in graph.nodes.iter().enumerate().rev() {
        let Some(&(mut end)) = node.outputs.first().filter(|_| is_anchor(&node.op)) else { continue };
        let mut group = Group {
            anchor: NodeId(n),
            bias: None,
            add: None,
            residual: None,
            activation: None,
            pre_activation: end,
            output: end,
        };
        if let Some((bias, input, add)) = reader(end).filter(|r| matches!(r.2.op, Op::Add(_)))
            && let Some(addend) = add.input(1 - input)
            && is_bias(graph, &producers, node, addend)
        {
            (group.bias, end) = (Some(bias), add.outputs[0]);
        }
        if let Some((id, input, add)) = reader(end).filter(|r| matches!(r.2.op, Op::Add(_)))
            && let Some(residual) = add.input(1 - input).filter(|&v| graph.constant(v).is_none())
            && taken.insert(id)
        {
            (group.add, group.residual, end) = (Some(id), Some(residual), add.outputs[0]);
        }
        group.pre_activation = end;
        if let Some((id, 0, activation)) = reader(end).filter(|r| is_activation(graph, r.2)) {
            (group.activation, end) = (Some(id), activation.outputs[0]);
        }
        group.output = end;
        groups.push(group);
    }
    groups.reverse();
    groups
}

fn is_anchor(op: &Op) -> bool {
    matches!(op, Op::Conv(_) | Op::ConvTranspose(_) | Op::Gemm(_) | Op::MatMul(_))
}

/// Whether a node applies one function of one number to each element.
fn is_activation(graph: &Graph, node: &Node) -> bool {
    match node.op {
        Op::Clip(_) => (1..3).all(|i| node.input(i).is_none() || graph.constant_input(node, i).is_some()),
        Op::Relu(_)
        | Op::LeakyRelu(_)
        | Op::HardSwish(_)
        | Op::HardSigmoid(_)
        | Op::Sigmoid(_)
        | Op::Tanh(_)
        | Op::Gelu(_) => true,
        _ => false,
    }
}

/// Whether `addend` is a constant with one number per output channel of the layer (or one for all).
fn is_bias(graph: &Graph, producers: &HashMap<ValueId, NodeId>, layer: &Node, addend: ValueId) -> bool {
    let Some(tensor) = graph.constant(addend) else { return false };
    let channels = tensor.len();
    match layer.op {
        Op::Gemm(_) => per_channel(tensor, 2, 1, channels).is_some(),
        // Any rank: what counts is that the last axis is the only one.
        Op::MatMul(_) => {
            let rank = tensor.shape().len().max(1);
            per_channel(tensor, rank, rank - 1, channels).is_some()
        }
        _ => weight_rank(graph, producers, layer)
            .is_some_and(|rank| rank >= 3 && per_channel(tensor, rank, 1, channels).is_some()),
    }
}

/// Rank of a layer's weight, also where it is rounded to a code on the way.
fn weight_rank(graph: &Graph, producers: &HashMap<ValueId, NodeId>, layer: &Node) -> Option<usize> {
    let mut value = layer.input(1)?;
    loop {
        if let Some(tensor) = graph.constant(value) {
            return Some(tensor.shape().len());
        }
        let node = &graph.nodes[producers.get(&value)?.0];
        match node.op {
            Op::FakeQuantize(_)
            | Op::FakeLevels(_)
            | Op::QuantizeLinear(_)
            | Op::DequantizeLinear(_)
            | Op::Clip(_)
            | Op::Cast(_) => {
                value = node.input(0)?;
            }
            _ => return None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::{Add, Clip, Conv, MatMul, Relu};
    use lowbit_tensor::{DType, Tensor};

    fn conv(graph: &mut Graph, name: &str, x: ValueId) -> ValueId {
        let weight = graph.add_constant(format!("{name}.w"), Tensor::from_f32([2, 2, 1, 1], vec![1.0; 4]));
        graph.add_node(name, Conv { window: Default::default(), group: 1 }, &[x, weight])
    }

    /// (anchor, bias, add, activation) of each group, by name.
    fn described(graph: &Graph) -> Vec<[&str; 4]> {
        let name = |n: Option<NodeId>| n.map_or("", |n| graph.nodes[n.0].name.as_str());
        groups(graph)
            .iter()
            .map(|g| [name(Some(g.anchor)), name(g.bias), name(g.add), name(g.activation)])
            .collect()
    }

    #[test]
    fn a_residual_block_is_two_groups() {
        let mut graph = Graph::default();
        let x = graph.add_input("x", DType::F32, vec![]);
        let a = conv(&mut graph, "a", x);
        let a = graph.add_node("a.relu", Relu, &[a]);
        let b = conv(&mut graph, "b", a);
        let sum = graph.add_node("sum", Add, &[x, b]);
        let y = graph.add_node("y", Relu, &[sum]);
        graph.outputs = vec![y];
        assert_eq!(described(&graph), [["a", "", "", "a.relu"], ["b", "", "sum", "y"]]);
        let group = groups(&graph)[1];
        assert_eq!((group.residual, group.pre_activation, group.output), (Some(x), sum, y));
    }

    #[test]
    fn an_addition_of_two_layers_goes_to_the_later() {
        let mut graph = Graph::default();
        let x = graph.add_input("x", DType::F32, vec![]);
        let (a, b) = (conv(&mut graph, "a", x), conv(&mut graph, "b", x));
        let sum = graph.add_node("sum", Add, &[a, b]);
        graph.outputs = vec![sum];
        assert_eq!(described(&graph), [["a", "", "", ""], ["b", "", "sum", ""]]);
    }

    #[test]
    fn a_value_with_two_readers_ends_its_group() {
        let mut graph = Graph::default();
        let x = graph.add_input("x", DType::F32, vec![]);
        let a = conv(&mut graph, "a", x);
        let r = graph.add_node("r", Relu, &[a]);
        let sum = graph.add_node("sum", Add, &[a, r]);
        let twice = conv(&mut graph, "b", sum);
        let twice = graph.add_node("twice", Add, &[twice, twice]);
        graph.outputs = vec![twice];
        assert_eq!(described(&graph), [["a", "", "", ""], ["b", "", "", ""]]);
    }

    #[test]
    fn a_bias_is_one_number_per_channel() {
        for (shape, bias) in
            [(vec![2, 1, 1], "add"), (vec![1, 2, 1, 1], "add"), (vec![2, 1], ""), (vec![2], "")]
        {
            let mut graph = Graph::default();
            let x = graph.add_input("x", DType::F32, vec![]);
            let a = conv(&mut graph, "a", x);
            let c = graph.add_constant("c", Tensor::from_f32(shape.clone(), vec![1.0; 2]));
            let y = graph.add_node("add", Add, &[c, a]);
            graph.outputs = vec![y];
            assert_eq!(described(&graph), [["a", bias, "", ""]], "{shape:?}");
        }
    }

    #[test]
    fn a_linear_layer_has_bias_residual_and_limits() {
        let mut graph = Graph::default();
        let x = graph.add_input("x", DType::F32, vec![]);
        let w = graph.add_constant("w", Tensor::from_f32([2, 2], vec![1.0; 4]));
        let c = graph.add_constant("c", Tensor::from_f32([2], vec![1.0; 2]));
        let six = graph.add_constant("six", Tensor::scalar(6.0));
        let v = graph.add_node("matmul", MatMul, &[x, w]);
        let v = graph.add_node("bias", Add, &[v, c]);
        let v = graph.add_node("sum", Add, &[v, x]);
        let v = graph.add_node("clip", Clip, &[v, c, six]);
        graph.outputs = vec![v];
        assert_eq!(described(&graph), [["matmul", "bias", "sum", "clip"]]);
    }
}
