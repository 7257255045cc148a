//! Random small networks: fast equals plain, and no number of threads changes a bit.

mod common;

use common::{compare, plain, tensor, threads};
use lowbit_engine::Network;
use lowbit_graph::ops::*;
use lowbit_graph::{Attribute, Attributes, Dim, Graph, Op, ValueId};
use lowbit_tensor::{DType, Tensor, Uniform};
use proptest::prelude::*;
use proptest::test_runner::RngSeed;

/// One more node; operands are picked among the values so far, by number modulo how many there are.
#[derive(Clone, Debug)]
enum Layer {
    Conv { x: usize, channels: usize, kernel: usize, stride: usize, depthwise: bool },
    Activation { x: usize, kind: usize },
    Add { x: usize, y: usize },
    Gate { x: usize },
    Pool { x: usize, max: bool, kernel: usize, stride: usize },
    Concat { x: usize, y: usize },
    Clip { x: usize },
    FakeQuantize { x: usize },
}

fn layer() -> impl Strategy<Value = Layer> {
    let value = 0..8usize;
    prop_oneof![
        3 => (value.clone(), 1..9usize, 1..4usize, 1..3usize, any::<bool>()).prop_map(
            |(x, channels, kernel, stride, depthwise)| Layer::Conv { x, channels, kernel, stride, depthwise }
        ),
        2 => (value.clone(), 0..6usize).prop_map(|(x, kind)| Layer::Activation { x, kind }),
        3 => (value.clone(), value.clone()).prop_map(|(x, y)| Layer::Add { x, y }),
        1 => value.clone().prop_map(|x| Layer::Gate { x }),
        1 => (value.clone(), any::<bool>(), 1..3usize, 1..3usize)
            .prop_map(|(x, max, kernel, stride)| Layer::Pool { x, max, kernel, stride }),
        1 => (value.clone(), value.clone()).prop_map(|(x, y)| Layer::Concat { x, y }),
        1 => value.clone().prop_map(|x| Layer::Clip { x }),
        1 => value.prop_map(|x| Layer::FakeQuantize { x }),
    ]
}

/// The graph under construction; all values are images `[N, channels, side, side]`.
struct Builder {
    graph: Graph,
    values: Vec<(ValueId, usize, usize)>,
}

impl Builder {
    fn new(channels: usize, side: usize) -> Builder {
        let mut graph = Graph::default();
        let dims = vec![Dim::Symbol("N".into()), Dim::Known(channels), Dim::Known(side), Dim::Known(side)];
        let x = graph.add_input("x", DType::F32, dims);
        Builder { graph, values: vec![(x, channels, side)] }
    }

    fn pick(&self, i: usize) -> (ValueId, usize, usize) {
        self.values[i % self.values.len()]
    }

    fn name(&self) -> String {
        format!("n{}", self.graph.values.len())
    }

    fn node(&mut self, op: impl Into<Op>, inputs: &[ValueId], channels: usize, side: usize) {
        let id = self.graph.add_node(self.name(), op, inputs);
        self.values.push((id, channels, side));
    }

    fn constant(&mut self, shape: &[usize]) -> ValueId {
        let seed = self.graph.values.len() as u64;
        self.graph.add_constant(self.name(), tensor(shape, seed))
    }

    fn add(&mut self, layer: &Layer) {
        match *layer {
            Layer::Conv { x, channels, kernel, stride, depthwise } => {
                let (x, in_c, side) = self.pick(x);
                let (out_c, group) = if depthwise { (in_c, in_c) } else { (channels, 1) };
                let pad = (kernel / 2) as i64;
                let w = self.constant(&[out_c, in_c / group, kernel, kernel]);
                let b = self.constant(&[out_c]);
                let conv = [
                    ("group", Attribute::Int(group as i64)),
                    ("pads", Attribute::Ints(vec![pad; 4])),
                    ("strides", Attribute::Ints(vec![stride as i64; 2])),
                ];
                let padded = side + 2 * pad as usize;
                if padded >= kernel {
                    self.node(op("Conv", &conv), &[x, w, b], out_c, (padded - kernel) / stride + 1);
                }
            }
            Layer::Activation { x, kind } => {
                let (x, c, side) = self.pick(x);
                let names = ["Relu", "Sigmoid", "HardSwish", "Tanh", "Gelu", "LeakyRelu"];
                self.node(op(names[kind], &[]), &[x], c, side);
            }
            Layer::Add { x, y } => {
                // The last value of the same shape, so that residual connections are common.
                let (x, c, side) = self.pick(x);
                let same: Vec<ValueId> =
                    self.values.iter().filter(|v| (v.1, v.2) == (c, side)).map(|v| v.0).collect();
                self.node(Add, &[x, same[same.len() - 1 - y % same.len()]], c, side);
            }
            Layer::Gate { x } => {
                let (x, c, side) = self.pick(x);
                let pool = self.graph.add_node(self.name(), GlobalAveragePool, &[x]);
                self.node(Mul, &[x, pool], c, side);
            }
            Layer::Pool { x, max, kernel, stride } => {
                let (x, c, side) = self.pick(x);
                let window = [
                    ("kernel_shape", Attribute::Ints(vec![kernel as i64; 2])),
                    ("strides", Attribute::Ints(vec![stride as i64; 2])),
                ];
                if side >= kernel {
                    let name = if max { "MaxPool" } else { "AveragePool" };
                    self.node(op(name, &window), &[x], c, (side - kernel) / stride + 1);
                }
            }
            Layer::Concat { x, y } => {
                let ((x, a, side), (y, b, other)) = (self.pick(x), self.pick(y));
                if side == other && a + b <= 24 {
                    self.node(Concat { axis: 1 }, &[x, y], a + b, side);
                }
            }
            Layer::Clip { x } => {
                let (x, c, side) = self.pick(x);
                let [lo, hi] = [0.0, 6.0].map(|v| self.graph.add_constant(self.name(), Tensor::scalar(v)));
                self.node(Clip, &[x, lo, hi], c, side);
            }
            Layer::FakeQuantize { x } => {
                let (x, c, side) = self.pick(x);
                // Steps so fine that a difference in the last bits of an input cannot show.
                let code = Uniform::per_tensor(8, true, 2e-5, 0);
                self.node(FakeQuantize { code }, &[x], c, side);
            }
        }
    }

    /// A linear layer at the end, and two values of the middle as outputs.
    fn finish(mut self, taps: [usize; 2]) -> Graph {
        let &(x, c, side) = self.values.last().unwrap();
        let flat = self.graph.add_node(self.name(), Flatten { axis: 1 }, &[x]);
        let (w, b) = (self.constant(&[c * side * side, 3]), self.constant(&[3]));
        let y = self.graph.add_node("logits", op("Gemm", &[]), &[flat, w, b]);
        self.graph.outputs = vec![y, self.pick(taps[0]).0, self.pick(taps[1]).0];
        lowbit_graph::passes::dead_nodes(&mut self.graph);
        self.graph
    }
}

fn op(name: &str, attributes: &[(&str, Attribute)]) -> Op {
    let map = attributes.iter().fold(Attributes::new(), |map, (name, value)| map.with(name, value.clone()));
    Op::read("", name, map).unwrap().unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 96,
        failure_persistence: None,
        rng_seed: RngSeed::Fixed(7),
        ..ProptestConfig::default()
    })]

    #[test]
    fn fast_equals_plain_for_any_number_of_threads(
        layers in prop::collection::vec(layer(), 1..12),
        channels in 1..6usize,
        side in 1..8usize,
        batch in 1..40usize,
        taps in [0..8usize, 0..8usize],
    ) {
        let mut builder = Builder::new(channels, side);
        layers.iter().for_each(|layer| builder.add(layer));
        let graph = builder.finish(taps);
        let network = Network::new(&graph).unwrap();
        let x = [tensor(&[batch, channels, side, side], batch as u64)];
        prop_assert!(network.plain_nodes(&x).unwrap().is_empty());
        let found = threads(1, || network.run(&x).unwrap());
        // Numbers may grow from layer to layer; what counts is the error beside the largest.
        for (found, expected) in found.iter().zip(plain(&graph, &x).unwrap()) {
            let largest = expected.to_f32().iter().fold(1.0f32, |m, x| m.max(x.abs()));
            let scaled = |t: &Tensor| Tensor::from_f32(t.shape(), t.to_f32().iter().map(|x| x / largest).collect());
            compare(&scaled(found), &scaled(&expected), 1e-4).map_err(TestCaseError::fail)?;
        }
        for n in [2, 3] {
            prop_assert!(threads(n, || network.run(&x).unwrap()) == found, "{n} threads");
        }
    }
}
