//! A lowered network as a float graph that computes the same numbers, bit for bit.
//!
//! Every edge becomes a tensor of whole numbers, code minus zero point. Sums of these are exact in float32 up to
//! 2^24, and what follows a sum is the same multiplications, additions and roundings as in the kernels. So the
//! float engine, which knows nothing of integers, must give the session's answers: a check that shares neither
//! packing nor layout nor instructions with what it checks.

use crate::lower::Lowered;
use crate::ops::{Layer, Lookup, Map, Op};
use crate::program::{BufferId, Content, Step};
use crate::{Grid, lower::Left};
use lowbit_graph::ops::{
    Add, BitWindow, Clip, Concat, Conv, Div, FakeLevels, FakeQuantize, Flatten, Gather, MatMul, MaxPool, Mul,
    Pad, Padding, Window,
};
use lowbit_graph::passes::between;
use lowbit_graph::{Dim, Graph, Op as GraphOp, ValueId};
use lowbit_kernels::Pool2d;
use lowbit_kernels::integer::Steps;
use lowbit_tensor::{DType, Levels, Tensor, Uniform};
use std::collections::HashMap;

impl Lowered {
    /// The same arithmetic in float operators.
    ///
    /// # Errors
    /// The first step that has no such form here: tables other than of levels, averages that count fewer cells at the edge, float
    /// parts other than additions and pools.
    pub fn in_float(&self) -> Result<Graph, Left> {
        let mut exact = Exact { lowered: self, graph: Graph::default(), values: HashMap::new() };
        let shape = self.types[self.values[&self.input].0].as_ref().map_or(&[][..], |ty| &ty.shape);
        let dims =
            std::iter::once(Dim::Symbol("N".into())).chain(shape.iter().skip(1).map(|&d| Dim::Known(d)));
        let name = self.buffers[self.input.0].name.clone();
        let input = exact.graph.add_input(name, DType::F32, dims.collect());
        exact.values.insert(self.input, input);
        for step in &self.steps {
            let made = match &step.op {
                Op::Float(_) => exact.float(step),
                _ => exact.step(step).map(|y| vec![y]),
            };
            let made = made.ok_or_else(|| Left {
                node: step.name.clone(),
                op: step.op.what(),
                reason: "has no exact form in float operators".into(),
            })?;
            exact.values.extend(step.writes.iter().copied().zip(made));
        }
        exact.graph.outputs = self.outputs.iter().map(|(_, buffer, _)| exact.values[buffer]).collect();
        Ok(exact.graph)
    }
}

struct Exact<'a> {
    lowered: &'a Lowered,
    graph: Graph,
    values: HashMap<BufferId, ValueId>,
}

impl Exact<'_> {
    fn node(&mut self, name: &str, op: impl Into<lowbit_graph::Op>, inputs: &[ValueId]) -> ValueId {
        let name = self.graph.fresh_name(name);
        self.graph.add_node(name, op, inputs)
    }

    fn constant(&mut self, tensor: Tensor) -> ValueId {
        let name = self.graph.fresh_name("constant");
        self.graph.add_constant(name, tensor)
    }

    fn times(&mut self, x: ValueId, factor: f32) -> ValueId {
        let factor = self.constant(Tensor::scalar(factor));
        self.node("times", Mul, &[x, factor])
    }

    fn over(&mut self, x: ValueId, divisor: f32) -> ValueId {
        let divisor = self.constant(Tensor::scalar(divisor));
        self.node("over", Div, &[x, divisor])
    }

    fn held(&mut self, x: ValueId, [lo, hi]: [f32; 2]) -> ValueId {
        let bounds = [lo, hi].map(|bound| self.constant(Tensor::scalar(bound)));
        self.node("held", Clip, &[x, bounds[0], bounds[1]])
    }

    /// Steps of an edge, as a real number, to whole ones within its codes.
    fn rounded(&mut self, x: ValueId, grid: Grid) -> ValueId {
        let code = Uniform::per_tensor(8, false, 1.0, i32::from(grid.zero));
        let rounded = self.node("rounded", FakeQuantize { code }, &[x]);
        let bound = |code: u8| f32::from(code) - f32::from(grid.zero);
        self.held(rounded, [bound(grid.lo), bound(grid.hi)])
    }

    /// Whole steps of an edge to those of its levels.
    fn levelled(&mut self, x: ValueId, grid: Grid, levels: &Steps) -> ValueId {
        let codes = |codes: &mut dyn Iterator<Item = u8>| codes.map(i32::from).collect();
        let code = Levels {
            grid: Uniform::per_tensor(8, false, 1.0, i32::from(grid.zero)),
            levels: codes(&mut levels.levels()),
            bounds: codes(&mut levels.bounds()),
        };
        self.node("levels", FakeLevels { code: code.into() }, &[x])
    }

    /// The nodes of a float part, as they are: additions and pools, which the engine computes alike wherever they stand.
    fn float(&mut self, step: &Step) -> Option<Vec<ValueId>> {
        let lowered = self.lowered;
        let value = |b: &BufferId| lowered.values[b];
        let inputs: Vec<ValueId> = step.reads.iter().map(value).collect();
        let outputs: Vec<ValueId> = step.writes.iter().map(value).collect();
        let mut known = HashMap::new();
        for (id, b) in inputs.iter().zip(&step.reads) {
            known.insert(*id, *self.values.get(b)?);
        }
        for n in between(&lowered.graph, &inputs, &outputs) {
            let node = &lowered.graph.nodes[n.0];
            let (GraphOp::Add(_)
            | GraphOp::Relu(_)
            | GraphOp::Clip(_)
            | GraphOp::GlobalAveragePool(_)
            | GraphOp::AveragePool(_)
            | GraphOp::Flatten(_)
            | GraphOp::Reshape(_)) = node.op
            else {
                return None;
            };
            let mut reads = Vec::new();
            for &id in node.inputs.iter().flatten() {
                let read = match known.get(&id) {
                    Some(&read) => read,
                    None => self.constant((**lowered.graph.constant(id)?).clone()),
                };
                reads.push(read);
            }
            if reads.len() < node.inputs.len() {
                return None;
            }
            known.insert(*node.outputs.first()?, self.node(&node.name, node.op.clone(), &reads));
        }
        outputs.iter().map(|id| known.get(id).copied()).collect()
    }

    fn grid(&self, buffer: BufferId) -> Option<Grid> {
        match self.lowered.buffers[buffer.0].content {
            Content::Codes { grid, .. } => Some(grid),
            Content::Float { .. } => None,
        }
    }

    fn step(&mut self, step: &Step) -> Option<ValueId> {
        let reads: Vec<ValueId> =
            step.reads.iter().map(|r| self.values.get(r).copied()).collect::<Option<_>>()?;
        let from = |i: usize| self.grid(step.reads[i]);
        let to = self.grid(step.writes[0]);
        Some(match &step.op {
            Op::Quantize(_) => {
                let steps = self.over(reads[0], to?.scale);
                self.rounded(steps, to?)
            }
            Op::Dequantize(_) => {
                let scale = from(0)?.scale;
                self.times(reads[0], scale)
            }
            Op::Layer(layer) => self.layer(layer, &reads, to)?,
            Op::Add(add) => {
                let to = to?;
                let [a, b] = [0, 1].map(|i| self.times(reads[i], add.inputs[i].scale / to.scale));
                let sum = self.node("add", Add, &[a, b]);
                self.rounded(sum, to.within(add.bounds))
            }
            Op::Average(average) => {
                let (pool, to) = (&average.pool, to?);
                let padded = pool.pads != [0; 4] || pool.ceil;
                if padded {
                    return None;
                }
                let sum = self.window_sum(reads[0], pool);
                let cells = (pool.kernel[0] * pool.kernel[1]) as f32;
                let mean = self.times(sum, average.input.scale / to.scale / cells);
                self.rounded(mean, to)
            }
            Op::Concat(concat) => {
                let to = to?;
                let parts: Vec<ValueId> = reads
                    .iter()
                    .zip(&concat.inputs)
                    .map(|(&x, &from)| if from == to { x } else { self.moved(x, from, to) })
                    .collect();
                self.node("concat", Concat { axis: 1 }, &parts)
            }
            Op::Sum(sum) => {
                let y = self.node("sum", Add, &reads);
                self.held(y, sum.bounds)
            }
            Op::Flatten(_) => self.node("flatten", Flatten { axis: 1 }, &reads),
            Op::Max(max) => {
                let op = MaxPool {
                    kernel: max.pool.kernel.to_vec(),
                    window: window(&max.pool),
                    ceil: max.pool.ceil,
                };
                self.node("max", op, &reads)
            }
            Op::Take(take) => {
                let [channels, rows, columns] = &take.maps;
                let mut y = reads[0];
                for (axis, map) in [(1, channels), (2, rows), (3, columns)] {
                    y = self.picked(y, axis, map);
                }
                y
            }
            Op::Window(window) => {
                self.node("window", BitWindow { read: window.read, axis: 1, scale: 1.0 }, &reads)
            }
            Op::Lookup(Lookup { levels: Some(levels), .. }) => self.levelled(reads[0], to?, levels),
            Op::Mul(_) | Op::Lookup(_) | Op::Float(_) => return None,
        })
    }

    /// Steps of one grid as those of another, the way a table does it.
    fn moved(&mut self, x: ValueId, from: Grid, to: Grid) -> ValueId {
        let real = self.times(x, from.scale);
        let steps = self.over(real, to.scale);
        self.rounded(steps, to)
    }

    fn layer(&mut self, layer: &Layer, reads: &[ValueId], to: Option<Grid>) -> Option<ValueId> {
        let c = &layer.conv;
        let weights: Vec<f32> = layer.weights.iter().map(|&w| f32::from(w)).collect();
        let exact = layer.bias.iter().all(|b| b.unsigned_abs() < 1 << 24);
        let bias = Tensor::from_f32([c.out_c], layer.bias.iter().map(|&b| b as f32).collect());
        let unit = to.map_or(1.0, |to| layer.inner.map_or(to.scale, |inner| inner.scale));
        let scale = layer.scale.iter().map(|s| s / unit).collect();
        let (sums, scale) = if layer.linear {
            let columns = (0..c.in_c).flat_map(|i| (0..c.out_c).map(move |o| (o, i)));
            let w = columns.map(|(o, i)| weights[o * c.in_c + i]).collect();
            let (w, bias) = (self.constant(Tensor::from_f32([c.in_c, c.out_c], w)), self.constant(bias));
            let product = self.node("product", MatMul, &[reads[0], w]);
            (self.node("sums", Add, &[product, bias]), Tensor::from_f32([c.out_c], scale))
        } else {
            let w = Tensor::from_f32([c.out_c, c.in_c / c.groups, c.kernel[0], c.kernel[1]], weights);
            let (w, bias) = (self.constant(w), self.constant(bias));
            let op = Conv {
                window: Window {
                    strides: c.stride.to_vec(),
                    dilations: c.dilation.to_vec(),
                    padding: Padding::Explicit(c.pads.to_vec()),
                },
                group: c.groups,
            };
            (self.node("sums", op, &[reads[0], w, bias]), Tensor::from_f32([c.out_c, 1, 1], scale))
        };
        let scale = self.constant(scale);
        let mut v = self.node("scaled", Mul, &[sums, scale]);
        let Some(to) = to else { return exact.then(|| self.held(v, layer.bounds)) };
        if let Some(inner) = layer.inner {
            v = self.rounded(v, inner);
            v = self.times(v, inner.scale / to.scale);
        }
        if let Some(residual) = layer.residual {
            let added = self.times(reads[1], residual.scale / to.scale);
            v = self.node("residual", Add, &[v, added]);
        }
        let codes = exact.then(|| self.rounded(v, to.within(layer.bounds)))?;
        Some(match &layer.levels {
            Some(levels) => self.levelled(codes, to, levels),
            None => codes,
        })
    }

    /// The sum under each window: a depthwise convolution with ones.
    fn window_sum(&mut self, x: ValueId, pool: &Pool2d) -> ValueId {
        let taps = pool.channels * pool.kernel[0] * pool.kernel[1];
        let ones = Tensor::from_f32([pool.channels, 1, pool.kernel[0], pool.kernel[1]], vec![1.0; taps]);
        let ones = self.constant(ones);
        self.node("window sum", Conv { window: window(pool), group: pool.channels }, &[x, ones])
    }

    /// What an axis of an image shows, zero where its map has no index.
    fn picked(&mut self, x: ValueId, axis: usize, map: &Map) -> ValueId {
        // A cell of zeros in front, for the indices that show nothing.
        let mut pads = [0i64; 8];
        pads[axis] = 1;
        let pads = self.constant(Tensor::from_i64s(&pads));
        let padded = self.node("padded", Pad::default(), &[x, pads]);
        let indices: Vec<i64> = map.iter().map(|i| i.map_or(0, |i| i as i64 + 1)).collect();
        let indices = self.constant(Tensor::from_i64s(&indices));
        self.node("picked", Gather { axis: axis as i64 }, &[padded, indices])
    }
}

fn window(pool: &Pool2d) -> Window {
    Window {
        strides: pool.stride.to_vec(),
        dilations: pool.dilation.to_vec(),
        padding: Padding::Explicit(pool.pads.to_vec()),
    }
}
