//! Which nodes a convolution or matrix product computes along with itself.
//!
//! Groups of the graph, each cut short before a value that someone wants to see, plus the rounding that follows.

use crate::form::Tail;
use crate::ops;
use lowbit_graph::passes::{Group, groups};
use lowbit_graph::{Graph, NodeId, Op, TensorType, ValueId};
use lowbit_tensor::{DType, Tensor};
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

/// What follows an anchor and is computed with it, at the place of the last node: only there is a residual that a
/// later branch produces sure to exist.
pub(crate) struct Fused {
    pub(crate) anchor: NodeId,
    /// The followers, in order.
    pub(crate) nodes: Vec<NodeId>,
    /// Added per output channel: what [`Group::bias`] adds.
    pub(crate) bias: Option<Arc<Tensor>>,
    /// The tensor that [`Tail::residual`] speaks of.
    pub(crate) residual: Option<ValueId>,
    pub(crate) tail: Tail,
    /// What the last follower computes.
    pub(crate) output: ValueId,
}

/// All fusions of a graph.
pub(crate) struct Fusions {
    /// By their last node.
    pub(crate) by_last: HashMap<NodeId, Fused>,
    /// Anchors and followers.
    pub(crate) absorbed: HashSet<NodeId>,
}

impl Fusions {
    pub(crate) fn find(graph: &Graph, types: &[Option<TensorType>], taps: &[ValueId]) -> Fusions {
        let seen: HashSet<ValueId> = taps.iter().chain(&graph.outputs).copied().collect();
        let consumers = graph.consumers();
        let finder = Finder { graph, types, seen, consumers };
        let mut fusions = Fusions { by_last: HashMap::new(), absorbed: HashSet::new() };
        for group in groups(graph) {
            let fused = finder.fuse(&group);
            let free = fused.nodes.iter().all(|n| !fusions.absorbed.contains(n));
            if let Some(&last) = fused.nodes.last().filter(|_| free) {
                fusions.absorbed.insert(fused.anchor);
                fusions.absorbed.extend(&fused.nodes);
                fusions.by_last.insert(last, fused);
            }
        }
        fusions
    }
}

struct Finder<'a> {
    graph: &'a Graph,
    types: &'a [Option<TensorType>],
    /// Values that must exist: taps and outputs.
    seen: HashSet<ValueId>,
    consumers: HashMap<ValueId, Vec<(NodeId, usize)>>,
}

impl Finder<'_> {
    /// Whether nothing but the next node of the group needs the value.
    fn open(&self, value: ValueId) -> bool {
        !self.seen.contains(&value) && self.consumers.get(&value).is_some_and(|c| c.len() == 1)
    }

    /// As much of the group as can be computed at once: bias, residual, activation, rounding, in this order.
    fn fuse(&self, group: &Group) -> Fused {
        let output = self.graph.nodes[group.anchor.0].outputs[0];
        let mut fused = Fused {
            anchor: group.anchor,
            nodes: Vec::new(),
            bias: None,
            residual: None,
            tail: Tail::default(),
            output,
        };
        let wanted = [group.bias, group.add, group.activation];
        for (part, node) in wanted.into_iter().enumerate().filter_map(|(part, node)| Some((part, node?))) {
            let taken = self.open(fused.output)
                && match part {
                    0 => self.take_bias(&mut fused, node),
                    1 => self.take_residual(&mut fused, group.residual),
                    _ => self.take_activation(&mut fused, node),
                };
            if !taken {
                return fused;
            }
            fused.nodes.push(node);
            fused.output = self.graph.nodes[node.0].outputs[0];
        }
        if let Some(&[(next, 0)]) = self.consumers.get(&fused.output).map(Vec::as_slice)
            && self.open(fused.output)
            && let Op::FakeQuantize(op) = &self.graph.nodes[next.0].op
            && let Some(quant) = ops::per_tensor_fake_quant(op)
        {
            fused.tail.fake_quant = Some(quant);
            fused.nodes.push(next);
            fused.output = self.graph.nodes[next.0].outputs[0];
        }
        fused
    }

    /// A constant must not broadcast the layer to a larger shape.
    fn take_bias(&self, fused: &mut Fused, node: NodeId) -> bool {
        let add = &self.graph.nodes[node.0];
        let addend = (0..2).find_map(|i| self.graph.constant_input(add, i));
        let fits = self.ty(fused.output) == self.ty(add.outputs[0]);
        fused.bias = addend.filter(|t| fits && t.dtype() == DType::F32).cloned();
        fused.bias.is_some()
    }

    fn take_residual(&self, fused: &mut Fused, residual: Option<ValueId>) -> bool {
        let same = |v: &ValueId| self.ty(*v) == self.ty(fused.output);
        let float = |v: &ValueId| self.ty(*v).is_some_and(|ty| ty.dtype == DType::F32);
        fused.residual = residual.filter(same).filter(float);
        fused.tail.residual = fused.residual.is_some();
        fused.tail.residual
    }

    fn take_activation(&self, fused: &mut Fused, node: NodeId) -> bool {
        fused.tail.activation = ops::activation(self.graph, &self.graph.nodes[node.0]);
        fused.tail.activation.is_some()
    }

    fn ty(&self, value: ValueId) -> Option<&TensorType> {
        self.types[value.0].as_ref()
    }
}
