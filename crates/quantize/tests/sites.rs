//! Where quantizers sit in small networks, for the built-in targets: names, bits, followers, folded activations.

mod common;

use common::{Case, conv, graph, noise, outputs};
use lowbit_graph::ops::{
    Add, Clip, Concat, Flatten, Gemm, HardSwish, MatMul, MaxPool, Pad, PadMode, Relu, Reshape, Transpose,
};
use lowbit_graph::{Graph, Node, Op, ValueId};
use lowbit_quantize::simulate::simulate;
use lowbit_quantize::{Plan, Recipe, Sites, Target};
use lowbit_tensor::Tensor;

const RECIPE: &str =
    "[weights]\nbits = 4\nfirst_last_bits = 8\n[activations]\nbits = 4\nfirst_last_bits = 8\n";

/// Sites and bits of a graph for a target.
fn start(graph: &Graph, target: &str, recipe: &str) -> (Sites, Plan) {
    let case = Case::new("hand-made", graph.clone());
    let target = Target::named(target).unwrap();
    let sites = case.sites(&target);
    let plan = Recipe::parse("test", recipe).unwrap().start(&case.graph, &sites, &target).unwrap();
    (sites, plan)
}

/// One line per site: weights as `name:bits`, edges as `name:bits`, with `<value` where they fold the activation after that
/// value, and `=edge` where they follow one.
fn described(graph: &Graph, target: &str) -> (String, String) {
    let (sites, plan) = start(graph, target, RECIPE);
    let weights = sites.weights.iter().zip(&plan.weights);
    let weights = weights.map(|(site, setting)| format!("{}:{}", site.name, setting.bits[0]));
    let edges = sites.activations.iter().enumerate().map(|(i, site)| {
        let folded = site.before_activation.map(|v| format!("<{}", graph.value(v).name));
        let follows = site.follows.map(|f| format!("={}", sites.activations[f].name));
        let bits = plan.activations[sites.root(i)].bits[0];
        format!("{}:{bits}{}{}", site.name, folded.unwrap_or_default(), follows.unwrap_or_default())
    });
    (weights.collect::<Vec<_>>().join(" "), edges.collect::<Vec<_>>().join(" "))
}

fn reasons(graph: &Graph, target: &str) -> Vec<String> {
    let (sites, _) = start(graph, target, RECIPE);
    sites.kept_float.iter().map(|k| format!("{}: {}", k.op, k.reason)).collect()
}

/// stem → relu → [a → relu → b] + skip → relu → head
fn residual_block() -> Graph {
    let (mut g, x) = graph(&[4, 3, 3]);
    let stem = conv(&mut g, "stem", x, [4, 4, 1]);
    let stem = g.add_node("stem.relu", Relu, &[stem]);
    let a = conv(&mut g, "a", stem, [4, 4, 1]);
    let a = g.add_node("a.relu", Relu, &[a]);
    let b = conv(&mut g, "b", a, [4, 4, 1]);
    let sum = g.add_node("sum", Add, &[b, stem]);
    let sum = g.add_node("relu", Relu, &[sum]);
    let head = conv(&mut g, "head", sum, [4, 2, 1]);
    outputs(&mut g, &[head]);
    g
}

#[test]
fn a_residual_block_has_an_edge_before_its_sum_only_where_the_target_writes_one() {
    let (weights, edges) = described(&residual_block(), "onnxruntime");
    assert_eq!(weights, "stem:8 a:4 b:4 head:8");
    assert_eq!(edges, "x:8 stem.relu:4<stem a.relu:4<a b:8 relu:8<sum head:8");
    let (weights, edges) = described(&residual_block(), "paper");
    assert_eq!(weights, "stem:8 a:4 b:4 head:8");
    assert_eq!(edges, "x:8 stem.relu:4<stem a.relu:4<a relu:8<sum head:8");
}

#[test]
fn where_sums_are_float_only_products_read_rounded_edges() {
    let graph = residual_block();
    assert_eq!(described(&graph, "products").1, "x:8 stem.relu:4<stem a.relu:4<a relu:8<sum");
    let target = Target::named("products").unwrap();
    let case = Case::new("residual", graph);
    let recipe =
        Recipe::parse("test", "[weights]\nbits = 4\n[activations]\nbits = 4\n[[step]]\nmethod = \"minmax\"")
            .unwrap();
    let (sites, plan) = case.planned(&recipe, &target);
    let simulated = simulate(&case.graph, &sites, &plan);
    let reads = |name: &str, i: usize| {
        let node = simulated.nodes.iter().find(|n| n.name == name).unwrap();
        simulated.value(node.input(i).unwrap()).name.clone()
    };
    assert_eq!([reads("a", 0), reads("sum", 0), reads("sum", 1)], ["stem.relu.quantized", "b", "stem.relu"]);
}

#[test]
fn a_clip_from_zero_is_folded_and_its_ceiling_known() {
    let (mut g, x) = graph(&[4, 3, 3]);
    let [zero, six] = [0.0, 6.0].map(|v| g.add_constant(format!("c{v}"), Tensor::scalar(v)));
    let a = conv(&mut g, "a", x, [4, 4, 4]);
    let a = g.add_node("a.clip", Clip, &[a, zero, six]);
    let b = conv(&mut g, "b", a, [4, 2, 1]);
    outputs(&mut g, &[b]);
    for target in ["onnxruntime", "paper"] {
        let (weights, edges) = described(&g, target);
        assert_eq!((weights.as_str(), edges.as_str()), ("a:8 b:8", "x:8 a.clip:8<a b:8"));
        let (sites, _) = start(&g, target, RECIPE);
        assert_eq!(sites.activations[1].bounds, [0.0, 6.0]);
    }
}

#[test]
fn an_activation_is_not_folded_where_its_input_has_another_reader() {
    let (mut g, x) = graph(&[4, 3, 3]);
    let a = conv(&mut g, "a", x, [4, 4, 1]);
    let r = g.add_node("relu", Relu, &[a]);
    let sum = g.add_node("sum", Add, &[a, r]);
    let b = conv(&mut g, "b", sum, [4, 2, 1]);
    outputs(&mut g, &[b]);
    assert_eq!(described(&g, "onnxruntime").1, "x:8 a:8 relu:8 sum:8 b:8");
}

#[test]
fn what_rearranges_follows_and_tells_its_origin_who_reads_it() {
    let (mut g, x) = graph(&[4, 4, 4]);
    let a = conv(&mut g, "a", x, [4, 4, 1]);
    let a = g.add_node("relu", Relu, &[a]);
    let pool = MaxPool { kernel: vec![2, 2], window: Default::default(), ceil: false };
    let pooled = g.add_node("pool", pool, &[a]);
    let pads = g.add_constant("pads", Tensor::from_i64s(&[0, 0, 1, 0, 0, 0, 0, 0]));
    let padded = g.add_node("pad", Pad { mode: PadMode::Constant }, &[pooled, pads]);
    let turned = g.add_node("turn", Transpose { perm: Some(vec![0, 1, 3, 2]) }, &[padded]);
    let b = conv(&mut g, "b", turned, [4, 4, 1]);
    let b = conv(&mut g, "c", b, [4, 2, 1]);
    outputs(&mut g, &[b]);
    let (_, edges) = described(&g, "onnxruntime");
    // Only the transposed edge is read by a layer; the edge before three rearrangements has its bits.
    assert_eq!(edges, "x:8 relu:4<a pool:4=relu pad:4=pool turn:4=pad b:8 c:8");
}

#[test]
fn a_pad_with_another_value_than_zero_follows_nothing() {
    let (mut g, x) = graph(&[4, 4, 4]);
    let pads = g.add_constant("pads", Tensor::from_i64s(&[0, 0, 1, 1, 0, 0, 1, 1]));
    let one = g.add_constant("one", Tensor::scalar(1.0));
    let a = conv(&mut g, "a", x, [4, 4, 1]);
    let padded = g.add_node("pad", Pad { mode: PadMode::Constant }, &[a, pads, one]);
    let b = conv(&mut g, "b", padded, [4, 2, 1]);
    outputs(&mut g, &[b]);
    assert_eq!(described(&g, "onnxruntime").1, "x:8 a:8 pad:8 b:8");
    assert_eq!(reasons(&g, "onnxruntime"), ["Pad: target `onnxruntime` has no integer form of Pad"]);
}

#[test]
fn a_concat_is_an_operator_on_edges_for_one_target_and_float_for_the_other() {
    let (mut g, x) = graph(&[4, 3, 3]);
    let (a, b) = (conv(&mut g, "a", x, [4, 2, 1]), conv(&mut g, "b", x, [4, 2, 1]));
    let both = g.add_node("both", Concat { axis: 1 }, &[a, b]);
    let head = conv(&mut g, "head", both, [4, 2, 1]);
    outputs(&mut g, &[head]);
    assert_eq!(described(&g, "onnxruntime").1, "x:8 a:8 b:8 both:8 head:8");
    assert!(reasons(&g, "onnxruntime").is_empty());
    assert_eq!(reasons(&g, "paper"), ["Concat: target `paper` has no integer form of Concat"]);
}

#[test]
fn what_stays_float_reads_a_rounded_edge_and_is_reported() {
    let (mut g, x) = graph(&[4, 3, 3]);
    let a = conv(&mut g, "a", x, [4, 4, 1]);
    let h = g.add_node("swish", HardSwish, &[a]);
    let b = conv(&mut g, "b", h, [4, 2, 1]);
    outputs(&mut g, &[b]);
    for target in ["onnxruntime", "paper"] {
        assert_eq!(described(&g, target).1, "x:8 a:8 swish:8 b:8");
        assert_eq!(
            reasons(&g, target),
            [format!("HardSwish: target `{target}` has no integer form of HardSwish")]
        );
    }
}

#[test]
fn a_shared_weight_is_a_site_of_each_reader() {
    let (mut g, x) = graph(&[4, 3, 3]);
    let a = conv(&mut g, "a", x, [4, 4, 1]);
    let mut second = g.nodes[0].clone();
    let b = g.add_edge("b");
    (second.name, second.inputs[0], second.outputs) = ("b".into(), Some(a), vec![b]);
    g.nodes.push(second);
    let c = conv(&mut g, "c", b, [4, 2, 1]);
    outputs(&mut g, &[c]);
    assert_eq!(described(&g, "onnxruntime").0, "a:8 b:4 c:8");
}

#[test]
fn products_with_a_float_result_have_no_edge_at_the_end_of_the_network() {
    let (mut g, x) = graph(&[6]);
    let w = g.add_constant("w", noise(&[3, 6], 1));
    let y = g.add_node("fc", Gemm { trans_b: true, ..Gemm::default() }, &[x, w]);
    outputs(&mut g, &[y]);
    assert_eq!(described(&g, "onnxruntime").1, "x:8");
}

#[test]
fn a_vector_weight_has_one_scale_and_an_empty_one_is_no_site() {
    let (mut g, x) = graph(&[5, 6]);
    let w = g.add_constant("w", noise(&[6], 1));
    let y = g.add_node("product", MatMul, &[x, w]);
    outputs(&mut g, &[y]);
    let (sites, _) = start(&g, "onnxruntime", RECIPE);
    assert_eq!(sites.weights[0].channel_axis, None);
    let mut empty = g.clone();
    empty.values[w.0].constant = None;
    empty.set_constant(w, Tensor::from_f32([6, 0], vec![]).into());
    let (sites, _) = start(&empty, "onnxruntime", RECIPE);
    assert!(sites.weights.is_empty() && sites.kept_float[0].reason == "its weight has no element");
}

#[test]
fn exceptions_go_to_the_layers_they_name_and_to_what_those_read() {
    let (mut g, x) = graph(&[4, 4, 4]);
    let a = conv(&mut g, "block1.a", x, [4, 4, 1]);
    let pool = MaxPool { kernel: vec![2, 2], window: Default::default(), ceil: false };
    let a = g.add_node("pool", pool, &[a]);
    let a = conv(&mut g, "block1.b", a, [4, 4, 1]);
    let a = conv(&mut g, "block2.a", a, [4, 4, 1]);
    outputs(&mut g, &[a]);
    let recipe = format!(
        "{RECIPE}[[override]]\nlayer = \"block1.*\"\nweight_bits = 6\nactivation_bits = 5\n\
         [[override]]\nlayer = \"*.a\"\nweight_bits = 2\n"
    );
    let (sites, plan) = start(&g, "onnxruntime", &recipe);
    let weights: Vec<u8> = plan.weights.iter().map(|s| s.bits[0]).collect();
    // The last match counts, key by key; an exception goes before the rule for first and last layers.
    assert_eq!(weights, [2, 6, 2]);
    let edges: Vec<(String, u8)> = (0..sites.activations.len())
        .map(|i| (sites.activations[i].name.clone(), plan.activations[sites.root(i)].bits[0]))
        .collect();
    let edges: Vec<(&str, u8)> = edges.iter().map(|(n, b)| (n.as_str(), *b)).collect();
    // `block1.b` reads the pooled edge: the exception reaches the edge that the pool follows.
    assert_eq!(edges, [("x", 5), ("block1.a", 5), ("pool", 5), ("block1.b", 8), ("block2.a", 8)]);
    let case = Case::new("test", g.clone());
    let target = Target::named("onnxruntime").unwrap();
    let recipe = format!("{RECIPE}[[override]]\nlayer = \"block3.b\"\nweight_bits = 6\n");
    let recipe = Recipe::parse("test", &recipe).unwrap();
    let error = recipe.start(&case.graph, &case.sites(&target), &target).unwrap_err().to_string();
    assert!(error.contains("`block3.b`; nearest: `block1.b`"), "{error}");
}

#[test]
fn a_code_per_channel_of_an_edge_is_refused_where_the_target_has_none() {
    let case = Case::new("test", residual_block());
    let target = Target::named("onnxruntime").unwrap();
    let recipe = Recipe::parse("test", "[activations]\nbits = 8\nper = \"channel\"").unwrap();
    let error = recipe.start(&case.graph, &case.sites(&target), &target).unwrap_err().to_string();
    assert!(error.contains("one scale per tensor only"), "{error}");
}

#[test]
fn only_values_of_an_edge_follow_it() {
    let (mut g, x) = graph(&[4, 4, 4]);
    let shape = g.add_constant("shape", Tensor::from_i64s(&[0, -1]));
    let a = conv(&mut g, "a", x, [4, 4, 1]);
    let pool = MaxPool { kernel: vec![2, 2], window: Default::default(), ceil: false };
    let pooled = g.add_node("pool", pool, &[a]);
    let flat: Vec<ValueId> = vec![
        g.add_node("flat", Flatten { axis: 1 }, &[pooled]),
        g.add_node("reshaped", Reshape::default(), &[pooled, shape]),
    ];
    outputs(&mut g, &flat);
    // Outputs of the network follow nothing: their reader wants floats.
    assert_eq!(described(&g, "onnxruntime").1, "x:8 a:8 pool:8=a");
    let node: &Node = &g.nodes[1];
    assert!(matches!(node.op, Op::MaxPool(_)));
}
