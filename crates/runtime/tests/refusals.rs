//! What a session refuses, what it leaves in float, and why.

use lowbit_graph::ops::{
    Add, Cast, DequantizeLinear, Gather, Gemm, QuantizeLinear, ReduceMean, Relu, Transpose,
};
use lowbit_graph::{Dim, Graph, ValueId};
use lowbit_runtime::{Options, Session};
use lowbit_tensor::{DType, Data, Tensor};

fn input(graph: &mut Graph, numbers: usize) -> ValueId {
    graph.add_input("x", DType::F32, vec![Dim::Symbol("N".into()), Dim::Known(numbers)])
}

fn rounded(graph: &mut Graph, x: ValueId, scale: Tensor) -> ValueId {
    let zeros = Tensor::zeros(DType::U8, scale.shape().to_vec()).unwrap();
    let [scale, zero] = [scale, zeros].map(|tensor| {
        let name = graph.fresh_name("constant");
        graph.add_constant(name, tensor)
    });
    let name = graph.fresh_name("codes");
    let codes = graph.add_node(name, QuantizeLinear::default(), &[x, scale, zero]);
    let name = graph.fresh_name("rounded");
    graph.add_node(name, DequantizeLinear::default(), &[codes, scale, zero])
}

/// `x → codes → Gemm of one output → codes`, all weights `weight`.
fn linear(numbers: usize, weight: i8, scale: Tensor) -> Graph {
    let mut graph = Graph::default();
    let x = input(&mut graph, numbers);
    let x = rounded(&mut graph, x, scale);
    let codes = Tensor::new(vec![1, numbers], Data::I8(vec![weight; numbers])).unwrap();
    let codes = graph.add_constant("w.codes", codes);
    let step = graph.add_constant("w.scale", Tensor::scalar(0.5));
    let w = graph.add_node("w", DequantizeLinear::default(), &[codes, step]);
    let y = graph.add_node("layer", Gemm { trans_b: true, ..Gemm::default() }, &[x, w]);
    let y = rounded(&mut graph, y, Tensor::scalar(64.0));
    graph.outputs = vec![y];
    graph
}

fn open(graph: Graph) -> Session {
    Session::new(graph, Options::default()).unwrap()
}

fn refusal(graph: Graph) -> String {
    Session::new(graph, Options::default()).err().unwrap().to_string()
}

#[test]
fn a_sum_that_could_leave_32_bits_is_not_taken() {
    // 255 · 127 · 66,312 is the first beyond 2^31.
    let fits = open(linear(66_311, 127, Tensor::scalar(1.0)));
    assert!(fits.left().is_empty(), "{:?}", fits.left());
    let most = vec![1e9; fits.input_len()];
    assert_eq!(fits.run(&most).unwrap(), [64.0 * 255.0]);
    let beyond = open(linear(66_312, 127, Tensor::scalar(1.0)));
    let [left] = beyond.left() else { panic!("{:?}", beyond.left()) };
    assert_eq!(left.node, "layer");
    assert_eq!(left.reason, "has sums up to 2147514120, where 32 bits hold 2147483647");
    assert_eq!(beyond.run(&vec![1e9; beyond.input_len()]).unwrap(), [64.0 * 255.0]);
}

#[test]
fn codes_per_channel_are_no_codes_for_a_sum() {
    // As the target `paper` has them: one step per channel cannot leave the sum.
    let session = open(linear(4, 3, Tensor::from_f32([4], vec![0.5, 1.0, 1.0, 0.25])));
    assert!(
        session.left().iter().any(|l| l.reason.contains("not codes of one scale")),
        "{:?}",
        session.left()
    );
    assert_eq!(session.run(&[1.0, 2.0, 3.0, 4.0]).unwrap(), [0.0]);
}

#[test]
fn what_is_fed_must_be_whole_samples() {
    let session = open(linear(8, 1, Tensor::scalar(1.0)));
    for numbers in [0, 7, 9] {
        let message = session.run(&vec![0.0; numbers]).unwrap_err().to_string();
        let expected = format!(
            "{numbers} numbers are not a whole number of samples of 8 each, of which there must be one"
        );
        assert_eq!(message, expected);
    }
    assert_eq!(session.run(&[0.0; 24]).unwrap().len(), 3);
}

#[test]
fn a_session_takes_one_float_input_with_a_free_batch() {
    let mut two = Graph::default();
    let x = input(&mut two, 3);
    two.add_input("second", DType::F32, vec![Dim::Known(1)]);
    two.outputs = vec![two.add_node("y", Relu, &[x])];
    assert!(refusal(two).starts_with("input `x`, `second`: 2 inputs"));

    let mut fixed = Graph::default();
    let x = fixed.add_input("x", DType::F32, vec![Dim::Known(4), Dim::Known(3)]);
    fixed.outputs = vec![fixed.add_node("y", Relu, &[x])];
    assert!(refusal(fixed).starts_with("input `x`: the file fixes 4 samples per batch"));

    let mut whole = Graph::default();
    let x = whole.add_input("x", DType::I32, vec![Dim::Known(1), Dim::Known(3)]);
    whole.outputs = vec![whole.add_node("y", Relu, &[x])];
    assert!(refusal(whole).starts_with("input `x`: element type int32"));
}

#[test]
fn numbers_that_are_none_become_codes() {
    let session = open(linear(3, 1, Tensor::scalar(1.0)));
    assert_eq!(session.run(&[f32::NAN, f32::INFINITY, f32::NEG_INFINITY]).unwrap(), [128.0]);
}

/// `x` of `[N, 3]` through nodes to an output.
fn of_rows(build: impl FnOnce(&mut Graph, ValueId) -> ValueId) -> Graph {
    let mut graph = Graph::default();
    let x = input(&mut graph, 3);
    graph.outputs = vec![build(&mut graph, x)];
    graph
}

fn mean(axes: &[i64], keepdims: bool) -> impl FnOnce(&mut Graph, ValueId) -> ValueId {
    let axes = Tensor::from_i64s(axes);
    move |graph, x| {
        let axes = graph.add_constant("axes", axes);
        graph.add_node("y", ReduceMean { keepdims, noop_with_empty_axes: false }, &[x, axes])
    }
}

#[test]
fn outputs_have_a_float_row_for_each_sample() {
    let expected = "; a session computes float32 whose first axis is the batch";
    let cases = [
        (of_rows(mean(&[0, 1], false)), "shape [] for one sample"),
        (of_rows(mean(&[0], true)), "shape [1, 3] for one sample, [1, 3] for two"),
        (of_rows(|g, x| g.add_node("y", Transpose::default(), &[x])), "shape [3, 1] for one sample"),
        (of_rows(|g, x| g.add_node("y", Cast { to: DType::I32 }, &[x])), "element type int32"),
        (
            of_rows(|g, _| {
                let c = g.add_constant("c", Tensor::from_f32([1, 3], vec![1.0; 3]));
                g.add_node("y", Relu, &[c])
            }),
            "does not depend on the input",
        ),
    ];
    for (graph, found) in cases {
        assert_eq!(refusal(graph), format!("output `y`: {found}{expected}"));
    }
    // The input itself is such an output.
    let graph = of_rows(|_, x| x);
    assert_eq!(open(graph).run(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]).unwrap(), [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
}

#[test]
fn a_float_edge_between_two_parts_has_rows_too() {
    // One number for all samples, computed from the input and added behind the codes: at once, or before them.
    let graph = |first: bool| {
        let mut graph = linear(3, 1, Tensor::scalar(1.0));
        let (x, y) = (graph.inputs[0], graph.outputs[0]);
        let axes = graph.add_constant("axes", Tensor::from_i64s(&[0, 1]));
        let mean = ReduceMean { keepdims: false, noop_with_empty_axes: false };
        let whole = graph.add_node("whole", mean, &[x, axes]);
        graph.outputs = vec![graph.add_node("sum", Add, &if first { [whole, y] } else { [y, whole] })];
        graph
    };
    let session = open(graph(false));
    assert_eq!(session.run(&[64.0, 64.0, 64.0, 0.0, 0.0, 0.0]).unwrap(), [128.0 + 32.0, 32.0]);
    let expected =
        "edge `whole`: shape [] for one sample; a session computes float32 whose first axis is the batch";
    assert_eq!(refusal(graph(true)), expected);
}

#[test]
fn integers_on_the_way_stay_within_their_float_part() {
    // A table that falls is no rounding: codes are looked up by the float engine.
    let build = |graph: &mut Graph, x: ValueId| {
        let (scale, zero) = (Tensor::scalar(1.0), Tensor::zeros(DType::U8, vec![]).unwrap());
        let table = Tensor::new(vec![256], Data::U8((0..=255).rev().collect())).unwrap();
        let [scale, zero, table] = [scale, zero, table].map(|tensor| {
            let name = graph.fresh_name("constant");
            graph.add_constant(name, tensor)
        });
        let codes = graph.add_node("codes", QuantizeLinear::default(), &[x, scale, zero]);
        let index = graph.add_node("index", Cast { to: DType::I32 }, &[codes]);
        let other = graph.add_node("other", Gather::default(), &[table, index]);
        graph.add_node("y", DequantizeLinear::default(), &[other, scale, zero])
    };
    let session = open(of_rows(build));
    assert!(session.left().iter().any(|left| left.node == "y"), "{:?}", session.left());
    assert_eq!(
        session.run(&[0.0, 3.2, 300.0, 255.0, 1.0, -9.0]).unwrap(),
        [255.0, 252.0, 0.0, 0.0, 254.0, 255.0]
    );
}
