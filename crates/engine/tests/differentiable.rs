//! A graph run forward and back equals its nodes one by one through the plain twins, in both directions.

mod common;

use common::{compare, conv, graph, ints, op, plain_values, rows, tensor, threads};
use lowbit_engine::{Differentiable, GradientError, Gradients, Parameter, gradient, step_gradient};
use lowbit_graph::ops::*;
use lowbit_graph::{Attribute, Graph, Op, ValueId};
use lowbit_tensor::{Data, Tensor, Uniform};
use std::collections::HashMap;

fn round(graph: &mut Graph, name: &str, x: ValueId, code: Uniform) -> ValueId {
    graph.add_node(name, Op::FakeQuantize(FakeQuantize { code }), &[x])
}

/// Gradients of `Σ y·g` over all outputs by the plain twins.
fn plain_gradients(graph: &Graph, x: &Tensor, towards: &[Tensor], parameters: &[Parameter]) -> Vec<Vec<f32>> {
    let all: Vec<ValueId> = (0..graph.values.len()).map(ValueId).collect();
    let live: Vec<ValueId> = all
        .into_iter()
        .filter(|id| {
            graph.inputs.contains(id)
                || graph.constant(*id).is_some()
                || graph.nodes.iter().any(|n| n.outputs.contains(id))
        })
        .collect();
    let found = plain_values(graph, std::slice::from_ref(x), &live).unwrap();
    let values: HashMap<ValueId, Tensor> = live.into_iter().zip(found).collect();
    let mut grads: HashMap<ValueId, Tensor> = HashMap::new();
    let add = |grads: &mut HashMap<ValueId, Tensor>, id: ValueId, part: Tensor| {
        let sum = match grads.remove(&id) {
            None => part,
            Some(old) => {
                let sum = old.to_f64().iter().zip(part.to_f64()).map(|(a, b)| a + b).collect();
                Tensor::new(part.shape().to_vec(), Data::F64(sum)).unwrap().cast(part.dtype())
            }
        };
        grads.insert(id, sum);
    };
    for (&id, towards) in graph.outputs.iter().zip(towards) {
        add(&mut grads, id, towards.clone());
    }
    let mut steps: HashMap<ValueId, Vec<f32>> = HashMap::new();
    for node in graph.nodes.iter().rev() {
        let inputs: Vec<Option<&Tensor>> = node.inputs.iter().map(|i| i.map(|id| &values[&id])).collect();
        let out: Vec<Option<&Tensor>> = node.outputs.iter().map(|o| grads.get(o)).collect();
        if out.iter().all(Option::is_none) {
            continue;
        }
        if let (Op::FakeQuantize(op), Some(grad)) = (&node.op, out[0]) {
            steps.insert(node.outputs[0], step_gradient(op, inputs[0].unwrap(), grad).unwrap().to_f32());
        }
        for (input, part) in node.inputs.iter().zip(gradient(&node.op, &inputs, &out).unwrap()) {
            if let (Some(id), Some(part)) = (input, part) {
                add(&mut grads, *id, part);
            }
        }
    }
    let one = |parameter: &Parameter| match parameter {
        Parameter::Constant(id) => grads[id].to_f32(),
        Parameter::Step(id) => steps[id].clone(),
        Parameter::Rounding(_) => unreachable!("no roundings here"),
    };
    let mut all: Vec<Vec<f32>> = parameters.iter().map(one).collect();
    all.push(rows(&grads[&graph.inputs[0]]));
    all
}

/// Gradients of the same by [`Differentiable`], those of the input last.
fn fast_gradients(
    network: &Differentiable,
    batch: usize,
    x: &Tensor,
    towards: &[Tensor],
) -> Result<Vec<Vec<f32>>, GradientError> {
    let (x, towards): (Vec<f32>, Vec<Vec<f32>>) = (rows(x), towards.iter().map(rows).collect());
    let dx = std::sync::Mutex::new(vec![0.0; x.len()]);
    let per = |values: &[f32]| values.len() / batch;
    let found: Gradients = network.gradients_of_inputs(
        batch,
        |rows, inputs| {
            inputs[0].copy_from_slice(&x[rows.start * per(&x)..rows.end * per(&x)]);
            Ok(())
        },
        |rows, outputs, gradients| {
            let mut loss = 0.0;
            for ((y, g), towards) in outputs.iter().zip(gradients).zip(&towards) {
                g.copy_from_slice(&towards[rows.start * per(towards)..rows.end * per(towards)]);
                loss += y.iter().zip(&**g).map(|(y, g)| f64::from(y * g)).sum::<f64>();
            }
            Ok(loss)
        },
        |rows, gradients| {
            let width = per(&x);
            dx.lock().unwrap()[rows.start * width..rows.end * width].copy_from_slice(gradients[0]);
            Ok(())
        },
    )?;
    let mut all = found.parameters;
    all.push(dx.into_inner().unwrap());
    Ok(all)
}

fn assert_agrees(graph: &Graph, sample: &[usize], parameters: &[Parameter], tolerance: f64) {
    for batch in [1, 2, 7, 33] {
        let x = tensor(&[&[batch], sample].concat(), 3);
        let outputs = plain_values(graph, std::slice::from_ref(&x), &graph.outputs).unwrap();
        let towards: Vec<Tensor> =
            outputs.iter().enumerate().map(|(i, y)| tensor(y.shape(), 50 + i as u64)).collect();
        let network = Differentiable::with_inputs(graph, batch, parameters).unwrap();
        let found = fast_gradients(&network, batch, &x, &towards).unwrap();
        let expected = plain_gradients(graph, &x, &towards, parameters);
        for (i, (found, expected)) in found.into_iter().zip(expected).enumerate() {
            let [found, expected] = [found, expected].map(|v| Tensor::from_f32([v.len()], v));
            let largest = expected.to_f32().iter().fold(0f32, |m, v| m.max(v.abs()));
            // Compared in units of the largest: sums of many terms of both signs.
            let scaled =
                |t: &Tensor| Tensor::from_f32(t.shape(), t.to_f32().iter().map(|v| v / largest).collect());
            compare(&scaled(&found), &scaled(&expected), tolerance)
                .unwrap_or_else(|e| panic!("batch {batch}, parameter {i} of {}: {e}", parameters.len()));
        }
    }
}

fn code(scale: f32) -> Uniform {
    Uniform::per_tensor(4, false, scale, 3)
}

#[test]
fn a_residual_block_with_a_strided_shortcut_and_roundings() {
    let (mut g, x) = graph(&[3, 9, 10]);
    let pads = ("pads", ints(&[1, 1, 1, 1]));
    let two = ("strides", ints(&[2, 2]));
    let a = conv(&mut g, "a", x, &[8, 3, 3, 3], &[pads.clone(), two.clone()]);
    let a = g.add_node("a.relu", op("Relu", &[]), &[a]);
    let a = round(&mut g, "a.round", a, code(0.3));
    let b = conv(&mut g, "b", a, &[8, 8, 3, 3], &[pads]);
    let s = conv(&mut g, "s", x, &[8, 3, 1, 1], &[two]);
    let y = g.add_node("add", op("Add", &[]), &[b, s]);
    let y = g.add_node("relu", op("Relu", &[]), &[y]);
    let rounded = round(&mut g, "y.round", y, code(0.7));
    g.outputs = vec![rounded];
    let named =
        |name: &str| Parameter::Constant(ValueId(g.values.iter().position(|v| v.name == name).unwrap()));
    let parameters = [
        named("a.w"),
        named("b.w"),
        named("s.w"),
        named("b.b"),
        Parameter::Step(a),
        Parameter::Step(rounded),
    ];
    assert_agrees(&g, &[3, 9, 10], &parameters, 2e-4);
}

#[test]
fn an_inverted_residual_then_a_classifier() {
    let (mut g, x) = graph(&[4, 6, 6]);
    let six = g.add_constant("six", Tensor::scalar(0.9));
    let zero = g.add_constant("zero", Tensor::scalar(0.0));
    let a = conv(&mut g, "expand", x, &[12, 4, 1, 1], &[]);
    let a = g.add_node("clip1", op("Clip", &[]), &[a, zero, six]);
    let pads = ("pads", ints(&[1, 1, 1, 1]));
    let b = conv(&mut g, "depthwise", a, &[12, 1, 3, 3], &[pads, ("group", Attribute::Int(12))]);
    let b = g.add_node("clip2", op("Clip", &[]), &[b, zero, six]);
    let c = conv(&mut g, "project", b, &[4, 12, 1, 1], &[]);
    let y = g.add_node("add", op("Add", &[]), &[c, x]);
    let p = g.add_node("pool", op("GlobalAveragePool", &[]), &[y]);
    let f = g.add_node("flatten", op("Flatten", &[]), &[p]);
    let w = g.add_constant("fc.w", tensor(&[5, 4], 9));
    let bias = g.add_constant("fc.b", tensor(&[5], 10));
    let out = g.add_node("fc", op("Gemm", &[("transB", Attribute::Int(1))]), &[f, w, bias]);
    g.outputs = vec![out, y];
    let named =
        |name: &str| Parameter::Constant(ValueId(g.values.iter().position(|v| v.name == name).unwrap()));
    let parameters = ["expand.w", "depthwise.w", "project.w", "depthwise.b", "fc.w", "fc.b"].map(named);
    assert_agrees(&g, &[4, 6, 6], &parameters, 2e-4);
}

#[test]
fn what_has_no_fast_way_back_takes_the_plain_one() {
    let (mut g, x) = graph(&[3, 8]);
    let w = g.add_constant("w", tensor(&[8, 8], 1));
    let scale = g.add_constant("scale", tensor(&[8], 2));
    let n = g.add_node("norm", op("LayerNormalization", &[]), &[x, scale]);
    let a = g.add_node("matmul", op("MatMul", &[]), &[n, w]);
    let a = g.add_node("gelu", Op::Gelu(Gelu { tanh: false }), &[a]);
    let square = g.add_node("square", op("Mul", &[]), &[a, a]);
    let y = g.add_node("add", op("Add", &[]), &[square, x]);
    g.outputs = vec![y];
    assert_agrees(&g, &[3, 8], &[Parameter::Constant(w), Parameter::Constant(scale)], 2e-4);
}

#[test]
fn new_values_of_parameters_count_and_threads_do_not() {
    let (mut g, x) = graph(&[3, 16, 16]);
    let a = conv(&mut g, "a", x, &[8, 3, 3, 3], &[("pads", ints(&[1, 1, 1, 1]))]);
    let rounded = round(&mut g, "round", a, code(0.3));
    g.outputs = vec![rounded];
    let w = ValueId(g.values.iter().position(|v| v.name == "a.w").unwrap());
    let mut other = g.clone();
    let values = tensor(&[8, 3, 3, 3], 99);
    other.values[w.0].constant = Some(values.clone().into());
    for node in &mut other.nodes {
        if let Op::FakeQuantize(op) = &mut node.op {
            op.code.scale = vec![0.5];
        }
    }
    let parameters = [Parameter::Constant(w), Parameter::Step(rounded)];
    let (x, towards) = (tensor(&[50, 3, 16, 16], 5), vec![tensor(&[50, 8, 16, 16], 6)]);
    let run = |threads_: usize, graph: &Graph, set: bool| {
        threads(threads_, || {
            let mut network = Differentiable::with_inputs(graph, 50, &parameters).unwrap();
            if set {
                network.set(0, &values.to_f32()).unwrap();
                network.set(1, &[0.5]).unwrap();
            }
            fast_gradients(&network, 50, &x, &towards).unwrap()
        })
    };
    let expected = run(1, &other, false);
    assert!(expected == run(1, &g, true) && expected == run(3, &g, true));
    assert!(expected != run(1, &g, false));
}

#[test]
fn slips_are_refused_by_name() {
    let (mut g, x) = graph(&[3, 4, 4]);
    let y = conv(&mut g, "a", x, &[8, 3, 3, 3], &[]);
    g.outputs = vec![y];
    let lone = g.add_constant("lone", tensor(&[2], 1));
    let error = Differentiable::new(&g, 4, &[Parameter::Constant(lone)]).err().unwrap();
    assert_eq!(error.to_string(), "no node reads the parameter `lone`");
}
