//! What little networks are cut into. Every one is also checked for the rules that any cut keeps.

use super::*;
use crate::ops::*;
use lowbit_tensor::{DType, Tensor};
use std::collections::HashMap;

/// A network being written down, layer by layer.
struct Net(Graph);

impl Net {
    fn new() -> (Net, ValueId) {
        let mut graph = Graph::default();
        let x = graph.add_input("x", DType::F32, vec![]);
        (Net(graph), x)
    }

    fn conv_of(&mut self, name: &str, x: ValueId, shape: [usize; 4], group: usize) -> ValueId {
        let w = Tensor::from_f32(shape, vec![1.0; shape.iter().product()]);
        let w = self.0.add_constant(format!("w.{name}"), w);
        self.0.add_node(name, Conv { window: Window::default(), group }, &[x, w])
    }

    /// 3×3, two channels to two.
    fn conv(&mut self, name: &str, x: ValueId) -> ValueId {
        self.conv_of(name, x, [2, 2, 3, 3], 1)
    }

    /// 1×1.
    fn point(&mut self, name: &str, x: ValueId, [inputs, outputs]: [usize; 2]) -> ValueId {
        self.conv_of(name, x, [outputs, inputs, 1, 1], 1)
    }

    fn depthwise(&mut self, name: &str, x: ValueId, channels: usize) -> ValueId {
        self.conv_of(name, x, [channels, 1, 3, 3], channels)
    }

    fn product(&mut self, name: &str, x: ValueId) -> ValueId {
        let w = self.0.add_constant(format!("w.{name}"), Tensor::from_f32([2, 2], vec![1.0; 4]));
        self.0.add_node(name, MatMul, &[x, w])
    }

    fn op(&mut self, name: &str, op: impl Into<Op>, inputs: &[ValueId]) -> ValueId {
        self.0.add_node(name, op, inputs)
    }

    fn pool(&mut self, name: &str, x: ValueId) -> ValueId {
        self.op(name, MaxPool { kernel: vec![2, 2], window: Window::default(), ceil: false }, &[x])
    }

    fn relu(&mut self, x: ValueId) -> ValueId {
        let name = format!("{}.relu", self.0.value(x).name);
        self.op(&name, Relu, &[x])
    }

    fn norm(&mut self, name: &str, x: ValueId) -> ValueId {
        let scale = self.0.add_constant(format!("{name}.scale"), Tensor::from_f32([2], vec![1.0; 2]));
        self.op(name, LayerNormalization { axis: -1, epsilon: 1e-5 }, &[x, scale])
    }

    /// `kind: nodes` of each block.
    fn cut(mut self, output: ValueId) -> Vec<String> {
        self.0.outputs = vec![output];
        let found = blocks(&self.0);
        check(&self.0, &found);
        check(&self.0, &layers(&self.0));
        described(&self.0, &found)
    }
}

fn described(graph: &Graph, blocks: &[Block]) -> Vec<String> {
    let names =
        |block: &Block| block.nodes.iter().map(|n| graph.nodes[n.0].name.as_str()).collect::<Vec<_>>();
    blocks.iter().map(|block| format!("{}: {}", block.kind.name(), names(block).join(" "))).collect()
}

/// Every node is in one block, no edge leads back to an earlier block, edges are declared, names are unique.
fn check(graph: &Graph, blocks: &[Block]) {
    let mut of: HashMap<NodeId, usize> = HashMap::new();
    for (b, block) in blocks.iter().enumerate() {
        assert!(block.nodes.is_sorted() && !block.nodes.is_empty());
        block.nodes.iter().for_each(|&n| assert_eq!(of.insert(n, b), None));
    }
    assert_eq!(of.len(), graph.nodes.len());
    let producers = graph.producers();
    for (n, node) in graph.nodes.iter().enumerate() {
        let reader = of[&NodeId(n)];
        for value in node.inputs.iter().flatten().filter(|v| graph.constant(**v).is_none()) {
            let writer = producers.get(value).map(|p| of[p]);
            assert!(writer.is_none_or(|w| w <= reader), "`{}` leads back", graph.value(*value).name);
            let crosses = writer != Some(reader);
            assert_eq!(blocks[reader].inputs.contains(value), crosses);
            if let Some(w) = writer.filter(|_| crosses) {
                assert!(blocks[w].outputs.contains(value));
            }
        }
    }
    for output in &graph.outputs {
        let writer = producers.get(output).map(|p| of[p]);
        assert!(writer.is_none_or(|w| blocks[w].outputs.contains(output)));
    }
    let names: BTreeSet<&str> = blocks.iter().map(|b| b.name.as_str()).collect();
    assert_eq!(names.len(), blocks.len());
}

#[test]
fn a_residual_network_is_its_stem_its_blocks_and_its_classifier() {
    let (mut net, x) = Net::new();
    let stem = net.conv("stem", x);
    let stem = net.relu(stem);
    let pool = net.pool("pool", stem);
    let a = net.conv("a1", pool);
    let a = net.relu(a);
    let a = net.conv("a2", a);
    let sum = net.op("a.add", Add, &[a, pool]);
    let a = net.relu(sum);
    let b = net.conv("b1", a);
    let short = net.conv("b.short", a);
    let sum = net.op("b.add", Add, &[b, short]);
    let b = net.relu(sum);
    let mean = net.op("mean", GlobalAveragePool, &[b]);
    let flat = net.op("flat", Flatten { axis: 1 }, &[mean]);
    let y = net.product("fc", flat);
    assert_eq!(
        net.cut(y),
        [
            "layer: stem stem.relu",
            "residual: pool a1 a1.relu a2 a.add a.add.relu",
            "residual: b1 b.short b.add b.add.relu",
            "layer: mean flat fc",
        ]
    );
}

/// With an addition, without one, without an expansion; plain separable convolutions are none.
#[test]
fn inverted_residuals_end_in_a_linear_layer_whether_added_or_not() {
    let (mut net, x) = Net::new();
    let first = net.depthwise("a.d", x, 2);
    let first = net.relu(first);
    let first = net.point("a.p", first, [2, 2]);
    let mut block = |name: &str, x: ValueId| {
        let e = net.point(&format!("{name}.e"), x, [2, 6]);
        let e = net.relu(e);
        let d = net.depthwise(&format!("{name}.d"), e, 6);
        let d = net.relu(d);
        net.point(&format!("{name}.p"), d, [6, 2])
    };
    let b = block("b", first);
    let c = block("c", b);
    let sum = net.op("c.add", Add, &[b, c]);
    let d = net.depthwise("s.d", sum, 2);
    let d = net.relu(d);
    let p = net.point("s.p", d, [2, 2]);
    let y = net.relu(p);
    assert_eq!(
        net.cut(y),
        [
            "inverted residual: a.d a.d.relu a.p",
            "inverted residual: b.e b.e.relu b.d b.d.relu b.p",
            "inverted residual: c.e c.e.relu c.d c.d.relu c.p c.add",
            "layer: s.d s.d.relu",
            "layer: s.p s.p.relu",
        ]
    );
}

#[test]
fn a_squeeze_excite_gate_stays_with_the_layer_it_scales() {
    let (mut net, x) = Net::new();
    let stem = net.conv("stem", x);
    let mut gated = |x: ValueId, name: &str| {
        let mean = net.op(&format!("{name}.mean"), GlobalAveragePool, &[x]);
        let down = net.point(&format!("{name}.down"), mean, [6, 2]);
        let down = net.relu(down);
        let up = net.point(&format!("{name}.up"), down, [2, 6]);
        let up = net.op(&format!("{name}.sigmoid"), Sigmoid, &[up]);
        net.op(&format!("{name}.mul"), Mul, &[x, up])
    };
    let stem = gated(stem, "g");
    let e = net.point("e", stem, [2, 6]);
    // x · sigmoid(x) is an activation, not a gate.
    let s = net.op("e.sigmoid", Sigmoid, &[e]);
    let e = net.op("e.mul", Mul, &[e, s]);
    let d = net.depthwise("d", e, 6);
    let d = net.relu(d);
    let mut gated = |x: ValueId, name: &str| {
        let mean = net.op(&format!("{name}.mean"), GlobalAveragePool, &[x]);
        let only = net.point(&format!("{name}.only"), mean, [6, 6]);
        net.op(&format!("{name}.mul"), Mul, &[x, only])
    };
    let d = gated(d, "h");
    let y = net.point("p", d, [6, 2]);
    assert_eq!(
        net.cut(y),
        [
            "layer: stem g.mean g.down g.down.relu g.up g.sigmoid g.mul",
            "inverted residual: e e.sigmoid e.mul d d.relu h.mean h.only h.mul p",
        ]
    );
}

/// One transformer layer; `first` tells whether it normalizes before or after its halves.
fn transformer(first: bool) -> Vec<String> {
    let (mut net, x) = Net::new();
    let x = net.product("embed", x);
    let norm = |net: &mut Net, name: &str, x, here: bool| if here { net.norm(name, x) } else { x };
    let n = norm(&mut net, "norm1", x, first);
    let [q, k, v] = ["q", "k", "v"].map(|name| net.product(name, n));
    let k = net.op("k.t", Transpose { perm: Some(vec![1, 0]) }, &[k]);
    let scores = net.op("scores", MatMul, &[q, k]);
    let scores = net.op("softmax", Softmax { axis: -1 }, &[scores]);
    let mixed = net.op("mixed", MatMul, &[scores, v]);
    let o = net.product("o", mixed);
    let x = net.op("add1", Add, &[x, o]);
    let x = norm(&mut net, "norm1", x, !first);
    let n = norm(&mut net, "norm2", x, first);
    let up = net.product("up", n);
    let up = net.op("gelu", Gelu { tanh: false }, &[up]);
    let down = net.product("down", up);
    let x = net.op("add2", Add, &[x, down]);
    let x = norm(&mut net, "norm2", x, !first);
    let n = norm(&mut net, "last", x, first);
    let y = net.product("head", n);
    net.cut(y)
}

#[test]
fn a_transformer_is_cut_into_attention_and_feed_forward_wherever_it_normalizes() {
    assert_eq!(
        transformer(true),
        [
            "layer: embed",
            "attention: norm1 q k v k.t scores softmax mixed o add1",
            "feed-forward: norm2 up gelu down add2",
            "layer: last head",
        ]
    );
    assert_eq!(
        transformer(false),
        [
            "layer: embed",
            "attention: q k v k.t scores softmax mixed o add1 norm1",
            "feed-forward: up gelu down add2 norm2",
            "layer: head",
        ]
    );
}

#[test]
fn additions_over_ways_from_one_fork_are_one_block() {
    let (mut net, x) = Net::new();
    let x = net.conv("stem", x);
    let [a, b, c] = ["a", "b", "c"].map(|name| net.conv(name, x));
    let sum = net.op("a+b", Add, &[a, b]);
    let y = net.op("a+b+c", Add, &[sum, c]);
    assert_eq!(net.cut(y), ["layer: stem", "residual: a b c a+b a+b+c"]);
}

/// Three levels joined by additions: the innermost is a block; a long skip is none.
#[test]
fn long_skips_do_not_swallow_the_network() {
    let (mut net, x) = Net::new();
    let (mut x, mut skips) = (net.conv("stem", x), Vec::new());
    for level in 0..3 {
        skips.push(x);
        x = net.conv(&format!("down{level}"), x);
        x = net.relu(x);
    }
    for (level, skip) in skips.into_iter().enumerate().rev() {
        x = net.conv(&format!("up{level}"), x);
        x = net.op(&format!("add{level}"), Add, &[x, skip]);
    }
    assert_eq!(
        net.cut(x),
        [
            "layer: stem",
            "layer: down0 down0.relu",
            "layer: down1 down1.relu",
            "residual: down2 down2.relu up2 add2",
            "layer: up1",
            "layer: add1 up0 add0",
        ]
    );
    let (mut net, input) = Net::new();
    let mut x = net.conv("stem", input);
    let skip = x;
    for i in 0..=LARGEST {
        x = net.conv(&format!("c{i}"), x);
    }
    let y = net.op("add", Add, &[skip, x]);
    assert_eq!(net.cut(y).len(), 2 + LARGEST);
}

#[test]
fn concatenations_join_nothing() {
    let (mut net, x) = Net::new();
    let a = net.conv("a", x);
    let a = net.relu(a);
    let joined = net.op("cat1", Concat { axis: 1 }, &[x, a]);
    let b = net.conv("b", joined);
    let b = net.relu(b);
    let pool = net.pool("pool", joined);
    let side = net.conv("side", pool);
    let joined = net.op("cat2", Concat { axis: 1 }, &[joined, b, side, pool]);
    let y = net.conv("c", joined);
    assert_eq!(net.cut(y), ["layer: a a.relu", "layer: cat1 b b.relu", "layer: pool side", "layer: cat2 c"]);
}

#[test]
fn two_inputs_are_no_fork_and_what_ends_the_network_stays_with_its_last_layer() {
    let (mut net, x) = Net::new();
    let z = net.0.add_input("z", DType::F32, vec![]);
    let (a, b) = (net.conv("a", x), net.conv("b", z));
    let sum = net.op("sum", Add, &[a, b]);
    let y = net.op("softmax", Softmax { axis: 1 }, &[sum]);
    assert_eq!(net.cut(y), ["layer: a", "layer: b sum softmax"]);
}

#[test]
fn a_network_without_weights_is_one_block() {
    let (mut net, x) = Net::new();
    let a = net.relu(x);
    let y = net.op("add", Add, &[a, x]);
    assert_eq!(net.cut(y), ["layer: x.relu add"]);
    assert_eq!(blocks(&Graph::default()), []);
}

#[test]
fn any_network_is_cut_so_that_every_path_leads_forward() {
    for seed in 0..300u64 {
        let graph = tangle(seed);
        let found = blocks(&graph);
        check(&graph, &found);
        check(&graph, &layers(&graph));
    }
}

/// Forty nodes that read each other at random, mostly what is near.
fn tangle(seed: u64) -> Graph {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut below = |n: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % n
    };
    let (mut net, x) = Net::new();
    let mut values = vec![x, net.0.add_input("z", DType::F32, vec![])];
    for i in 0..40 {
        let near = values.len() - 1 - below(values.len().min(4));
        let far = below(values.len());
        let (a, b, name) = (values[near], values[far], format!("n{i}"));
        values.push(match below(9) {
            0 => net.conv(&name, a),
            1 => net.point(&name, a, [2, 6]),
            2 => net.depthwise(&name, a, 6),
            3 => net.op(&name, Relu, &[a]),
            4 => net.op(&name, Concat { axis: 1 }, &[a, b]),
            5 => net.op(&name, Mul, &[a, b]),
            6 => net.op(&name, Shape::default(), &[a]),
            _ => net.op(&name, Add, &[a, b]),
        });
    }
    net.0.outputs = vec![values[41], values[30]];
    net.0
}

fn node(graph: &Graph, name: &str) -> NodeId {
    NodeId(graph.nodes.iter().position(|n| n.name == name).unwrap())
}

/// A stem and two residual blocks of two layers each.
fn two_blocks() -> Graph {
    let (mut net, x) = Net::new();
    let mut x = net.conv("stem", x);
    for name in ["a", "b"] {
        let y = net.conv(&format!("{name}.1"), x);
        let y = net.relu(y);
        let y = net.conv(&format!("{name}.2"), y);
        x = net.op(&format!("{name}.add"), Add, &[x, y]);
    }
    net.0.outputs = vec![x];
    net.0
}

fn regrouped(graph: &Graph, chosen: &[&[&str]]) -> Result<Vec<String>, (usize, BlockError)> {
    let nodes = |names: &&[&str]| names.iter().map(|name| node(graph, name)).collect();
    let chosen: Vec<Vec<NodeId>> = chosen.iter().map(nodes).collect();
    let found = regroup(graph, &blocks(graph), &chosen)?;
    check(graph, &found);
    Ok(described(graph, &found))
}

#[test]
fn chosen_layers_take_along_what_belongs_to_them() {
    let graph = two_blocks();
    let both = regrouped(&graph, &[&["a.1", "a.2", "b.1", "b.2"]]).unwrap();
    assert_eq!(both, ["layer: stem", "chosen: a.1 a.1.relu a.2 a.add b.1 b.1.relu b.2 b.add"]);
    let across = regrouped(&graph, &[&["stem", "a.1"]]).unwrap();
    assert_eq!(across, ["chosen: stem a.1 a.1.relu", "layer: a.2", "residual: a.add b.1 b.1.relu b.2 b.add"]);
    assert_eq!(regrouped(&graph, &[]).unwrap(), described(&graph, &blocks(&graph)));
}

#[test]
fn choices_that_make_no_blocks_are_refused_by_name() {
    let graph = two_blocks();
    let refusal = |chosen: &[&[&str]]| {
        let (i, error) = regrouped(&graph, chosen).unwrap_err();
        format!("{i}: {error}")
    };
    assert_eq!(
        refusal(&[&["stem"], &["a.1", "b.1"]]),
        "1: `a.2` lies between its layers `a.1` and `b.1` and must be in the same block"
    );
    assert_eq!(refusal(&[&["a.1"], &["a.1", "a.2"]]), "1: `a.1` is already in another block");
}

#[test]
fn chosen_blocks_that_need_each_other_are_refused() {
    let (mut net, x) = Net::new();
    let [a, b] = ["a", "b"].map(|name| net.conv(name, x));
    let [c, d] = [("c", a), ("d", b)].map(|(name, x)| net.conv(name, x));
    net.0.outputs = vec![c, d];
    let error = regrouped(&net.0, &[&["a", "d"], &["b", "c"]]).unwrap_err().1;
    assert_eq!(error, BlockError::Entangled("a".into(), "b".into()));
}
