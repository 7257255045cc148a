//! Parts of a network, run one after the other, compute what the whole does.

mod common;

use common::tensor;
use lowbit_engine::{Network, bindings, evaluate_for_pass};
use lowbit_graph::ops::{Add, Conv, FakeQuantize, Flatten, Gemm, GlobalAveragePool, Padding, Relu, Window};
use lowbit_graph::passes::{between, segment, specialize};
use lowbit_graph::{Dim, Graph, TensorType, ValueId};
use lowbit_tensor::{DType, Tensor, Uniform};
use std::collections::HashMap;

/// A stem, two residual blocks (the second with a convolution of stride 2 on the short way) and a classifier, with the
/// edges at which they meet.
fn network() -> (Graph, Vec<ValueId>) {
    let mut graph = Graph::default();
    let dims = [Dim::Symbol("N".into()), Dim::Known(3), Dim::Known(8), Dim::Known(8)];
    let x = graph.add_input("x", DType::F32, dims.to_vec());
    let conv = |graph: &mut Graph, name: &str, x, [i, o, k, stride]: [usize; 4]| {
        let w = graph.add_constant(format!("{name}.w"), tensor(&[o, i, k, k], name.len() as u64));
        let padding = Padding::Explicit(vec![(k - 1) / 2; 4]);
        let window = Window { strides: vec![stride; 2], padding, ..Window::default() };
        graph.add_node(name, Conv { window, group: 1 }, &[x, w])
    };
    let stem = conv(&mut graph, "stem", x, [3, 4, 3, 1]);
    let stem = graph.add_node("stem.relu", Relu, &[stem]);
    let a = conv(&mut graph, "a.conv", stem, [4, 4, 3, 1]);
    let a = graph.add_node("a.add", Add, &[a, stem]);
    let a = graph.add_node("a.relu", Relu, &[a]);
    let b = conv(&mut graph, "b.conv", a, [4, 6, 3, 2]);
    let short = conv(&mut graph, "b.short", a, [4, 6, 1, 2]);
    let b = graph.add_node("b.add", Add, &[b, short]);
    let b = graph.add_node("b.relu", Relu, &[b]);
    let pooled = graph.add_node("pool", GlobalAveragePool, &[b]);
    let flat = graph.add_node("flat", Flatten { axis: 1 }, &[pooled]);
    let w = graph.add_constant("fc.w", tensor(&[6, 5], 9));
    let y = graph.add_node("fc", Gemm::default(), &[flat, w]);
    graph.outputs = vec![y];
    (graph, vec![x, stem, a, b, y])
}

fn types(graph: &Graph) -> Vec<Option<TensorType>> {
    specialize(graph, &bindings(graph, 1), &evaluate_for_pass).unwrap().1
}

/// Runs the parts between the edges one after the other.
fn by_parts(graph: &Graph, types: &[Option<TensorType>], edges: &[ValueId], x: &Tensor) -> Tensor {
    let mut values = HashMap::from([(edges[0], x.clone())]);
    for edge in edges.windows(2) {
        let part = segment(graph, types, &between(graph, &edge[..1], &edge[1..]), &edge[..1], &edge[1..]);
        let mut outputs = Network::new(&part).unwrap().run(&[values[&edge[0]].clone()]).unwrap();
        values.insert(edge[1], outputs.remove(0));
    }
    values.remove(edges.last().unwrap()).unwrap()
}

#[test]
fn parts_give_the_same_bits_as_the_whole_at_any_batch_size() {
    let (graph, edges) = network();
    let whole = Network::new(&graph).unwrap();
    for batch in [1, 3, 17] {
        let x = tensor(&[batch, 3, 8, 8], batch as u64);
        let expected = whole.run(std::slice::from_ref(&x)).unwrap().remove(0);
        assert_eq!(by_parts(&graph, &types(&graph), &edges, &x), expected, "batch of {batch}");
    }
}

/// A cut behind a rounding that the types do not know of.
#[test]
fn parts_of_a_simulated_network_begin_at_rounded_edges() {
    let (mut graph, mut edges) = network();
    let types = types(&graph);
    let stem = edges[1];
    let rounded = graph.add_edge("stem.rounded");
    graph.replace_uses(stem, rounded);
    let code = Uniform::per_tensor(4, false, 0.1, 0);
    let op = FakeQuantize { code }.into();
    let node = lowbit_graph::Node {
        name: "stem.rounded".into(),
        op,
        inputs: vec![Some(stem)],
        outputs: vec![rounded],
    };
    graph.nodes.insert(2, node);
    edges[1] = rounded;
    let x = tensor(&[5, 3, 8, 8], 1);
    let expected = Network::new(&graph).unwrap().run(std::slice::from_ref(&x)).unwrap().remove(0);
    assert_eq!(by_parts(&graph, &types, &edges, &x), expected);
}
