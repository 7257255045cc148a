//! The fast execution of a network equals its nodes one by one through the plain twins.

mod common;

use common::{compare, noise, plain, plain_values, tensor, threads};
use lowbit_engine::{EngineError, Layout, Network};
use lowbit_graph::ops::*;
use lowbit_graph::{Attribute, Attributes, Dim, Graph, Op, ValueId};
use lowbit_tensor::code::window::Rounding;
use lowbit_tensor::{DType, Data, Levels, Tensor, Uniform, Window as Bits, Windowed};

/// Adds nodes that read a value, and returns their result.
type Build<'a> = &'a dyn Fn(&mut Graph, ValueId) -> ValueId;

const BATCHES: [usize; 6] = [1, 2, 3, 16, 17, 41];

fn op(name: &str, attributes: &[(&str, Attribute)]) -> Op {
    let map = attributes.iter().fold(Attributes::new(), |map, (name, value)| map.with(name, value.clone()));
    Op::read("", name, map).unwrap().unwrap()
}

fn ints(values: &[i64]) -> Attribute {
    Attribute::Ints(values.to_vec())
}

/// A graph with one input `x` of `[N, …]`.
fn graph(sample: &[usize]) -> (Graph, ValueId) {
    let mut graph = Graph::default();
    let dims = [Dim::Symbol("N".into())].into_iter().chain(sample.iter().map(|&d| Dim::Known(d))).collect();
    let x = graph.add_input("x", DType::F32, dims);
    (graph, x)
}

/// A 3×3 convolution with bias that keeps the size.
fn conv(graph: &mut Graph, name: &str, x: ValueId, [in_c, out_c]: [usize; 2]) -> ValueId {
    let seed = name.bytes().map(u64::from).sum();
    let w = graph.add_constant(format!("{name}.w"), tensor(&[out_c, in_c, 3, 3], seed));
    let b = graph.add_constant(format!("{name}.b"), tensor(&[out_c], seed + 1));
    graph.add_node(name, op("Conv", &[("pads", ints(&[1, 1, 1, 1]))]), &[x, w, b])
}

fn assert_agrees_on(graph: &Graph, inputs: &[Tensor], what: &str) {
    let found = Network::new(graph).unwrap().run(inputs).unwrap();
    let expected = plain(graph, inputs).unwrap();
    assert_eq!(found.len(), expected.len());
    for (i, (found, expected)) in found.iter().zip(&expected).enumerate() {
        compare(found, expected, 1e-4).unwrap_or_else(|e| panic!("output {i}, {what}: {e}"));
    }
}

/// At several batch sizes, on one input `[N, …]`.
fn assert_agrees(graph: &Graph, sample: &[usize]) {
    for n in BATCHES {
        let x = tensor(&[&[n], sample].concat(), 7);
        assert_agrees_on(graph, &[x], &format!("batch {n}"));
    }
}

/// The nodes that have no fast form.
fn slow(graph: &Graph, sample: &[usize]) -> Vec<String> {
    let x = tensor(&[&[1], sample].concat(), 7);
    Network::new(graph).unwrap().plain_nodes(&[x]).unwrap()
}

#[test]
fn a_residual_block_with_rounding_at_its_end_is_one_step() {
    let (mut g, x) = graph(&[4, 6, 5]);
    let a = conv(&mut g, "a", x, [4, 4]);
    let a = g.add_node("a.relu", Relu, &[a]);
    let b = conv(&mut g, "b", a, [4, 4]);
    let sum = g.add_node("sum", Add, &[b, x]);
    let y = g.add_node("relu", Relu, &[sum]);
    let q = g.add_node("q", FakeQuantize { code: Uniform::per_tensor(4, false, 0.25, 0) }, &[y]);
    let out = conv(&mut g, "out", q, [4, 2]);
    g.outputs = vec![out];
    assert_agrees(&g, &[4, 6, 5]);
    assert!(slow(&g, &[4, 6, 5]).is_empty());
}

#[test]
fn a_residual_may_be_produced_after_the_layer_it_joins() {
    let (mut g, x) = graph(&[3, 5, 5]);
    let main = conv(&mut g, "main", x, [3, 3]);
    let side = g.add_node("side", op("AveragePool", &[("kernel_shape", ints(&[1, 1]))]), &[x]);
    let side = g.add_node("side.tanh", Tanh, &[side]);
    let sum = g.add_node("sum", Add, &[side, main]);
    let y = g.add_node("y", op("LeakyRelu", &[("alpha", Attribute::Float(0.1))]), &[sum]);
    g.outputs = vec![y];
    assert_agrees(&g, &[3, 5, 5]);
}

#[test]
fn taps_show_values_inside_and_at_the_end_of_groups() {
    let (mut g, x) = graph(&[3, 4, 4]);
    let a = conv(&mut g, "a", x, [3, 5]);
    let r = g.add_node("r", Relu, &[a]);
    let b = conv(&mut g, "b", r, [5, 3]);
    let sum = g.add_node("sum", Add, &[b, x]);
    let y = g.add_node("y", Relu, &[sum]);
    let pooled = g.add_node("pooled", GlobalAveragePool, &[y]);
    g.outputs = vec![pooled];
    for taps in [vec![a], vec![b, r], vec![sum, x, y], vec![pooled]] {
        let network = Network::with_taps(&g, &taps).unwrap();
        for n in BATCHES {
            let input = [tensor(&[n, 3, 4, 4], 3)];
            let seen = |views: &[lowbit_engine::View<'_>], rows: std::ops::Range<usize>| {
                let row_major = |view: &lowbit_engine::View<'_>| {
                    assert_eq!(view.shape[0], rows.len());
                    let (channels, _) = view.channel_of();
                    let cells: usize = view.shape[2..].iter().product();
                    match view.layout {
                        Layout::RowMajor => view.data.to_vec(),
                        Layout::ChannelsLast => {
                            let turn = |image: &[f32]| -> Vec<f32> {
                                let at = |i: usize| image[i % cells * channels + i / cells];
                                (0..image.len()).map(at).collect()
                            };
                            view.data.chunks(channels * cells).flat_map(turn).collect()
                        }
                    }
                };
                views.iter().map(row_major).collect::<Vec<_>>()
            };
            let (outputs, chunks) = network.observe(&input, seen).unwrap();
            compare(&outputs[0], &plain(&g, &input).unwrap()[0], 1e-4).unwrap();
            for (t, expected) in plain_values(&g, &input, &taps).unwrap().iter().enumerate() {
                let whole: Vec<f32> = chunks.iter().flat_map(|chunk| chunk[t].clone()).collect();
                compare(&Tensor::from_f32(expected.shape(), whole), expected, 1e-4).unwrap();
            }
        }
    }
}

#[test]
fn values_may_be_used_twice_and_be_outputs_as_well() {
    let (mut g, x) = graph(&[2, 3, 3]);
    let a = conv(&mut g, "a", x, [2, 2]);
    let r = g.add_node("r", Relu, &[a]);
    let twice = g.add_node("twice", Mul, &[r, r]);
    let joined = g.add_node("joined", Concat { axis: 1 }, &[r, twice, a, x]);
    // The input itself, an intermediate inside a would-be group, and one value twice.
    g.outputs = vec![joined, a, x, r, r];
    assert_agrees(&g, &[2, 3, 3]);
    assert!(slow(&g, &[2, 3, 3]).is_empty());
}

#[test]
fn layouts_change_where_neighbours_disagree() {
    let (mut g, x) = graph(&[3, 4, 5]);
    let a = conv(&mut g, "a", x, [3, 6]);
    let flat = g.add_node("flat", Flatten { axis: 1 }, &[a]);
    let shape = g.add_constant("shape", Tensor::from_i64s(&[-1, 5, 4, 6]));
    let back = g.add_node("back", Reshape::default(), &[flat, shape]);
    let b = conv(&mut g, "b", back, [5, 3]);
    let turned = g.add_node("turned", op("Transpose", &[("perm", ints(&[0, 2, 3, 1]))]), &[b]);
    let soft = g.add_node("soft", Softmax { axis: -1 }, &[turned]);
    let again = g.add_node("again", op("Transpose", &[("perm", ints(&[0, 3, 1, 2]))]), &[soft]);
    let c = conv(&mut g, "c", again, [3, 2]);
    let sum = g.add_node("sum", Add, &[c, c]);
    g.outputs = vec![sum, a, soft];
    assert_agrees(&g, &[3, 4, 5]);
    assert!(slow(&g, &[3, 4, 5]).is_empty());
}

#[test]
fn a_network_that_mixes_images_sees_the_whole_batch() {
    let build = |mix: Build<'_>| {
        let (mut g, x) = graph(&[4]);
        let y = mix(&mut g, x);
        let y = g.add_node("tanh", Tanh, &[y]);
        g.outputs = vec![y];
        g
    };
    let reverse = |g: &mut Graph, x: ValueId| {
        let of = |g: &mut Graph, name: &str, v: i64| g.add_constant(name, Tensor::from_i64s(&[v]));
        let inputs = [of(g, "s", -1), of(g, "e", i64::MIN), of(g, "a", 0), of(g, "p", -1)];
        g.add_node("reversed", Slice, &[&[x][..], &inputs].concat())
    };
    let share = |g: &mut Graph, x: ValueId| {
        let n = g.add_node("shape", op("Shape", &[("end", Attribute::Int(1))]), &[x]);
        let n = g.add_node("n", Cast { to: DType::F32 }, &[n]);
        g.add_node("share", Div, &[x, n])
    };
    let mean = |g: &mut Graph, x: ValueId| {
        let axes = g.add_constant("axes", Tensor::from_i64s(&[0]));
        let mean = g.add_node("mean", op("ReduceMean", &[]), &[x, axes]);
        g.add_node("centred", Sub, &[x, mean])
    };
    let soft = |g: &mut Graph, x: ValueId| g.add_node("soft", Softmax { axis: -2 }, &[x]);
    let gram = |g: &mut Graph, x: ValueId| {
        let t = g.add_node("t", Transpose::default(), &[x]);
        g.add_node("gram", MatMul, &[x, t])
    };
    let mixes: [Build<'_>; 5] = [&reverse, &share, &mean, &soft, &gram];
    for mix in mixes {
        assert_agrees(&build(mix), &[4]);
    }
}

#[test]
fn a_file_that_fixes_its_batch_takes_multiples_of_it() {
    let mut g = Graph::default();
    let x = g.add_input("x", DType::F32, [2, 3, 4, 4].map(Dim::Known).to_vec());
    let a = conv(&mut g, "a", x, [3, 2]);
    // Mixes the two images of a batch.
    let y = g.add_node("soft", Softmax { axis: 0 }, &[a]);
    g.outputs = vec![y];
    let input = tensor(&[6, 3, 4, 4], 1);
    let found = Network::new(&g).unwrap().run(std::slice::from_ref(&input)).unwrap().remove(0);
    assert_eq!(found.shape(), [6, 2, 4, 4]);
    for i in 0..3 {
        let pair = |t: &Tensor| {
            let len = t.len() / 3;
            Tensor::from_f32([2, t.shape()[1], 4, 4], t.to_f32()[i * len..(i + 1) * len].to_vec())
        };
        compare(&pair(&found), &plain(&g, &[pair(&input)]).unwrap()[0], 1e-4).unwrap();
    }
    let odd = Network::new(&g).unwrap().run(&[tensor(&[3, 3, 4, 4], 1)]).unwrap_err();
    assert!(matches!(odd, EngineError::Batch { found: 3, expected: 2 }), "{odd}");
}

#[test]
fn several_inputs_and_free_extents_are_bound_by_what_is_given() {
    let mut g = Graph::default();
    let symbol = |s: &str| Dim::Symbol(s.into());
    let x = g.add_input("x", DType::F32, vec![symbol("N"), Dim::Known(2), symbol("H"), symbol("W")]);
    let scale = g.add_input("scale", DType::F32, vec![Dim::Known(2), Dim::Known(1), Dim::Known(1)]);
    let a = conv(&mut g, "a", x, [2, 2]);
    let pool = op("MaxPool", &[("kernel_shape", ints(&[3, 3])), ("strides", ints(&[2, 2]))]);
    let a = g.add_node("pool", pool, &[a]);
    let y = g.add_node("scaled", Mul, &[a, scale]);
    g.outputs = vec![y];
    for [n, h, w] in [[1, 5, 7], [5, 8, 4], [20, 3, 3]] {
        let inputs = [tensor(&[n, 2, h, w], 1), tensor(&[2, 1, 1], 2)];
        assert_agrees_on(&g, &inputs, &format!("{n} of {h}×{w}"));
    }
}

#[test]
fn integers_between_floats_run_in_chunks_too() {
    let (mut g, x) = graph(&[3]);
    let scale = g.add_constant("ten", Tensor::scalar(10.0));
    let v = g.add_node("scaled", Mul, &[x, scale]);
    let codes = g.add_node("codes", Cast { to: DType::I32 }, &[v]);
    let divisor = g.add_node("divisor", Mul, &[codes, codes]);
    let one = g.add_constant("one", Tensor::new(vec![], Data::I32(vec![1])).unwrap());
    let divisor = g.add_node("divisor.1", Add, &[divisor, one]);
    let ratio = g.add_node("ratio", Div, &[codes, divisor]);
    let y = g.add_node("y", Cast { to: DType::F32 }, &[ratio]);
    g.outputs = vec![y, codes];
    assert_agrees(&g, &[3]);
}

#[test]
fn what_does_not_fit_is_refused() {
    let (mut g, x) = graph(&[3]);
    let y = g.add_node("y", Relu, &[x]);
    g.outputs = vec![y];
    let lost = g.add_edge("lost");
    let refusal = |error: EngineError| error.to_string();
    let network = Network::new(&g).unwrap();
    assert!(refusal(network.run(&[]).unwrap_err()).contains("takes 1 input"));
    assert!(refusal(network.run(&[tensor(&[2, 4], 1)]).unwrap_err()).contains("[N, 3]"));
    assert!(refusal(network.run(&[tensor(&[0, 3], 1)]).unwrap_err()).contains("batch of 0"));
    let integers = Tensor::from_i64s(&[1, 2, 3]).reshape(vec![1, 3]).unwrap();
    assert!(refusal(network.run(&[integers]).unwrap_err()).contains("an input is"));
    assert!(refusal(Network::with_taps(&g, &[lost]).err().unwrap()).contains("`lost`"));
}

#[test]
fn absurd_sizes_are_errors_not_allocations() {
    let mut g = Graph::default();
    let x = g.add_input("x", DType::F32, vec![Dim::Symbol("N".into()), Dim::Known(1), Dim::Known(1)]);
    let shape = g.add_constant("shape", Tensor::from_i64s(&[1, 1 << 18, 1 << 18]));
    let y = g.add_node("grow", Expand, &[x, shape]);
    g.outputs = vec![y];
    let error = Network::new(&g).err().unwrap().to_string();
    assert!(error.contains("`grow`") && error.contains("bytes"), "{error}");
    // Each value fits alone, all of them do not.
    let mut g = Graph::default();
    let x = g.add_input("x", DType::F32, vec![Dim::Known(1), Dim::Known(1), Dim::Known(1)]);
    let shape = g.add_constant("shape", Tensor::from_i64s(&[1, 1 << 17, 1 << 16]));
    let grown: Vec<ValueId> = (0..3).map(|i| g.add_node(format!("grow{i}"), Expand, &[x, shape])).collect();
    g.outputs = grown;
    let error = Network::new(&g).err().unwrap().to_string();
    assert!(error.contains("working memory"), "{error}");
}

#[test]
fn empty_values_are_left_to_the_twins() {
    let (mut g, x) = graph(&[0, 3, 3]);
    let y = g.add_node("y", Relu, &[x]);
    let zeros = g.add_constant("w", tensor(&[2, 0, 3, 3], 1));
    let c = g.add_node("c", op("Conv", &[]), &[x, zeros]);
    g.outputs = vec![y, c];
    assert_agrees(&g, &[0, 3, 3]);
}

/// Each operator with every form it may take here, on an image-like and a sequence-like input.
#[test]
fn every_fast_form_agrees_in_either_layout() {
    let constant =
        |g: &mut Graph, shape: &[usize], seed: u64| g.add_constant(format!("c{seed}"), tensor(shape, seed));
    let list = |g: &mut Graph, name: &str, values: &[i64]| g.add_constant(name, Tensor::from_i64s(values));
    let cases: &[(&str, Build<'_>)] = &[
        ("BatchNormalization", &|g, x| {
            let c: Vec<ValueId> = (0..3).map(|i| constant(g, &[4], i)).collect();
            let v = g.add_constant("v", Tensor::from_f32([4], vec![0.5, 1.0, 2.0, 0.1]));
            g.add_node("y", op("BatchNormalization", &[]), &[x, c[0], c[1], c[2], v])
        }),
        ("Transpose", &|g, x| g.add_node("y", op("Transpose", &[("perm", ints(&[0, 3, 2, 1]))]), &[x])),
        ("Pad", &|g, x| {
            let (pads, value) = (list(g, "p", &[0, 0, 1, 2, 0, 1, 0, -1]), constant(g, &[], 1));
            g.add_node("y", Pad::default(), &[x, pads, value])
        }),
        ("Pad reflect", &|g, x| {
            let pads = list(g, "p", &[0, 0, 2, 1, 0, 0, 1, 2]);
            g.add_node("y", Pad { mode: PadMode::Reflect }, &[x, pads])
        }),
        ("Slice", &|g, x| {
            let c =
                [list(g, "s", &[3, 1]), list(g, "e", &[0, 9]), list(g, "a", &[1, 2]), list(g, "t", &[-2, 2])];
            g.add_node("y", Slice, &[x, c[0], c[1], c[2], c[3]])
        }),
        ("Expand", &|g, x| {
            let pool = g.add_node("pool", GlobalAveragePool, &[x]);
            let shape = list(g, "s", &[1, 4, 2, 3]);
            g.add_node("y", Expand, &[pool, shape])
        }),
        ("Gather", &|g, x| {
            let i = list(g, "i", &[2, -1, 0, 2]);
            let y = g.add_node("g", Gather { axis: 3 }, &[x, i]);
            g.add_node("y", Gather { axis: 1 }, &[y, i])
        }),
        ("Resize nearest", &|g, x| {
            let sizes = list(g, "z", &[9, 4]);
            let op = Resize {
                interpolation: Interpolation::Nearest(Nearest::PreferFloor),
                coordinates: Coordinates::HalfPixel,
                axes: vec![2, 3],
                aspect: Aspect::Stretch,
            };
            let y = g.add_edge("y");
            let inputs = vec![Some(x), None, None, Some(sizes)];
            g.nodes.push(lowbit_graph::Node { name: "y".into(), op: op.into(), inputs, outputs: vec![y] });
            y
        }),
        ("Resize linear", &|g, x| {
            let scales = g.add_constant("z", Tensor::from_f32([2], vec![1.7, 2.0]));
            let op = Resize {
                interpolation: Interpolation::Linear,
                coordinates: Coordinates::PytorchHalfPixel,
                axes: vec![2, 3],
                aspect: Aspect::Stretch,
            };
            let y = g.add_edge("y");
            let inputs = vec![Some(x), None, Some(scales)];
            g.nodes.push(lowbit_graph::Node { name: "y".into(), op: op.into(), inputs, outputs: vec![y] });
            y
        }),
        ("LayerNormalization", &|g, x| {
            let (scale, shift) = (constant(g, &[6], 1), constant(g, &[6], 2));
            g.add_node("y", op("LayerNormalization", &[]), &[x, scale, shift])
        }),
        ("ReduceMean", &|g, x| {
            let (columns, channels) = (list(g, "a", &[-1]), list(g, "b", &[1]));
            let y = g.add_node("m", op("ReduceMean", &[]), &[x, columns]);
            let y = g.add_node("d", Sub, &[x, y]);
            g.add_node("y", op("ReduceMean", &[("keepdims", Attribute::Int(0))]), &[y, channels])
        }),
        ("Softmax", &|g, x| {
            let y = g.add_node("channels", Softmax { axis: 1 }, &[x]);
            g.add_node("y", Softmax { axis: 3 }, &[y])
        }),
        ("LRN", &|g, x| g.add_node("y", op("LRN", &[("size", Attribute::Int(3))]), &[x])),
        ("PRelu", &|g, x| {
            let slope = constant(g, &[4, 1, 1], 1);
            g.add_node("y", PRelu, &[x, slope])
        }),
        ("Pow and Sqrt", &|g, x| {
            let (two, third) =
                (g.add_constant("2", Tensor::scalar(2.0)), g.add_constant("3", Tensor::scalar(0.3)));
            let square = g.add_node("square", Pow, &[x, two]);
            let root = g.add_node("root", Sqrt, &[square]);
            g.add_node("y", Pow, &[root, third])
        }),
        ("Gelu tanh", &|g, x| {
            g.add_node("y", op("Gelu", &[("approximate", Attribute::Text("tanh".into()))]), &[x])
        }),
        ("ConvTranspose", &|g, x| {
            let (w, b) = (constant(g, &[4, 3, 3, 2], 1), constant(g, &[6], 2));
            let window =
                [("strides", ints(&[2, 1])), ("pads", ints(&[1, 0, 0, 1])), ("dilations", ints(&[1, 2]))];
            let window =
                [&window[..], &[("group", Attribute::Int(2)), ("output_padding", ints(&[1, 0]))]].concat();
            let y = g.add_node("t", op("ConvTranspose", &window), &[x, w, b]);
            g.add_node("y", Relu, &[y])
        }),
        ("squeeze and excite", &|g, x| {
            let pool = g.add_node("pool", GlobalAveragePool, &[x]);
            let gate = g.add_node("gate", op("HardSigmoid", &[]), &[pool]);
            let y = g.add_node("scaled", Mul, &[gate, x]);
            g.add_node("y", Sub, &[y, pool])
        }),
        ("rows and columns", &|g, x| {
            let (row, column) = (constant(g, &[6], 1), constant(g, &[5, 1], 2));
            let y = g.add_node("row", Add, &[x, row]);
            let y = g.add_node("column", Mul, &[column, y]);
            let plane = constant(g, &[1, 5, 6], 3);
            g.add_node("y", Sub, &[y, plane])
        }),
        ("one minus", &|g, x| {
            let one = g.add_constant("one", Tensor::scalar(1.0));
            let y = g.add_node("minus", Sub, &[one, x]);
            let both = constant(g, &[3, 1, 4, 1, 1], 1);
            g.add_node("y", Div, &[y, both])
        }),
        ("MatMul with bias", &|g, x| {
            let (w, b) = (constant(g, &[6, 3], 1), constant(g, &[3], 2));
            let y = g.add_node("m", MatMul, &[x, w]);
            let y = g.add_node("b", Add, &[b, y]);
            g.add_node("y", Relu, &[y])
        }),
        ("stacked MatMul", &|g, x| {
            let (left, right) = (constant(g, &[4, 2, 5], 1), constant(g, &[1, 6, 2], 2));
            let y = g.add_node("l", MatMul, &[left, x]);
            g.add_node("y", MatMul, &[y, right])
        }),
        ("Gemm", &|g, x| {
            let x = g.add_node("flat", Flatten { axis: 1 }, &[x]);
            let (w, c) = (constant(g, &[120, 3], 1), constant(g, &[1, 3], 2));
            let y = g.add_node(
                "g",
                op("Gemm", &[("alpha", Attribute::Float(0.5)), ("beta", Attribute::Float(2.0))]),
                &[x, w, c],
            );
            g.add_node("y", Sigmoid, &[y])
        }),
        ("Concat with a row for each image", &|g, x| {
            let (rest, one) = (list(g, "rest", &[4, 5, 1]), constant(g, &[1, 4, 5, 1], 1));
            let n = g.add_node("n", op("Shape", &[("end", Attribute::Int(1))]), &[x]);
            let shape = g.add_node("shape", Concat { axis: 0 }, &[n, rest]);
            let column = g.add_node("column", Expand, &[one, shape]);
            g.add_node("y", Concat { axis: 3 }, &[x, column, x, x, column])
        }),
        ("Split", &|g, x| {
            let sizes = list(g, "s", &[1, 3]);
            let parts = [g.add_edge("p0"), g.add_edge("p1")];
            let split = Split { axis: 1, num_outputs: None };
            let inputs = vec![Some(x), Some(sizes)];
            g.nodes.push(lowbit_graph::Node {
                name: "split".into(),
                op: split.into(),
                inputs,
                outputs: parts.to_vec(),
            });
            g.add_node("y", Mul, &[parts[1], parts[0]])
        }),
    ];
    for (name, build) in cases {
        for after_conv in [false, true] {
            let (mut g, x) = graph(&[4, 5, 6]);
            let x = if after_conv { conv(&mut g, "pre", x, [4, 4]) } else { x };
            let y = build(&mut g, x);
            g.outputs = vec![y];
            eprintln!("{name}, after a convolution: {after_conv}");
            assert_agrees(&g, &[4, 5, 6]);
            assert!(slow(&g, &[4, 5, 6]).is_empty(), "{name}: {:?}", slow(&g, &[4, 5, 6]));
        }
    }
}

/// Of one window after an edge of 8 bits, which another layer reads whole.
#[test]
fn windows_are_fast_in_every_layout_and_leave_the_edge_alone() {
    for (channels, pairs) in [(4, true), (5, true), (4, false), (5, false)] {
        let window = Bits::named("5opt", Rounding::Round).unwrap();
        let read = |axis| BitWindow { read: Windowed { window, pairs }, axis, scale: 0.01 };
        let (mut g, x) = graph(&[3, 6, 5]);
        let a = conv(&mut g, "a", x, [3, channels]);
        let a = g.add_node("a.relu", Relu, &[a]);
        let q = g.add_node("q", FakeQuantize { code: Uniform::per_tensor(8, false, 0.01, 0) }, &[a]);
        let narrow = g.add_node("narrow", read(1), &[q]);
        let b = conv(&mut g, "b", narrow, [channels, channels]);
        let sum = g.add_node("sum", Add, &[b, q]);
        let flat = g.add_node("flat", Flatten { axis: 1 }, &[q]);
        let rows = g.add_node("rows", read(-1), &[flat]);
        let last = g.add_node("last", read(-1), &[q]);
        g.outputs = vec![sum, rows, last];
        assert_agrees(&g, &[3, 6, 5]);
        assert!(slow(&g, &[3, 6, 5]).is_empty());
    }
}

#[test]
fn levels_are_fast_in_every_layout() {
    let grid = |zero| Uniform::per_tensor(8, false, 0.01, zero);
    for code in [
        Levels::nearest(grid(0), vec![0, 46, 110, 255]).unwrap(),
        Levels::new(grid(128), vec![3, 100, 128, 131, 250], vec![4, 120, 129, 200]).unwrap(),
    ] {
        let (mut g, x) = graph(&[3, 6, 5]);
        let rows = g.add_node("rows", FakeLevels { code: code.clone().into() }, &[x]);
        let a = conv(&mut g, "a", rows, [3, 4]);
        let b = g.add_node("b", FakeLevels { code: code.into() }, &[a]);
        let b = conv(&mut g, "c", b, [4, 2]);
        g.outputs = vec![rows, b];
        assert_agrees(&g, &[3, 6, 5]);
        assert!(slow(&g, &[3, 6, 5]).is_empty());
    }
}

#[test]
fn threads_change_no_bit() {
    let (mut g, x) = graph(&[3, 9, 9]);
    let a = conv(&mut g, "a", x, [3, 7]);
    let a = g.add_node("a.act", op("Gelu", &[]), &[a]);
    let b = conv(&mut g, "b", a, [7, 7]);
    let sum = g.add_node("sum", Add, &[a, b]);
    let pool = g.add_node("pool", GlobalAveragePool, &[sum]);
    let flat = g.add_node("flat", Flatten { axis: 1 }, &[pool]);
    let w = g.add_constant("w", tensor(&[7, 5], 9));
    let y = g.add_node("y", MatMul, &[flat, w]);
    g.outputs = vec![y];
    let network = Network::new(&g).unwrap();
    let x = Tensor::from_f32([37, 3, 9, 9], noise(37 * 243, 5));
    let runs = [1, 2, 3].map(|n| threads(n, || network.run(std::slice::from_ref(&x)).unwrap()));
    assert!(runs[0] == runs[1] && runs[1] == runs[2]);
    let seen = [1, 2, 3]
        .map(|n| threads(n, || network.observe(std::slice::from_ref(&x), |_, rows| rows).unwrap().1));
    assert!(seen[0] == seen[1] && seen[1] == seen[2]);
}
