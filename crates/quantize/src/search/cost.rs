//! What a strategy takes on a target: bytes of the file, and time for a sample.

use super::space::{Choice, Place, Space};
use crate::describe::macs;
use crate::site::Sites;
use crate::target::cost::Work;
use crate::target::{Form, Target};
use lowbit_graph::passes::{Group, groups};
use lowbit_graph::{Graph, NodeId, Op, Role, TensorType, ValueId};
use std::collections::HashSet;

/// A network with a target, ready to be priced.
pub struct Pricing<'a> {
    graph: &'a Graph,
    types: &'a [Option<TensorType>],
    sites: &'a Sites,
    target: &'a Target,
    groups: Vec<Group>,
    /// Bytes of the float file, those of quantizable weights taken out.
    other_bytes: f64,
}

/// One piece of work of a strategy: what it is, its products and elements, and the node or edge that it belongs to.
#[derive(Clone, Debug, PartialEq)]
pub struct Piece {
    /// What cost it is looked up by.
    pub work: Work,
    /// Multiply-accumulates of a sample.
    pub macs: u64,
    /// Elements of its result, of a sample.
    pub elements: u64,
    /// Name of the node or, of a conversion, the edge.
    pub name: String,
}

impl<'a> Pricing<'a> {
    /// For a network whose float file has so many bytes.
    pub fn new(
        graph: &'a Graph,
        types: &'a [Option<TensorType>],
        sites: &'a Sites,
        target: &'a Target,
        file_bytes: u64,
    ) -> Pricing<'a> {
        let weights: HashSet<ValueId> = sites.weights.iter().map(|w| w.value).collect();
        let stored: usize = weights.iter().filter_map(|&v| graph.constant(v)).map(|t| 4 * t.len()).sum();
        let other_bytes = (file_bytes as f64 - stored as f64).max(0.0);
        Pricing { graph, types, sites, target, groups: groups(graph), other_bytes }
    }

    /// About how many bytes the file has: weights packed, with a scale per channel.
    pub fn bytes(&self, space: &Space, strategy: &[usize]) -> f64 {
        let mut bytes = self.other_bytes;
        for (g, gene) in space.genes.iter().enumerate() {
            let Place::Weight(i) = gene.place else { continue };
            let site = &self.sites.weights[i];
            let Some(tensor) = self.graph.constant(site.value) else { continue };
            let scales = site.channel_axis.map_or(1, |axis| tensor.shape()[axis]);
            bytes += match space.choice(strategy, g) {
                Choice::Float => 4.0 * tensor.len() as f64,
                Choice::Codes { bits, .. } => {
                    (tensor.len() as f64 * f64::from(bits) / 8.0).ceil() + 4.0 * scales as f64
                }
            };
        }
        bytes
    }

    /// Milliseconds for a sample, by the target's costs.
    ///
    /// # Errors
    /// With the piece of work that the target does not know the cost of.
    pub fn milliseconds(&self, space: &Space, strategy: &[usize]) -> Result<f64, String> {
        let mut ns = 0.0;
        for piece in self.pieces(space, strategy) {
            ns += self.target.ns(&piece.work, piece.macs, piece.elements).ok_or_else(|| {
                format!(
                    "target `{}` does not say what {} `{}` ({} {}) takes; a [cost] table of the target can",
                    self.target.name, piece.work.op, piece.name, piece.work.shape, piece.work.form
                )
            })?;
        }
        Ok(ns * 1e-6)
    }

    /// Everything that a strategy computes. Activations are part of what they follow; so is an addition that is computed
    /// in the registers of a layer.
    pub fn pieces(&self, space: &Space, strategy: &[usize]) -> Vec<Piece> {
        let mut weights = vec![None; self.sites.weights.len()];
        let mut edges = vec![None; self.sites.activations.len()];
        for (g, gene) in space.genes.iter().enumerate() {
            let bits = space.choice(strategy, g).bits();
            match gene.place {
                Place::Weight(i) => weights[i] = bits,
                Place::Edge(i) => edges[i] = bits,
            }
        }
        let edge = |value: ValueId| {
            let site = self.sites.of_value(value)?;
            edges[self.sites.root(site)]
        };
        let mut pieces = Vec::new();
        let mut coded = vec![false; self.graph.nodes.len()];
        for (n, node) in self.graph.nodes.iter().enumerate() {
            coded[n] = self.on_codes(n, &weights, &edge);
            if matches!(node.op, Op::Relu(_) | Op::Clip(_) | Op::Shape(_)) || self.absorbed(n, &coded, &edge)
            {
                continue;
            }
            let weight = self.sites.weights.iter().position(|w| w.node == NodeId(n)).and_then(|i| weights[i]);
            let data = node.inputs.iter().flatten().filter_map(|&v| edge(v)).max().unwrap_or(8);
            let form = if coded[n] { Form::Codes { weight, data } } else { Form::Float };
            let group = self.groups.iter().find(|g| g.anchor == NodeId(n));
            let adds = group.and_then(|g| g.add).is_some_and(|add| self.fuses(add, &coded, &edge));
            let op = format!("{}{}", node.op.name(), if adds { "+Add" } else { "" });
            let elements = node.outputs.first().map_or(0, |&v| self.elements(v));
            let macs = macs(self.graph, self.types, NodeId(n));
            pieces.push(Piece {
                work: Work { op, shape: self.shape(n), form },
                macs,
                elements,
                name: node.name.clone(),
            });
        }
        pieces.extend(self.conversions(&coded, &edge));
        pieces
    }

    /// Whether a node computes on codes: all it reads has them, and its weight; and without a weight, whose sums could leave as floats,
    /// what it gives too.
    fn on_codes(&self, n: usize, weights: &[Option<u8>], edge: &dyn Fn(ValueId) -> Option<u8>) -> bool {
        let node = &self.graph.nodes[n];
        let name = node.op.name();
        let allowed = self.target.integer_ops.contains(name) || self.target.pass_through.contains(name);
        let mut weighted = self.sites.weights.iter().zip(weights).filter(|(w, _)| w.node == NodeId(n));
        let mut data = node.inputs.iter().enumerate().filter_map(|(i, v)| {
            let value = (*v)?;
            (node.op.role(i) == Role::Activation || self.graph.constant(value).is_none()).then_some(value)
        });
        let has_weight = weighted.clone().next().is_some();
        let gives = has_weight || node.outputs.first().is_some_and(|&v| edge(self.activated(v)).is_some());
        allowed && gives && weighted.all(|(_, bits)| bits.is_some()) && data.all(|v| edge(v).is_some())
    }

    /// The edge that a result becomes: behind an activation that is folded into what computes it, if there is one.
    fn activated(&self, result: ValueId) -> ValueId {
        let folded = self.sites.activations.iter().find(|site| site.before_activation == Some(result));
        folded.map_or(result, |site| site.value)
    }

    /// Whether an addition is computed in the registers of the layer before it.
    fn fuses(&self, add: NodeId, coded: &[bool], edge: &dyn Fn(ValueId) -> Option<u8>) -> bool {
        let Some(group) = self.groups.iter().find(|g| g.add == Some(add)) else { return false };
        let layer = coded[group.anchor.0];
        layer && group.residual.is_some_and(|v| edge(v).is_some()) && edge(group.output).is_some()
    }

    fn absorbed(&self, n: usize, coded: &[bool], edge: &dyn Fn(ValueId) -> Option<u8>) -> bool {
        let bias = self.groups.iter().any(|g| g.bias == Some(NodeId(n)));
        bias || self.fuses(NodeId(n), coded, edge)
    }

    /// Conversions at the borders of what is on codes.
    fn conversions(&self, coded: &[bool], edge: &dyn Fn(ValueId) -> Option<u8>) -> Vec<Piece> {
        let producers = self.graph.producers();
        let consumers = self.graph.consumers();
        let mut pieces = Vec::new();
        for site in self.sites.activations.iter().filter(|s| s.follows.is_none()) {
            if edge(site.value).is_none() {
                continue;
            }
            // Through a folded activation to what computes the edge.
            let source = site.before_activation.unwrap_or(site.value);
            let from_codes = producers.get(&source).is_some_and(|p| coded[p.0]);
            let readers = consumers.get(&site.value).map_or(&[][..], Vec::as_slice);
            let to_float = readers.iter().any(|(n, _)| !coded[n.0]);
            let elements = self.elements(site.value);
            let mut push = |op: &str| {
                let shape = self.extents(site.value);
                let work = Work { op: op.to_owned(), shape, form: Form::Float };
                pieces.push(Piece { work, macs: 0, elements, name: site.name.clone() });
            };
            if !from_codes {
                push("Quantize");
            }
            if to_float || self.graph.outputs.contains(&site.value) {
                push("Dequantize");
            }
        }
        pieces
    }

    fn elements(&self, value: ValueId) -> u64 {
        let ty = self.types[value.0].as_ref();
        ty.map_or(0, |t| t.shape.iter().skip(1).product::<usize>() as u64)
    }

    /// Extents of a value: of constants all, of others those of a sample.
    fn extents(&self, value: ValueId) -> String {
        let shape: Vec<usize> = match self.graph.constant(value) {
            Some(tensor) => tensor.shape().to_vec(),
            None => {
                self.types[value.0].as_ref().map_or(Vec::new(), |t| t.shape.iter().skip(1).copied().collect())
            }
        };
        shape.iter().map(usize::to_string).collect::<Vec<_>>().join("x")
    }

    /// Extents of what a node reads and writes.
    fn shape(&self, n: usize) -> String {
        let node = &self.graph.nodes[n];
        let numbers = |i: usize| matches!(node.op.role(i), Role::Activation | Role::Weight { .. });
        let read = node.inputs.iter().enumerate().filter(|(i, _)| numbers(*i)).filter_map(|(_, v)| *v);
        let all = read.chain(node.outputs.first().copied());
        all.map(|v| self.extents(v)).collect::<Vec<_>>().join(" ")
    }
}
