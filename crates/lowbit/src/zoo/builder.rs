//! A network being put together, layer after layer, with seeded weights.

use lowbit_graph::ops::{
    Add, BatchNormalization, Clip, Conv, Dropout, Flatten, Gemm, GlobalAveragePool, MaxPool, Padding, Relu,
    Window,
};
use lowbit_graph::{Dim, Graph, ValueId};
use lowbit_tensor::{DType, Tensor};

/// A graph and the stream that its weights come from.
pub(super) struct Builder {
    pub(super) graph: Graph,
    state: u64,
    layers: usize,
}

/// What one convolution is.
#[derive(Clone, Copy)]
pub(super) struct Shape {
    pub(super) inputs: usize,
    pub(super) outputs: usize,
    pub(super) kernel: usize,
    pub(super) stride: usize,
    pub(super) groups: usize,
    /// Factor of the weights' usual deviation.
    pub(super) gain: f32,
}

impl Shape {
    pub(super) fn new(inputs: usize, outputs: usize, kernel: usize, stride: usize) -> Shape {
        Shape { inputs, outputs, kernel, stride, groups: 1, gain: 1.0 }
    }
}

impl Builder {
    /// With an input `x`: `[N, channels, side, side]`.
    pub(super) fn new(name: &str, [channels, side]: [usize; 2], seed: u64) -> (Builder, ValueId) {
        let mut graph = Graph { name: name.to_owned(), ..Graph::default() };
        let extents = [Dim::Symbol("N".into()), Dim::Known(channels), Dim::Known(side), Dim::Known(side)];
        let x = graph.add_input("x", DType::F32, extents.into());
        (Builder { graph, state: seed ^ 0x9e37_79b9_7f4a_7c15, layers: 0 }, x)
    }

    /// About normal: the sum of four uniform numbers, of deviation 1.
    fn noise(&mut self) -> f32 {
        let mut uniform = || {
            self.state =
                self.state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (self.state >> 40) as f32 / (1u64 << 24) as f32 - 0.5
        };
        (uniform() + uniform() + uniform() + uniform()) * 3f32.sqrt()
    }

    fn weights(&mut self, name: &str, shape: &[usize], deviation: f32) -> ValueId {
        let values = (0..shape.iter().product()).map(|_| self.noise() * deviation).collect();
        self.graph.add_constant(name, Tensor::from_f32(shape, values))
    }

    /// A convolution and its batch normalization, padded so that a stride of 1 keeps the size.
    pub(super) fn conv(&mut self, x: ValueId, shape: Shape) -> ValueId {
        let Shape { inputs, outputs, kernel, stride, groups, gain } = shape;
        self.layers += 1;
        let name = format!("conv{}", self.layers);
        let terms = (inputs / groups * kernel * kernel) as f32;
        let extents = [outputs, inputs / groups, kernel, kernel];
        let w = self.weights(&format!("{name}.weight"), &extents, gain * (2.0 / terms).sqrt());
        let window = Window {
            strides: vec![stride; 2],
            padding: Padding::Explicit(vec![kernel / 2; 4]),
            ..Window::default()
        };
        let y = self.graph.add_node(name.clone(), Conv { window, group: groups }, &[x, w]);
        self.normalize(&name, y, outputs)
    }

    /// A batch normalization that changes nothing before it is trained.
    fn normalize(&mut self, layer: &str, x: ValueId, channels: usize) -> ValueId {
        let start = [("scale", 1.0), ("shift", 0.0), ("mean", 0.0), ("variance", 1.0)];
        let constants = start.map(|(what, value)| {
            let values = Tensor::from_f32([channels], vec![value; channels]);
            self.graph.add_constant(format!("{layer}.norm.{what}"), values)
        });
        let [scale, shift, mean, variance] = constants;
        let op = BatchNormalization { epsilon: 1e-5 };
        self.graph.add_node(format!("{layer}.norm"), op, &[x, scale, shift, mean, variance])
    }

    /// A fully connected layer of a flat value, with normalization, ReLU and dropout.
    pub(super) fn dense(&mut self, x: ValueId, inputs: usize, outputs: usize) -> ValueId {
        self.layers += 1;
        let name = format!("dense{}", self.layers);
        let w = self.weights(&format!("{name}.weight"), &[outputs, inputs], (2.0 / inputs as f32).sqrt());
        let y = self.graph.add_node(name.clone(), Gemm { trans_b: true, ..Gemm::default() }, &[x, w]);
        let y = self.normalize(&name, y, outputs);
        let y = self.relu(y);
        self.dropout(y, 0.5)
    }

    /// Zeros a share of the values while the network is trained.
    pub(super) fn dropout(&mut self, x: ValueId, share: f32) -> ValueId {
        let name = self.graph.fresh_name("dropout");
        let ratio = self.graph.add_constant(format!("{name}.ratio"), Tensor::scalar(share));
        self.graph.add_node(name, Dropout, &[x, ratio])
    }

    /// One row per sample.
    pub(super) fn flat(&mut self, x: ValueId) -> ValueId {
        self.graph.add_node("flat", Flatten { axis: 1 }, &[x])
    }

    pub(super) fn relu(&mut self, x: ValueId) -> ValueId {
        let name = self.graph.fresh_name("relu");
        self.graph.add_node(name, Relu, &[x])
    }

    pub(super) fn relu6(&mut self, x: ValueId) -> ValueId {
        let bounds = [("zero", 0.0), ("six", 6.0)].map(|(name, value)| {
            let known = self.graph.find(name);
            known.unwrap_or_else(|| self.graph.add_constant(name, Tensor::scalar(value)))
        });
        let name = self.graph.fresh_name("relu6");
        self.graph.add_node(name, Clip, &[x, bounds[0], bounds[1]])
    }

    pub(super) fn add(&mut self, a: ValueId, b: ValueId) -> ValueId {
        let name = self.graph.fresh_name("add");
        self.graph.add_node(name, Add, &[a, b])
    }

    /// The maximum of a square, every second pixel.
    pub(super) fn max_pool(&mut self, x: ValueId, kernel: usize, pad: usize) -> ValueId {
        let window =
            Window { strides: vec![2; 2], padding: Padding::Explicit(vec![pad; 4]), ..Window::default() };
        let name = self.graph.fresh_name("pool");
        self.graph.add_node(name, MaxPool { kernel: vec![kernel; 2], window, ceil: false }, &[x])
    }

    /// The mean of each channel and a linear layer to the classes: the end.
    pub(super) fn classify(mut self, x: ValueId, inputs: usize, classes: usize) -> Graph {
        let mean = self.graph.add_node("mean", GlobalAveragePool, &[x]);
        let row = self.graph.add_node("row", Flatten { axis: 1 }, &[mean]);
        self.scores(row, inputs, classes)
    }

    /// A linear layer from a flat value to the classes: the end.
    pub(super) fn scores(mut self, row: ValueId, inputs: usize, classes: usize) -> Graph {
        let w = self.weights("classes.weight", &[classes, inputs], (1.0 / inputs as f32).sqrt());
        let b = self.weights("classes.bias", &[classes], 0.05);
        let scores = self.graph.add_node("scores", Gemm { trans_b: true, ..Gemm::default() }, &[row, w, b]);
        let value = &mut self.graph.values[scores.0];
        value.dtype = Some(DType::F32);
        value.shape = Some(vec![Dim::Symbol("N".into()), Dim::Known(classes)]);
        self.graph.outputs = vec![scores];
        self.graph
    }
}
