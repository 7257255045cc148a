//! A training step equals the nodes one by one through the plain twins, over the whole batch in f64, in both directions.

mod common;

use common::{conv, graph, ints, noise, op, rows, tensor, threads};
use lowbit_engine::{GradientError, Gradients, Outside, Parameter, Rounding, Training, evaluate, gradient};
use lowbit_graph::ops::{BatchNormalization, FakeQuantize};
use lowbit_graph::{Attribute, Dim, Graph, Op, ValueId};
use lowbit_kernels::Isa;
use lowbit_tensor::{DType, Data, Tensor, Uniform};
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex};

/// A batch normalization with scale, shift, and statistics that training must not look at.
fn norm(graph: &mut Graph, name: &str, x: ValueId, channels: usize) -> ValueId {
    let seed = name.bytes().map(u64::from).sum();
    let mut inputs = vec![x];
    for (part, seed) in [("scale", seed), ("shift", seed + 1), ("mean", seed + 2), ("var", seed + 3)] {
        let values =
            noise(channels, seed).into_iter().map(|v| if part == "scale" { 1.0 + v / 2.0 } else { v });
        inputs.push(
            graph.add_constant(format!("{name}.{part}"), Tensor::from_f32([channels], values.collect())),
        );
    }
    graph.add_node(name, op("BatchNormalization", &[("epsilon", Attribute::Float(1e-3))]), &inputs)
}

fn same_padding() -> (&'static str, Attribute) {
    ("pads", ints(&[1, 1, 1, 1]))
}

/// A residual network in miniature: a block with the identity, one with a strided projection, a classifier.
fn small() -> Graph {
    let (mut g, x) = graph(&[3, 8, 9]);
    let two = ("strides", ints(&[2, 2]));
    let relu = |g: &mut Graph, name: &str, x| g.add_node(name, op("Relu", &[]), &[x]);
    let a = conv(&mut g, "a", x, &[8, 3, 3, 3], &[same_padding()]);
    let a = norm(&mut g, "a.norm", a, 8);
    let a = relu(&mut g, "a.relu", a);
    let b = conv(&mut g, "b", a, &[8, 8, 3, 3], &[same_padding()]);
    let b = norm(&mut g, "b.norm", b, 8);
    let b = relu(&mut g, "b.relu", b);
    let c = conv(&mut g, "c", b, &[8, 8, 3, 3], &[same_padding()]);
    let c = norm(&mut g, "c.norm", c, 8);
    let c = g.add_node("c.add", op("Add", &[]), &[c, a]);
    let c = relu(&mut g, "c.relu", c);
    let d = conv(&mut g, "d", c, &[20, 8, 3, 3], &[same_padding(), two.clone()]);
    let d = norm(&mut g, "d.norm", d, 20);
    let s = conv(&mut g, "s", c, &[20, 8, 1, 1], &[two]);
    let s = norm(&mut g, "s.norm", s, 20);
    let d = g.add_node("d.add", op("Add", &[]), &[d, s]);
    let d = relu(&mut g, "d.relu", d);
    let p = g.add_node("pool", op("GlobalAveragePool", &[]), &[d]);
    let f = g.add_node("flatten", op("Flatten", &[]), &[p]);
    let w = g.add_constant("fc.w", tensor(&[5, 20], 9));
    let bias = g.add_constant("fc.b", tensor(&[5], 10));
    let y = g.add_node("fc", op("Gemm", &[("transB", Attribute::Int(1))]), &[f, w, bias]);
    g.outputs = vec![y];
    g
}

/// All weights, biases, scales and shifts.
fn parameters(graph: &Graph) -> Vec<Parameter> {
    let learned = |name: &str| [".w", ".b", ".scale", ".shift"].iter().any(|end| name.ends_with(end));
    let ids = (0..graph.values.len()).map(ValueId).filter(|id| learned(&graph.value(*id).name));
    ids.map(Parameter::Constant).collect()
}

/// Mean and biased variance per channel, in f64, and values per channel.
fn statistics(x: &Tensor) -> (Vec<f64>, Vec<f64>, f64) {
    let (channels, cells) = (x.shape()[1], x.shape()[2..].iter().product::<usize>());
    let values = x.to_f64();
    let of =
        |c: usize| values.iter().enumerate().filter(move |(i, _)| i / cells % channels == c).map(|(_, v)| *v);
    let count = (values.len() / channels) as f64;
    let mean: Vec<f64> = (0..channels).map(|c| of(c).sum::<f64>() / count).collect();
    let variance = (0..channels).map(|c| of(c).map(|v| (v - mean[c]).powi(2)).sum::<f64>() / count);
    (mean.clone(), variance.collect(), count)
}

fn f64s(shape: &[usize], values: Vec<f64>) -> Tensor {
    Tensor::new(shape.to_vec(), Data::F64(values)).unwrap()
}

/// The loss `Σ y·towards` and its gradients by constant, through the plain twins in f64. A normalization is that at rest
/// with the statistics of its input, through which gradients go on.
fn twin(graph: &Graph, x: &Tensor, towards: &Tensor) -> (f64, HashMap<ValueId, Vec<f64>>) {
    let mut values: HashMap<ValueId, Tensor> = HashMap::from([(graph.inputs[0], x.cast(DType::F64))]);
    for (i, value) in graph.values.iter().enumerate() {
        if let Some(constant) = &value.constant {
            let float = constant.dtype() == DType::F32;
            let constant = if float { constant.cast(DType::F64) } else { constant.as_ref().clone() };
            values.insert(ValueId(i), constant);
        }
    }
    for node in &graph.nodes {
        if let Op::BatchNormalization(_) = &node.op {
            let (mean, variance, _) = statistics(&values[&node.input(0).unwrap()]);
            values.insert(node.input(3).unwrap(), f64s(&[mean.len()], mean));
            values.insert(node.input(4).unwrap(), f64s(&[variance.len()], variance));
        }
        let inputs: Vec<Option<&Tensor>> = node.inputs.iter().map(|i| i.map(|id| &values[&id])).collect();
        let results = evaluate(&node.op, &inputs).unwrap();
        values.extend(node.outputs.iter().copied().zip(results));
    }
    let loss = values[&graph.outputs[0]].to_f64().iter().zip(towards.to_f64()).map(|(y, g)| y * g).sum();
    let mut grads = HashMap::from([(graph.outputs[0], towards.cast(DType::F64))]);
    for node in graph.nodes.iter().rev() {
        let inputs: Vec<Option<&Tensor>> = node.inputs.iter().map(|i| i.map(|id| &values[&id])).collect();
        let Some(dy) = grads.get(&node.outputs[0]).cloned() else { continue };
        let mut found = gradient(&node.op, &inputs, &[Some(&dy)]).unwrap();
        if let Op::BatchNormalization(BatchNormalization { .. }) = &node.op {
            let x = inputs[0].unwrap();
            let (mean, _, count) = statistics(x);
            let [by_mean, by_variance] = [3, 4].map(|i| found[i].as_ref().unwrap().to_f64());
            let cells: usize = x.shape()[2..].iter().product();
            let through = |(i, (dx, x)): (usize, (f64, f64))| {
                let c = i / cells % mean.len();
                dx + by_mean[c] / count + by_variance[c] * 2.0 * (x - mean[c]) / count
            };
            let dx = found[0].as_ref().unwrap().to_f64().into_iter().zip(x.to_f64());
            found[0] = Some(f64s(x.shape(), dx.enumerate().map(through).collect()));
        }
        for (input, part) in node.inputs.iter().zip(found) {
            let (Some(id), Some(part)) = (input, part) else { continue };
            let sum = match grads.remove(id) {
                None => part,
                Some(old) => {
                    let sum = old.to_f64().iter().zip(part.to_f64()).map(|(a, b)| a + b).collect();
                    f64s(part.shape(), sum)
                }
            };
            grads.insert(*id, sum);
        }
    }
    (loss, grads.into_iter().map(|(id, grad)| (id, grad.to_f64())).collect())
}

/// A step with the loss `Σ y·towards`.
fn step(training: &Training, batch: usize, x: &Tensor, towards: &Tensor) -> Result<Gradients, GradientError> {
    let (x, towards) = (rows(x), rows(towards));
    let [width, out] = [x.len() / batch, towards.len() / batch];
    training.step(
        batch,
        |rows, inputs| {
            inputs[0].copy_from_slice(&x[rows.start * width..rows.end * width]);
            Ok(())
        },
        |rows, outputs, gradients| {
            gradients[0].copy_from_slice(&towards[rows.start * out..rows.end * out]);
            Ok(outputs[0].iter().zip(&*gradients[0]).map(|(y, g)| f64::from(*y) * f64::from(*g)).sum())
        },
    )
}

/// In units of the largest, as sums of many terms of both signs are compared.
#[track_caller]
fn assert_near(found: &[f32], expected: &[f64], tolerance: f64, what: &str) {
    assert_eq!(found.len(), expected.len(), "{what}");
    let largest = expected.iter().fold(1e-2, |m: f64, v| m.max(v.abs()));
    for (i, (&found, &expected)) in found.iter().zip(expected).enumerate() {
        let error = (f64::from(found) - expected).abs() / largest;
        assert!(error <= tolerance, "{what}: element {i} is {found}, expected {expected}");
    }
}

fn assert_agrees(graph: &Graph, sample: &[usize], outputs: usize, batches: &[usize]) {
    let parameters = parameters(graph);
    let most = *batches.iter().max().unwrap();
    let training = Training::new(graph, most, &parameters, Vec::new()).unwrap();
    for &batch in batches {
        let (x, towards) = (tensor(&[&[batch], sample].concat(), 3), tensor(&[batch, outputs], 4));
        let found = step(&training, batch, &x, &towards).unwrap();
        let (loss, expected) = twin(graph, &x, &towards);
        assert!((found.loss - loss).abs() <= 1e-4 * (1.0 + loss.abs()), "{} {loss}", found.loss);
        for (parameter, found) in parameters.iter().zip(&found.parameters) {
            let Parameter::Constant(id) = parameter else { unreachable!() };
            let name = &graph.value(*id).name;
            // The bias before a normalization has no effect: what is left is rounding.
            let dead = name.ends_with(".b") && graph.find(&name.replace(".b", ".norm")).is_some();
            let expected = if dead { vec![0.0; found.len()] } else { expected[id].clone() };
            let tolerance = if dead { 0.2 } else { 3e-4 };
            assert_near(found, &expected, tolerance, &format!("batch {batch}, {name}"));
        }
    }
}

#[test]
fn a_residual_network_agrees_with_its_twin_for_any_number_of_rows() {
    assert_agrees(&small(), &[3, 8, 9], 5, &[40, 33, 7, 2]);
}

#[test]
fn an_inverted_residual_with_clips_and_odd_channels_agrees_with_its_twin() {
    let (mut g, x) = graph(&[5, 6, 6]);
    let (zero, six) =
        (g.add_constant("zero", Tensor::scalar(0.0)), g.add_constant("six", Tensor::scalar(0.9)));
    let a = conv(&mut g, "expand", x, &[12, 5, 1, 1], &[]);
    let a = norm(&mut g, "expand.norm", a, 12);
    let a = g.add_node("clip1", op("Clip", &[]), &[a, zero, six]);
    let b = conv(&mut g, "depthwise", a, &[12, 1, 3, 3], &[same_padding(), ("group", Attribute::Int(12))]);
    let b = norm(&mut g, "depthwise.norm", b, 12);
    let b = g.add_node("clip2", op("Clip", &[]), &[b, zero, six]);
    let c = conv(&mut g, "project", b, &[5, 12, 1, 1], &[]);
    let c = norm(&mut g, "project.norm", c, 5);
    let y = g.add_node("add", op("Add", &[]), &[c, x]);
    let y = norm(&mut g, "again.norm", y, 5);
    let p = g.add_node("pool", op("GlobalAveragePool", &[]), &[y]);
    let f = g.add_node("flatten", op("Flatten", &[]), &[p]);
    let w = g.add_constant("fc.w", tensor(&[5, 4], 9));
    let out = g.add_node("fc", op("MatMul", &[]), &[f, w]);
    g.outputs = vec![out];
    assert_agrees(&g, &[5, 6, 6], 4, &[16, 3]);
}

#[test]
fn the_twin_is_the_slope_of_its_loss() {
    let g = small();
    let (x, towards) = (tensor(&[3, 3, 8, 9], 3), tensor(&[3, 5], 4));
    let (_, grads) = twin(&g, &x, &towards);
    for name in ["a.w", "b.norm.scale", "d.norm.shift", "s.w"] {
        let id = g.find(name).unwrap();
        let at = |h: f32| {
            let mut moved = g.clone();
            let constant = moved.constant(id).unwrap();
            let mut values = constant.to_f32();
            values[1] += h;
            let tensor = Tensor::from_f32(constant.shape(), values);
            moved.set_constant(id, Arc::new(tensor));
            twin(&moved, &x, &towards).0
        };
        let h = 2f32.powi(-17);
        let slope = (at(h) - at(-h)) / f64::from(2.0 * h);
        let expected = grads[&id][1];
        assert!((slope - expected).abs() < 1e-3 * (0.1 + expected.abs()), "{name}: {slope}, not {expected}");
    }
}

#[test]
fn threads_change_nothing() {
    let g = small();
    let (x, towards) = (tensor(&[37, 3, 8, 9], 3), tensor(&[37, 5], 4));
    let run = |count: usize| {
        threads(count, || {
            let training = Training::new(&g, 64, &parameters(&g), Vec::new()).unwrap();
            let first = step(&training, 37, &x, &towards).unwrap();
            // Memory that another step has left behind changes nothing either.
            assert_eq!(first, step(&training, 37, &x, &towards).unwrap());
            (first, training.statistics())
        })
    };
    let one = run(1);
    assert!(one == run(2) && one == run(4));
}

#[test]
fn statistics_are_those_of_the_batch() {
    let (mut g, x) = graph(&[3, 5, 4]);
    let y = norm(&mut g, "norm", x, 3);
    g.outputs = vec![y];
    let x = tensor(&[21, 3, 5, 4], 8);
    let training = Training::new(&g, 21, &parameters(&g), Vec::new()).unwrap();
    assert!(training.statistics().is_empty());
    step(&training, 21, &x, &tensor(&[21, 3, 5, 4], 9)).unwrap();
    let found = training.statistics();
    let (mean, variance, count) = statistics(&x);
    assert_eq!(
        (found.len(), found[0].node.0, found[0].name.as_str(), found[0].count as f64),
        (1, 0, "norm", count)
    );
    for (found, expected) in found[0].mean.iter().zip(&mean).chain(found[0].variance.iter().zip(&variance)) {
        assert!((found - expected).abs() < 1e-6, "{found} {expected}");
    }
}

#[test]
fn new_values_of_parameters_count() {
    let g = small();
    let mut other = g.clone();
    let parameters = parameters(&g);
    let mut training = Training::new(&g, 6, &parameters, Vec::new()).unwrap();
    for (i, parameter) in parameters.iter().enumerate() {
        let Parameter::Constant(id) = parameter else { unreachable!() };
        let values: Vec<f32> = training.parameter(i).iter().map(|v| v * 1.5 + 0.25).collect();
        training.set(i, &values).unwrap();
        let shape = g.constant(*id).unwrap().shape().to_vec();
        other.set_constant(*id, Arc::new(Tensor::from_f32(shape, values)));
    }
    let (x, towards) = (tensor(&[6, 3, 8, 9], 3), tensor(&[6, 5], 4));
    let fresh = Training::new(&other, 6, &parameters, Vec::new()).unwrap();
    assert_eq!(step(&training, 6, &x, &towards).unwrap(), step(&fresh, 6, &x, &towards).unwrap());
    assert!(training.set(0, &[1.0]).is_err());
}

/// `y = a·x² + b`, so that each sum is easily told.
#[derive(Default)]
struct Square(Mutex<[f32; 2]>);

impl Rounding for Square {
    fn len(&self) -> usize {
        2
    }

    fn set(&self, values: &[f32]) {
        self.0.lock().unwrap().copy_from_slice(values);
    }

    fn forward(&self, _: Isa, x: &[f32], y: &mut [f32]) {
        let [a, b] = *self.0.lock().unwrap();
        y.iter_mut().zip(x).for_each(|(y, x)| *y = a * x * x + b);
    }

    fn backward(&self, _: Isa, x: &[f32], grad: &mut [f32], parameters: &mut [f32]) {
        let [a, _] = *self.0.lock().unwrap();
        parameters.fill(0.0);
        for (x, grad) in x.iter().zip(grad) {
            parameters[0] += *grad * x * x;
            parameters[1] += *grad;
            *grad *= 2.0 * a * x;
        }
    }
}

#[test]
fn a_rounding_of_the_callers_stands_in_for_a_node_and_learns() {
    let (mut g, x) = graph(&[2, 4, 4]);
    let a = conv(&mut g, "a", x, &[4, 2, 3, 3], &[same_padding()]);
    let a = norm(&mut g, "a.norm", a, 4);
    let code = Uniform::per_tensor(4, false, 0.1, 0);
    let rounded = g.add_node("round", Op::FakeQuantize(FakeQuantize { code }), &[a]);
    g.outputs = vec![rounded];
    let mut parameters = parameters(&g);
    parameters.push(Parameter::Rounding(rounded));
    let last = parameters.len() - 1;
    let square = || vec![(rounded, Arc::new(Square::default()) as Arc<dyn Rounding>)];
    let mut training = Training::new(&g, 9, &parameters, square()).unwrap();
    assert_eq!(training.parameter(last), [0.0; 2]);
    training.set(last, &[0.5, -1.0]).unwrap();
    let (x, towards) = (tensor(&[9, 2, 4, 4], 3), tensor(&[9, 4, 4, 4], 4));
    let found = step(&training, 9, &x, &towards).unwrap();

    // The same by operators: a·x² + b, with b added to every element.
    let mut by_ops = g.clone();
    by_ops.nodes.pop();
    let factor = by_ops.add_constant("factor", Tensor::from_f32([1], vec![0.5]));
    let shift = by_ops.add_constant("offset", Tensor::from_f32([1], vec![-1.0]));
    let y = by_ops.add_node("square", op("Mul", &[]), &[a, a]);
    let y = by_ops.add_node("scaled", op("Mul", &[]), &[y, factor]);
    let y = by_ops.add_node("shifted", op("Add", &[]), &[y, shift]);
    by_ops.outputs = vec![y];
    let (loss, expected) = twin(&by_ops, &x, &towards);
    assert!((found.loss - loss).abs() < 1e-3);
    let w = g.find("a.w").unwrap();
    let place = parameters.iter().position(|p| *p == Parameter::Constant(w)).unwrap();
    assert_near(&found.parameters[place], &expected[&w], 3e-4, "a.w");
    let learned = [expected[&factor][0], expected[&shift][0]];
    assert_near(&found.parameters[last], &learned, 3e-4, "the rounding");

    let misplaced = Training::new(&g, 9, &parameters, vec![(a, Arc::new(Square::default()))]);
    assert!(misplaced.err().unwrap().to_string().contains("`a.norm`"));
    let missing = Training::new(&g, 9, &parameters, Vec::new());
    assert!(missing.is_ok(), "a FakeQuantize as it is, with a step size");
}

#[test]
fn what_roundings_read_can_be_seen_with_the_statistics_of_the_batch() {
    let (mut g, x) = graph(&[2, 4, 4]);
    let a = norm(&mut g, "norm", x, 2);
    let code = Uniform::per_tensor(4, true, 0.1, 0);
    let rounded = g.add_node("round", Op::FakeQuantize(FakeQuantize { code }), &[a]);
    g.outputs = vec![rounded];
    let training = Training::new(&g, 30, &[], Vec::new()).unwrap();
    let x = rows(&tensor(&[30, 2, 4, 4], 3));
    let seen = Mutex::new(BTreeMap::new());
    let feed = |rows: std::ops::Range<usize>, inputs: &mut [&mut [f32]]| -> Result<(), Outside> {
        inputs[0].copy_from_slice(&x[rows.start * 32..rows.end * 32]);
        Ok(())
    };
    let see = |i: usize, rows: std::ops::Range<usize>, values: &[f32]| -> Result<(), Outside> {
        seen.lock().unwrap().insert((i, rows.start), (rows.end, values.to_vec()));
        Ok(())
    };
    training.observe(30, feed, &[a, g.inputs[0]], see).unwrap();
    let seen = std::mem::take(&mut *seen.lock().unwrap());
    let whole = |which: usize| -> Vec<f32> {
        seen.iter().filter(|((i, _), _)| *i == which).flat_map(|(_, (_, values))| values.clone()).collect()
    };
    assert_eq!(whole(1), x);
    let (scale, shift) = (g.constant(ValueId(1)).unwrap().to_f32(), g.constant(ValueId(2)).unwrap().to_f32());
    for c in 0..2 {
        let channel: Vec<f32> = whole(0).into_iter().skip(c).step_by(2).collect();
        let mean = channel.iter().sum::<f32>() / channel.len() as f32;
        let variance = channel.iter().map(|v| (v - mean).powi(2)).sum::<f32>() / channel.len() as f32;
        assert!((mean - shift[c]).abs() < 1e-4 && (variance.sqrt() - scale[c]).abs() < 1e-2);
    }
    let lone = ValueId(3);
    let refusal = training.observe(30, feed, &[lone], see).err().unwrap().to_string();
    assert!(refusal.contains("`norm.mean`"), "{refusal}");
}

#[test]
fn a_fixed_batch_runs_whole_and_other_sizes_are_refused() {
    let symbolic = small();
    let mut fixed = symbolic.clone();
    let shape = [4, 3, 8, 9].map(Dim::Known).to_vec();
    fixed.values[fixed.inputs[0].0].shape = Some(shape);
    let (x, towards) = (tensor(&[4, 3, 8, 9], 3), tensor(&[4, 5], 4));
    let training = Training::new(&fixed, 4, &parameters(&fixed), Vec::new()).unwrap();
    let found = step(&training, 4, &x, &towards).unwrap();
    let (_, expected) = twin(&fixed, &x, &towards);
    for (parameter, found) in parameters(&fixed).iter().zip(&found.parameters) {
        let Parameter::Constant(id) = parameter else { unreachable!() };
        if !fixed.value(*id).name.ends_with(".b") {
            assert_near(found, &expected[id], 3e-4, &fixed.value(*id).name);
        }
    }
    let refusal = step(&training, 3, &x, &towards).unwrap_err().to_string();
    assert_eq!(refusal, "a batch of 3; the network takes batches of 4");
    let training = Training::new(&symbolic, 4, &[], Vec::new()).unwrap();
    assert!(step(&training, 5, &x, &towards).is_err());
}

#[test]
fn dropout_draws_from_the_seed_and_not_from_the_cut() {
    let (mut g, x) = graph(&[64]);
    let ratio = g.add_constant("ratio", Tensor::scalar(0.25));
    let dropped = g.add_node("drop", op("Dropout", &[]), &[x, ratio]);
    let w = g.add_constant("w", tensor(&[64, 3], 1));
    let y = g.add_node("fc", op("MatMul", &[]), &[dropped, w]);
    g.outputs = vec![y];
    let (x, towards) = (tensor(&[50, 64], 3), tensor(&[50, 3], 4));
    let run = |count: usize, seed: u64| {
        threads(count, || {
            let mut training = Training::new(&g, 50, &[Parameter::Constant(w)], Vec::new()).unwrap();
            training.seed(seed);
            step(&training, 50, &x, &towards).unwrap()
        })
    };
    assert_eq!(run(1, 5), run(3, 5));
    assert_ne!(run(1, 5).loss, run(1, 6).loss);
}

#[test]
fn a_parameter_of_two_nodes_gets_the_sum() {
    let (mut g, x) = graph(&[4, 5, 5]);
    let w = g.add_constant("shared.w", tensor(&[4, 4, 1, 1], 1));
    let scale = g.add_constant("shared.scale", tensor(&[4], 2));
    let shift = g.add_constant("shift", tensor(&[4], 5));
    let mut value = x;
    for i in 0..2 {
        value = g.add_node(format!("conv{i}"), op("Conv", &[]), &[value, w]);
        let [mean, variance] =
            ["mean", "variance"].map(|n| g.add_constant(format!("{n}{i}"), tensor(&[4], 6)));
        value = g.add_node(
            format!("norm{i}"),
            op("BatchNormalization", &[]),
            &[value, scale, shift, mean, variance],
        );
    }
    g.outputs = vec![value];
    let (x, towards) = (tensor(&[6, 4, 5, 5], 3), tensor(&[6, 4, 5, 5], 4));
    let training = Training::new(&g, 6, &[w, scale].map(Parameter::Constant), Vec::new()).unwrap();
    let found = step(&training, 6, &x, &towards).unwrap();
    let (_, expected) = twin(&g, &x, &towards);
    assert_near(&found.parameters[0], &expected[&w], 3e-4, "weights");
    assert_near(&found.parameters[1], &expected[&scale], 3e-4, "scales");
}
