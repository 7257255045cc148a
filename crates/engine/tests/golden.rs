//! Stored cases (`tests/golden`, written by `scripts/op_goldens.py` and `scripts/shared_logits.py`): both the plain
//! twins on the graph as read and the fast execution of the prepared graph give what ONNX Runtime gave.

mod common;

use common::{compare, plain};
use lowbit_engine::{Network, evaluate_for_pass};
use lowbit_graph::passes::{prepare, specialize};
use lowbit_graph::{Dim, Graph, ValueId};
use lowbit_tensor::{Data, Tensor};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What the project promises on every operator and every network, relative.
const PROMISE: f64 = 1e-4;

/// Cases refused, with the words of the refusal.
const REFUSED: &[(&str, &str)] = &[
    // Mean and inverse deviation serve training; networks at rest do not ask for them.
    ("layernormalization-all-outputs", "has 3 outputs, its operator gives 1"),
    // Shapes that depend on data: everything here is planned for static shapes.
    ("reshape-computed", "input 1 (`shape`) must be a constant"),
    ("resize-computed-sizes", "input 3 (`sizes`) must be a constant"),
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// A stored case: the network, its inputs, the outputs expected, and the tolerance stated.
struct Case {
    graph: Graph,
    inputs: Vec<Tensor>,
    outputs: Vec<Tensor>,
    tolerance: f64,
}

impl Case {
    fn read(path: &Path) -> Result<Case, String> {
        let graph = lowbit_onnx::read_file(path).map_err(|e| e.to_string())?;
        let stored = |kind: &str, ids: &[ValueId]| -> Result<Vec<Tensor>, String> {
            let one = |id: &ValueId| {
                let name = format!("test.{kind}.{}", graph.value(*id).name);
                let found = graph.find(&name).and_then(|id| graph.constant(id));
                found.map(|t| t.as_ref().clone()).ok_or(format!("no `{name}`"))
            };
            ids.iter().map(one).collect()
        };
        let tolerance = graph.metadata.get("test.tolerance").and_then(|t| t.parse().ok());
        Ok(Case {
            inputs: stored("input", &graph.inputs)?,
            outputs: stored("output", &graph.outputs)?,
            tolerance: tolerance.ok_or("no tolerance")?,
            graph,
        })
    }

    /// The graph with the extents of the stored inputs, so that the twins meet constants where shapes are computed.
    fn bound(&self) -> Result<Graph, String> {
        let mut bindings = BTreeMap::new();
        for (&id, tensor) in self.graph.inputs.iter().zip(&self.inputs) {
            let dims = self.graph.value(id).shape.clone().unwrap_or_default();
            for (dim, &extent) in dims.into_iter().zip(tensor.shape()) {
                if let Dim::Symbol(symbol) = dim {
                    bindings.insert(symbol, extent);
                }
            }
        }
        Ok(specialize(&self.graph, &bindings, &evaluate_for_pass).map_err(|e| e.to_string())?.0)
    }

    fn check(&self, found: Result<Vec<Tensor>, String>) -> Result<(), String> {
        let found = found?;
        // A tolerance of 0 says that the operator only moves data or works on integers; else what we promise counts.
        let tolerance = if self.tolerance == 0.0 { 0.0 } else { self.tolerance.min(PROMISE) };
        found.iter().zip(&self.outputs).try_for_each(|(found, expected)| compare(found, expected, tolerance))
    }

    fn by_twins(&self) -> Result<(), String> {
        self.check(self.bound().and_then(|graph| plain(&graph, &self.inputs)))
    }

    fn by_network(&self) -> Result<Vec<String>, String> {
        let graph = prepare(self.graph.clone(), &evaluate_for_pass).map_err(|e| e.to_string())?;
        let network = Network::new(&graph).map_err(|e| e.to_string())?;
        self.check(network.run(&self.inputs).map_err(|e| e.to_string()))?;
        network.plain_nodes(&self.inputs).map_err(|e| e.to_string())
    }
}

/// Runs all cases of a folder; the nodes that ran slowly, after the name of their case.
fn assert_agrees(folder: &str) -> Vec<(String, Vec<String>)> {
    let folder = root().join("tests/golden").join(folder);
    let mut paths: Vec<PathBuf> =
        std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|e| e == "onnx"));
    paths.sort();
    assert!(!paths.is_empty(), "no cases in {}", folder.display());
    let (mut failures, mut slow) = (Vec::new(), Vec::new());
    for path in &paths {
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        match Case::read(path) {
            Err(error) => failures.push(format!("{name}: {error}")),
            Ok(case) => {
                if let Some((_, words)) = REFUSED.iter().find(|(refused, _)| *refused == name) {
                    let refusal = case.by_network().err().unwrap_or_default();
                    failures.extend(
                        (!refusal.contains(words)).then(|| format!("{name} is not refused: {refusal}")),
                    );
                    continue;
                }
                failures.extend(case.by_twins().err().map(|error| format!("{name}, plain twins: {error}")));
                match case.by_network() {
                    Ok(nodes) => slow.push((name, nodes)),
                    Err(error) => failures.push(format!("{name}, network: {error}")),
                }
            }
        }
    }
    assert!(failures.is_empty(), "{} of {} cases:\n{}", failures.len(), paths.len(), failures.join("\n"));
    slow
}

#[test]
fn every_operator_gives_what_onnx_runtime_gives() {
    let slow = assert_agrees("ops");
    let names: Vec<&str> =
        slow.iter().filter(|(_, nodes)| !nodes.is_empty()).map(|(name, _)| name.as_str()).collect();
    println!("{} of {} cases ran by plain twins: {}", names.len(), slow.len(), names.join(" "));
}

#[test]
fn whole_networks_give_what_onnx_runtime_gives_and_none_is_slow() {
    for (name, nodes) in assert_agrees("networks") {
        assert!(nodes.is_empty(), "{name} runs slowly: {nodes:?}");
    }
}

/// The case with one extent, axis or constant changed, as a damaged or hostile file would have it.
fn damaged(case: &Case, how: usize) -> Option<(Graph, Vec<Tensor>)> {
    let mut graph = case.graph.clone();
    let mut shapes: Vec<Vec<usize>> = case.inputs.iter().map(|t| t.shape().to_vec()).collect();
    let (place, kind) = (how / 6, how % 6);
    let axes: Vec<(usize, usize)> =
        shapes.iter().enumerate().flat_map(|(i, s)| (0..s.len()).map(move |a| (i, a))).collect();
    if let Some(&(i, axis)) = axes.get(place) {
        match kind {
            0 => shapes[i][axis] = 0,
            1 => shapes[i][axis] += 1,
            2 => shapes[i][axis] = 1,
            3 => shapes[i].insert(axis, 2),
            4 => drop(shapes[i].remove(axis)),
            _ => shapes[i][axis] = 1 << 33, // compiled only
        }
    } else {
        let read: Vec<ValueId> =
            graph.nodes.iter().flat_map(|n| n.inputs.iter().flatten().copied()).collect();
        let mut constants = read.into_iter().filter(|&id| graph.constant(id).is_some());
        let id = constants.nth(place - axes.len())?;
        let old = graph.constant(id)?.clone();
        let new = match kind {
            0 => Tensor::new(vec![0], Data::zeros(old.dtype(), 0)),
            1 => Tensor::new(vec![1], Data::zeros(old.dtype(), 1)),
            2 => Tensor::new(vec![], Data::zeros(old.dtype(), 1)),
            3 => old.as_ref().clone().reshape(vec![1, old.len(), 1]),
            4 => Ok(Tensor::new(old.shape().to_vec(), Data::I64(vec![i64::MIN; old.len()]))
                .ok()?
                .cast(old.dtype())),
            _ => Ok(Tensor::new(old.shape().to_vec(), Data::I64(vec![1 << 20; old.len()]))
                .ok()?
                .cast(old.dtype())),
        };
        graph.set_constant(id, Arc::new(new.ok()?));
    }
    for (&id, shape) in graph.inputs.clone().iter().zip(&shapes) {
        graph.values[id.0].shape = Some(shape.iter().map(|&d| Dim::Known(d)).collect());
    }
    let small = |shape: &Vec<usize>| shape.iter().product::<usize>() < 1 << 20;
    let inputs = shapes.iter().zip(&case.inputs).filter(|(shape, _)| small(shape));
    Some((graph, inputs.filter_map(|(shape, t)| Tensor::zeros(t.dtype(), shape.clone()).ok()).collect()))
}

#[test]
fn damaged_networks_give_an_answer_or_an_error() {
    let folder = root().join("tests/golden");
    let files = ["ops", "networks"].map(|f| std::fs::read_dir(folder.join(f)).unwrap());
    let mut answers = [0, 0];
    for path in files.into_iter().flatten().map(|entry| entry.unwrap().path()) {
        let Ok(case) = Case::read(&path) else { continue };
        for (graph, inputs) in (0..90).filter_map(|how| damaged(&case, how)) {
            // Panics fail the test; the name says where.
            println!("{}", path.display());
            let answer = Network::new(&graph).and_then(|network| network.run(&inputs));
            answers[usize::from(answer.is_ok())] += 1;
        }
    }
    assert!(answers[0] > 1000 && answers[1] > 1000, "{answers:?}");
}

/// The networks shared between workplaces, from `LOWBIT_SHARED` or `shared` beside the repository.
fn shared() -> Option<PathBuf> {
    let beside = || root().join("../shared");
    let folder = std::env::var_os("LOWBIT_SHARED").map_or_else(beside, PathBuf::from);
    folder.join("models").is_dir().then_some(folder)
}

#[test]
fn shared_networks_give_the_logits_of_onnx_runtime() {
    let Some(shared) = shared() else {
        println!("skipped: shared data absent");
        return;
    };
    let stored = lowbit_onnx::read_file(&root().join("tests/golden/shared/logits.onnx")).unwrap();
    let constant = |name: &str| stored.constant(stored.find(name).unwrap()).unwrap().clone();
    let pixels = constant("test.input.pixels");
    let (mean, std) = ([0.485f32, 0.456, 0.406], [0.229f32, 0.224, 0.225]);
    let cells: usize = pixels.shape()[2..].iter().product();
    let channel = |i: usize| i / cells % 3;
    let normal = |(i, x): (usize, f32)| (x / 255.0 - mean[channel(i)]) / std[channel(i)];
    let x = Tensor::from_f32(pixels.shape(), pixels.to_f32().into_iter().enumerate().map(normal).collect());
    for name in ["resnet20-cifar10", "mobilenetv2-cifar10"] {
        let graph = lowbit_onnx::read_file(&shared.join("models").join(name).with_extension("onnx")).unwrap();
        let graph = prepare(graph, &evaluate_for_pass).unwrap();
        let network = Network::new(&graph).unwrap();
        let found = network.run(std::slice::from_ref(&x)).unwrap();
        let expected = constant(&format!("test.output.{name}"));
        compare(&found[0], &expected, PROMISE).unwrap_or_else(|e| panic!("{name}: {e}"));
        assert!(network.plain_nodes(std::slice::from_ref(&x)).unwrap().is_empty());
    }
}
