//! What PyTorch answers: each stored model forward, and back through its nodes one by one.

use crate::common::compare;
use lowbit_engine::{evaluate, gradient, step_gradient};
use lowbit_graph::passes::fuse_fake_quantize;
use lowbit_graph::{Graph, Node, Op, ValueId};
use lowbit_tensor::{DType, Data, Tensor};
use std::collections::HashMap;
use std::path::{Path, PathBuf};

/// Values, or their gradients.
type Values = HashMap<ValueId, Tensor>;

fn held(values: &Values, ids: &[Option<ValueId>]) -> Vec<Option<Tensor>> {
    ids.iter().map(|id| id.and_then(|id| values.get(&id).cloned())).collect()
}

fn sum(a: &Tensor, b: &Tensor) -> Tensor {
    let sums = a.to_f64().iter().zip(b.to_f64()).map(|(a, b)| a + b).collect();
    Tensor::new(a.shape().to_vec(), Data::F64(sums)).unwrap()
}

/// Gradients of all values from those of the outputs, added up over the readers of a value; and those of steps.
fn backward(graph: &Graph, values: &Values, mut grads: Values) -> (Values, Vec<Tensor>) {
    let mut steps = Vec::new();
    for node in graph.nodes.iter().rev() {
        let inputs = held(values, &node.inputs);
        let inputs: Vec<Option<&Tensor>> = inputs.iter().map(Option::as_ref).collect();
        let back: Vec<Option<&Tensor>> = node.outputs.iter().map(|id| grads.get(id)).collect();
        if let (Op::FakeQuantize(op), Some(dy)) = (&node.op, back[0]) {
            steps.push(step_gradient(op, inputs[0].unwrap(), dy).unwrap());
        }
        let found = gradient(&node.op, &inputs, &back).unwrap_or_else(|e| panic!("{}: {e}", node.op.name()));
        for (&id, found) in node.inputs.iter().zip(found) {
            let (Some(id), Some(found)) = (id, found) else { continue };
            let total = grads.get(&id).map_or(found.clone(), |so_far| sum(so_far, &found));
            grads.insert(id, total);
        }
    }
    (grads, steps)
}

/// A stored tensor of the graph that no node reads, floats in f64.
fn stored(graph: &Graph, name: &str) -> Option<Tensor> {
    graph.constant(graph.find(name)?).map(|t| long(t))
}

fn long(t: &Tensor) -> Tensor {
    if t.dtype().is_float() { t.cast(DType::F64) } else { t.clone() }
}

fn check(path: &Path) -> Result<usize, String> {
    let mut graph = lowbit_onnx::read_file(path).map_err(|e| e.to_string())?;
    let tolerance: f64 = graph.metadata["test.tolerance"].parse().unwrap();
    let tests: Vec<String> =
        graph.values.iter().map(|v| v.name.clone()).filter(|n| n.starts_with("test.")).collect();
    let tests: HashMap<String, Tensor> =
        tests.into_iter().map(|n| (n.clone(), stored(&graph, &n).unwrap())).collect();
    fuse_fake_quantize(&mut graph);
    let of = |kind: &str, id: ValueId| tests.get(&format!("test.{kind}.{}", graph.value(id).name)).cloned();
    let mut values: Values = (0..graph.values.len())
        .map(ValueId)
        .filter_map(|id| Some((id, of("input", id).or_else(|| graph.constant(id).map(|t| long(t)))?)))
        .collect();
    for Node { op, inputs, outputs, .. } in &graph.nodes {
        let inputs = held(&values, inputs);
        let inputs: Vec<Option<&Tensor>> = inputs.iter().map(Option::as_ref).collect();
        let results = evaluate(op, &inputs).map_err(|e| format!("{}: {e}", op.name()))?;
        values.extend(outputs.iter().copied().zip(results));
    }
    for &y in &graph.outputs {
        compare(&values[&y], &of("output", y).unwrap(), tolerance).map_err(|e| format!("output: {e}"))?;
    }
    let weights = graph.outputs.iter().map(|&y| (y, of("weight", y).unwrap())).collect();
    let (grads, steps) = backward(&graph, &values, weights);
    let mut compared = 0;
    for (name, expected) in &tests {
        let found = match name.strip_prefix("test.gradient.") {
            Some(value) => &grads[&graph.find(value).unwrap()],
            None if name == "test.step" => &steps[0],
            None => continue,
        };
        compare(found, expected, tolerance).map_err(|e| format!("{name}: {e}"))?;
        compared += 1;
    }
    Ok(compared)
}

#[test]
fn gradients_are_those_of_pytorch() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden/gradients");
    let mut paths: Vec<PathBuf> =
        std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    let (mut failures, mut compared) = (Vec::new(), 0);
    for path in &paths {
        match check(path) {
            Ok(gradients) => compared += gradients,
            Err(error) => failures.push(format!("{}: {error}", path.file_stem().unwrap().display())),
        }
    }
    assert!(failures.is_empty(), "{} of {} cases:\n{}", failures.len(), paths.len(), failures.join("\n"));
    assert!(compared > paths.len(), "{compared} gradients in {} cases", paths.len());
}
