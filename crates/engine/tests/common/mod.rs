//! What the tests of this crate share: the plain evaluation of a whole graph, comparison, seeded noise.
#![allow(dead_code, reason = "each test binary uses its part")]

use lowbit_engine::evaluate;
use lowbit_graph::{Attribute, Attributes, Dim, Graph, Op, ValueId};
use lowbit_kernels::layout;
use lowbit_tensor::{DType, Tensor};
use std::collections::HashMap;

/// The outputs of a graph, node by node through the plain twins; dead nodes are left out.
pub(crate) fn plain(graph: &Graph, inputs: &[Tensor]) -> Result<Vec<Tensor>, String> {
    plain_values(graph, inputs, &graph.outputs)
}

/// The values `wanted` of a graph by the plain twins.
pub(crate) fn plain_values(
    graph: &Graph,
    inputs: &[Tensor],
    wanted: &[ValueId],
) -> Result<Vec<Tensor>, String> {
    let mut graph = graph.clone();
    graph.outputs.extend(wanted);
    lowbit_graph::passes::dead_nodes(&mut graph);
    let mut values: HashMap<ValueId, Tensor> =
        graph.inputs.iter().copied().zip(inputs.iter().cloned()).collect();
    let get = |values: &HashMap<ValueId, Tensor>, id: ValueId| {
        values.get(&id).cloned().or_else(|| graph.constant(id).map(|t| t.as_ref().clone()))
    };
    for node in &graph.nodes {
        let held: Vec<Option<Tensor>> =
            node.inputs.iter().map(|i| i.and_then(|id| get(&values, id))).collect();
        let tensors: Vec<Option<&Tensor>> = held.iter().map(Option::as_ref).collect();
        let results = evaluate(&node.op, &tensors).map_err(|e| format!("{}: {e}", node.name))?;
        values.extend(node.outputs.iter().copied().zip(results));
    }
    wanted.iter().map(|&id| get(&values, id).ok_or_else(|| graph.value(id).name.clone())).collect()
}

/// Whether `|a - b| <= tolerance · (1 + |b|)` everywhere, NaN equal to NaN; else where it is worst.
pub(crate) fn compare(found: &Tensor, expected: &Tensor, tolerance: f64) -> Result<(), String> {
    if (found.shape(), found.dtype()) != (expected.shape(), expected.dtype()) {
        let ty = |t: &Tensor| format!("{} {:?}", t.dtype(), t.shape());
        return Err(format!("found {}, expected {}", ty(found), ty(expected)));
    }
    let mut worst = (0.0, String::new());
    for (i, (a, b)) in found.to_f64().into_iter().zip(expected.to_f64()).enumerate() {
        if a == b || a.is_nan() && b.is_nan() {
            continue;
        }
        let error = (a - b).abs() / (1.0 + b.abs());
        if error.is_nan() || error > tolerance.max(worst.0) {
            worst = (
                if error.is_nan() { f64::INFINITY } else { error },
                format!("element {i} is {a}, expected {b}"),
            );
        }
    }
    if worst.1.is_empty() { Ok(()) } else { Err(format!("{} (error {:.2e})", worst.1, worst.0)) }
}

/// Numbers in [-1, 1), the same for the same seed.
pub(crate) fn noise(len: usize, seed: u64) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 40) as f32 / (1u64 << 23) as f32 - 1.0
    };
    (0..len).map(|_| next()).collect()
}

/// A tensor of [`noise`].
pub(crate) fn tensor(shape: &[usize], seed: u64) -> Tensor {
    Tensor::from_f32(shape, noise(shape.iter().product(), seed))
}

/// Runs `f` in a pool of that many threads.
pub(crate) fn threads<T: Send>(threads: usize, f: impl FnOnce() -> T + Send) -> T {
    rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap().install(f)
}

/// An operator from its ONNX name and attributes.
pub(crate) fn op(name: &str, attributes: &[(&str, Attribute)]) -> Op {
    let map = attributes.iter().fold(Attributes::new(), |map, (name, value)| map.with(name, value.clone()));
    Op::read("", name, map).unwrap().unwrap()
}

/// A list of integers as an attribute.
pub(crate) fn ints(values: &[i64]) -> Attribute {
    Attribute::Ints(values.to_vec())
}

/// An empty graph with an input `x: [N, sample..]`.
pub(crate) fn graph(sample: &[usize]) -> (Graph, ValueId) {
    let mut graph = Graph::default();
    let dims = [Dim::Symbol("N".into())].into_iter().chain(sample.iter().map(|&d| Dim::Known(d))).collect();
    let x = graph.add_input("x", DType::F32, dims);
    (graph, x)
}

/// Adds a convolution with weights `name.w` and a bias `name.b` of noise.
pub(crate) fn conv(
    graph: &mut Graph,
    name: &str,
    x: ValueId,
    weights: &[usize],
    attributes: &[(&str, Attribute)],
) -> ValueId {
    let seed = name.bytes().map(u64::from).sum();
    let w = graph.add_constant(format!("{name}.w"), tensor(weights, seed));
    let b = graph.add_constant(format!("{name}.b"), tensor(&weights[..1], seed + 1));
    graph.add_node(name, op("Conv", attributes), &[x, w, b])
}

/// Rows as [`Differentiable`] has them, of a row-major tensor.
pub(crate) fn rows(tensor: &Tensor) -> Vec<f32> {
    let values = tensor.to_f32();
    match tensor.shape() {
        [n, c, pixels @ ..] if !pixels.is_empty() => {
            let (cells, mut rows) = (pixels.iter().product::<usize>(), vec![0.0; values.len()]);
            for i in 0..*n {
                let range = i * c * cells..(i + 1) * c * cells;
                layout::nchw_to_nhwc(*c, cells, &values[range.clone()], &mut rows[range]);
            }
            rows
        }
        _ => values,
    }
}
