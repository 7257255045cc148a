//! A network being trained: the graph, what is learned, and where quantizers sit.
//!
//! The graph keeps its batch normalization. Sites are found on its folded form, as for any other recipe, and belong to
//! the nodes and edges of the same names here: what is trained is where integers will be.

use crate::error::TrainError;
use crate::quantizers::{EdgeQuantizer, WeightQuantizer};
use lowbit_engine::{Parameter, Rounding};
use lowbit_graph::ops::FakeQuantize;
use lowbit_graph::{Graph, Node, Op, ValueId};
use lowbit_tensor::{DType, Tensor, Uniform};
use std::collections::HashSet;
use std::sync::Arc;

/// What a group of learned numbers is: it decides how they are updated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A multiplier of a layer; the only kind that decays.
    Weight,
    /// A bias, or a scale or shift of a normalization.
    Other,
    /// A step, clip or shape of a quantizer.
    Quantizer,
}

/// A group of learned numbers.
#[derive(Clone, Debug)]
pub struct Group {
    /// Of the constant, or of the layer or edge with what is learned of it.
    pub name: String,
    /// How it is updated.
    pub kind: Kind,
    /// Current values.
    pub values: Vec<f32>,
}

/// A weight and its quantizer.
pub struct QuantizedWeight {
    /// Its layer.
    pub layer: String,
    /// Group of the shadow weight, and of the quantizer's parameters (empty ones have no group).
    pub shadow: usize,
    /// Group of what the quantizer learns.
    pub parameters: Option<usize>,
    /// The quantizer.
    pub quantizer: Box<dyn WeightQuantizer>,
}

/// An edge and its quantizer.
pub struct QuantizedEdge {
    /// Its name.
    pub name: String,
    /// The rounded value in the graph.
    pub rounded: ValueId,
    /// Group of what the quantizer learns.
    pub parameters: Option<usize>,
    /// The quantizer.
    pub quantizer: Arc<dyn EdgeQuantizer>,
}

/// A batch normalization's running statistics.
#[derive(Clone, Debug, PartialEq)]
pub struct Running {
    /// Name of its node.
    pub name: String,
    /// Constants of the running mean and variance.
    constants: [ValueId; 2],
    /// Per channel.
    pub mean: Vec<f32>,
    /// Per channel, unbiased.
    pub variance: Vec<f32>,
}

/// The network being trained.
pub struct Model {
    /// As the tape runs it: with a `FakeQuantize` on each quantized edge.
    pub(crate) graph: Graph,
    /// Nodes and edges as they were, whose constants are replaced for evaluation and writing.
    plain: Graph,
    /// Learned numbers.
    pub groups: Vec<Group>,
    /// Quantized weights.
    pub weights: Vec<QuantizedWeight>,
    /// Quantized edges.
    pub edges: Vec<QuantizedEdge>,
    /// Normalizations.
    pub running: Vec<Running>,
    /// The constant of each group that is one.
    constants: Vec<Option<ValueId>>,
}

/// A weight quantizer for a layer, or an edge quantizer for an edge.
pub struct Quantizers {
    /// By name of the layer's node.
    pub weights: Vec<(String, Box<dyn WeightQuantizer>)>,
    /// By name of the edge; whether only products read it rounded.
    pub edges: Vec<(String, Arc<dyn EdgeQuantizer>)>,
}

impl Model {
    /// Learns every float constant of layers and normalizations of a graph prepared for training; weights and edges
    /// named in `quantizers` in few bits. `products_only` leaves sums and pools to read edges as they are.
    ///
    /// # Errors
    /// When a name is not in the graph, or nothing could be learned.
    pub fn new(graph: Graph, quantizers: Quantizers, products_only: bool) -> Result<Model, TrainError> {
        let plain = graph.clone();
        let mut model = Model {
            graph,
            plain,
            groups: Vec::new(),
            weights: Vec::new(),
            edges: Vec::new(),
            running: Vec::new(),
            constants: Vec::new(),
        };
        model.learn_constants();
        if model.groups.is_empty() {
            return Err(TrainError::NothingToLearn);
        }
        for (layer, quantizer) in quantizers.weights {
            model.quantize_weight(layer, quantizer)?;
        }
        for (name, quantizer) in quantizers.edges {
            model.quantize_edge(name, quantizer, products_only)?;
        }
        model.graph.sort().map_err(|error| TrainError::Graph(error.to_string()))?;
        Ok(model)
    }

    fn group(&mut self, name: String, kind: Kind, values: Vec<f32>, constant: Option<ValueId>) -> usize {
        self.groups.push(Group { name, kind, values });
        self.constants.push(constant);
        self.groups.len() - 1
    }

    /// Weights, biases, scales and shifts, each once; and the normalizations.
    fn learn_constants(&mut self) {
        let mut known: HashSet<ValueId> = HashSet::new();
        let mut found: Vec<(ValueId, Kind)> = Vec::new();
        for node in &self.graph.nodes {
            let learned: &[(usize, Kind)] = match &node.op {
                Op::Conv(_) | Op::ConvTranspose(_) | Op::Gemm(_) => &[(1, Kind::Weight), (2, Kind::Other)],
                Op::MatMul(_) => &[(0, Kind::Weight), (1, Kind::Weight)],
                Op::BatchNormalization(_) | Op::LayerNormalization(_) => {
                    &[(1, Kind::Other), (2, Kind::Other)]
                }
                Op::Add(_) | Op::PRelu(_) => &[(1, Kind::Other)],
                _ => &[],
            };
            for &(input, kind) in learned {
                let constant = node.input(input).and_then(|id| Some((id, self.graph.constant(id)?)));
                let Some((id, tensor)) = constant else { continue };
                if tensor.dtype() == DType::F32 && !tensor.is_empty() && known.insert(id) {
                    found.push((id, kind));
                }
            }
            if let (Op::BatchNormalization(_), Some(mean), Some(variance)) =
                (&node.op, node.input(3), node.input(4))
            {
                let values = |id: ValueId| self.graph.constant(id).map(|t| t.to_f32());
                if let (Some(m), Some(v)) = (values(mean), values(variance)) {
                    self.running.push(Running {
                        name: node.name.clone(),
                        constants: [mean, variance],
                        mean: m,
                        variance: v,
                    });
                }
            }
        }
        for (id, kind) in found {
            let (name, values) =
                (self.graph.value(id).name.clone(), self.graph.constant(id).map(|t| t.to_f32()));
            self.group(name, kind, values.unwrap_or_default(), Some(id));
        }
    }

    fn quantize_weight(
        &mut self,
        layer: String,
        quantizer: Box<dyn WeightQuantizer>,
    ) -> Result<(), TrainError> {
        let node = self.graph.nodes.iter().find(|n| n.name == layer);
        let group = node.and_then(|node| {
            let mut inputs = node.inputs.iter().flatten().rev();
            inputs.find_map(|id| {
                let place = self.constants.iter().position(|c| c == &Some(*id))?;
                (self.groups[place].kind == Kind::Weight).then_some(place)
            })
        });
        let shadow = group.ok_or_else(|| TrainError::NoSuchLayer(layer.clone()))?;
        let start = quantizer.start(&self.groups[shadow].values);
        let parameters =
            (!start.is_empty()).then(|| self.group(format!("{layer} weight"), Kind::Quantizer, start, None));
        self.weights.push(QuantizedWeight { layer, shadow, parameters, quantizer });
        Ok(())
    }

    fn quantize_edge(
        &mut self,
        name: String,
        quantizer: Arc<dyn EdgeQuantizer>,
        products_only: bool,
    ) -> Result<(), TrainError> {
        let value = self.graph.find(&name).ok_or_else(|| TrainError::NoSuchEdge(name.clone()))?;
        let rounded_name = self.graph.fresh_name(&format!("{name}.rounded"));
        let rounded = self.graph.add_edge(rounded_name.clone());
        let readers = self.graph.nodes.iter_mut().filter(|node| {
            let product = matches!(node.op, Op::Conv(_) | Op::ConvTranspose(_) | Op::Gemm(_) | Op::MatMul(_));
            product || !products_only
        });
        for input in readers.flat_map(|node| &mut node.inputs).filter(|input| **input == Some(value)) {
            *input = Some(rounded);
        }
        // The tape rounds by the quantizer; the code here only marks the place.
        let op = Op::FakeQuantize(FakeQuantize { code: Uniform::per_tensor(8, false, 1.0, 0) });
        let node = Node { name: rounded_name, op, inputs: vec![Some(value)], outputs: vec![rounded] };
        let at = self.graph.producers().get(&value).map_or(0, |n| n.0 + 1);
        self.graph.nodes.insert(at, node);
        let parameters = (!quantizer.is_empty())
            .then(|| self.group(format!("{name} edge"), Kind::Quantizer, quantizer.start(&[]), None));
        self.edges.push(QuantizedEdge { name, rounded, parameters, quantizer });
        Ok(())
    }

    /// What the engine's tape learns: the constants, then the edges.
    pub(crate) fn tape_parameters(&self) -> Vec<Parameter> {
        let constants = self.constants.iter().flatten().map(|&id| Parameter::Constant(id));
        let edges = self.edges.iter().filter(|e| e.parameters.is_some());
        constants.chain(edges.map(|edge| Parameter::Rounding(edge.rounded))).collect()
    }

    /// Group of each of the tape's parameters.
    pub(crate) fn tape_groups(&self) -> Vec<usize> {
        let constants = (0..self.groups.len()).filter(|&g| self.constants[g].is_some());
        constants.chain(self.edges.iter().filter_map(|e| e.parameters)).collect()
    }

    /// The roundings of the tape.
    pub(crate) fn roundings(&self) -> Vec<(ValueId, Arc<dyn Rounding>)> {
        self.edges.iter().map(|e| (e.rounded, e.quantizer.clone().rounding())).collect()
    }

    /// What the quantizer of a weight has learned so far.
    pub(crate) fn learned(&self, group: Option<usize>) -> &[f32] {
        group.map_or(&[], |g| self.groups[g].values.as_slice())
    }

    /// The network with `groups` in place of its constants: weights as the network sees them where `quantized`, else
    /// the shadows. Edges are not rounded.
    pub fn graph_of(&self, groups: &[Vec<f32>], running: &[Running], quantized: bool) -> Graph {
        self.fill(self.plain.clone(), groups, running, quantized)
    }

    /// The same with the marks of the quantized edges.
    pub(crate) fn with_values(&self, groups: &[Vec<f32>], running: &[Running]) -> Graph {
        self.fill(self.graph.clone(), groups, running, true)
    }

    fn fill(&self, mut graph: Graph, groups: &[Vec<f32>], running: &[Running], quantized: bool) -> Graph {
        for (group, constant) in self.constants.iter().enumerate() {
            let Some(id) = *constant else { continue };
            let weight = self.weights.iter().find(|w| w.shadow == group).filter(|_| quantized);
            let values = match weight {
                None => groups[group].clone(),
                Some(weight) => {
                    let mut seen = vec![0.0; groups[group].len()];
                    let parameters = weight.parameters.map_or(&[][..], |g| &groups[g]);
                    weight.quantizer.forward(parameters, &groups[group], None, &mut seen);
                    seen
                }
            };
            replace(&mut graph, id, values);
        }
        for running in running {
            replace(&mut graph, running.constants[0], running.mean.clone());
            replace(&mut graph, running.constants[1], running.variance.clone());
        }
        graph
    }

    /// Current values of all groups.
    pub fn values(&self) -> Vec<Vec<f32>> {
        self.groups.iter().map(|group| group.values.clone()).collect()
    }
}

fn replace(graph: &mut Graph, id: ValueId, values: Vec<f32>) {
    if let Some(shape) = graph.constant(id).map(|t| t.shape().to_vec()) {
        graph.set_constant(id, Arc::new(Tensor::from_f32(shape, values)));
    }
}
