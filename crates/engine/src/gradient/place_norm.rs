//! Batch normalization in training becomes two steps, the second with the addition and the clip that follow it.

use super::GradientError;
use super::compile::Compiler;
use super::norm::{Norm, Values};
use super::tape::{Cell, Kind};
use crate::form::Layout;
use crate::fusion::Fusions;
use crate::{EngineError, EvalError, ops};
use lowbit_graph::{Node, NodeId, Op, ValueId};
use lowbit_kernels::Unary;
use std::collections::{HashMap, HashSet};

/// A normalization with its followers.
pub(super) struct Normed {
    pub(super) anchor: NodeId,
    /// The tensor added.
    residual: Option<ValueId>,
    bounds: [f32; 2],
    /// What the last follower computes.
    output: ValueId,
}

/// All normalizations that take the statistics of the batch.
#[derive(Default)]
pub(super) struct AllNormed {
    pub(super) by_anchor: HashMap<NodeId, usize>,
    /// By their last node, where a residual of a later branch is sure to exist.
    pub(super) by_last: HashMap<NodeId, Normed>,
    pub(super) absorbed: HashSet<NodeId>,
}

impl Compiler<'_> {
    /// Finds them; `kept` are values that must exist.
    pub(super) fn normed(&self, fusions: &Fusions, kept: &[ValueId]) -> AllNormed {
        let mut all = AllNormed::default();
        if self.plan.training.is_none() {
            return all;
        }
        let graph = self.plan.graph;
        let consumers = graph.consumers();
        let seen: HashSet<ValueId> = kept.iter().chain(&graph.outputs).copied().collect();
        for (i, node) in graph.nodes.iter().enumerate() {
            if !matches!(node.op, Op::BatchNormalization(_)) {
                continue;
            }
            all.by_anchor.insert(NodeId(i), all.by_anchor.len());
            let (mut last, mut output) = (NodeId(i), node.outputs[0]);
            let (mut residual, mut bounds) = (None, [f32::NEG_INFINITY, f32::INFINITY]);
            all.absorbed.insert(last);
            while let Some(&[(next, _)]) = consumers.get(&output).map(Vec::as_slice) {
                let follower = &graph.nodes[next.0];
                if seen.contains(&output) || fusions.absorbed.contains(&next) || all.absorbed.contains(&next)
                {
                    break;
                }
                match (&follower.op, ops::activation(graph, follower)) {
                    (Op::Add(_), _) if residual.is_none() => {
                        let same = |id: &ValueId| self.is_buffer(*id) && self.ty(*id) == self.ty(output);
                        let Some(other) = follower.inputs.iter().flatten().copied().find(|id| *id != output)
                        else {
                            break;
                        };
                        if !same(&other) {
                            break;
                        }
                        residual = Some(other);
                    }
                    (_, Some(Unary::Relu)) => bounds = [0.0, f32::INFINITY],
                    (_, Some(Unary::Clip { lo, hi })) => bounds = [lo, hi],
                    _ => break,
                }
                all.absorbed.insert(next);
                (last, output) = (next, follower.outputs[0]);
                if bounds != [f32::NEG_INFINITY, f32::INFINITY] {
                    break;
                }
            }
            all.by_last.insert(last, Normed { anchor: NodeId(i), residual, bounds, output });
        }
        all
    }

    /// The first step, right behind what computes its input; the other finds it by number.
    pub(super) fn gather(&mut self, node: &Node, nth: usize) -> Result<(), GradientError> {
        let Op::BatchNormalization(op) = &node.op else { return Ok(()) };
        let refused = |source| EngineError::Node { node: node.name.clone(), source };
        let x = node.input(0).filter(|&x| self.is_buffer(x));
        let Some(x) = x else {
            let dtype = self.ty(node.outputs[0]).dtype;
            return Err(refused(EvalError::DType { op: "BatchNormalization in training", dtype }).into());
        };
        let channels = self.ty(x).shape[1];
        if self.ty(x).is_empty() {
            return Err(refused(lowbit_graph::mismatch!("no values to normalize").into()).into());
        }
        let values = |input: usize| {
            let parameter =
                self.learned(node).into_iter().find(|(l, _)| *l == crate::form::Learned::Input(input));
            let constant = self.plan.graph.constant_input(node, input).map(|t| Values::Constant(t.to_f32()));
            let values = parameter.map(|(_, i)| Values::Parameter(i)).or(constant);
            values.ok_or_else(|| refused(lowbit_graph::mismatch!("input {input} is not constant").into()))
        };
        let (scale, shift) = (values(1)?, values(2)?);
        let source = self.want(x, Layout::ChannelsLast);
        self.norms.push(Norm {
            name: node.name.clone(),
            value: node.outputs[0],
            y: source, // until `normalize` knows it
            channels,
            epsilon: op.epsilon,
            bounds: [f32::NEG_INFINITY, f32::INFINITY],
            scale,
            shift,
            isa: self.plan.isa,
        });
        let phase = self.phase([x].into_iter());
        self.step(format!("{} (statistics)", node.name), Kind::Gather(nth), vec![source], vec![], &[], phase);
        Ok(())
    }

    /// The second step, a phase later.
    pub(super) fn normalize(&mut self, normed: &Normed, nth: usize) {
        let node = &self.plan.graph.nodes[normed.anchor.0];
        let x = node.input(0).expect("gathered from it");
        let mut reads: Vec<Cell> = vec![self.want(x, Layout::ChannelsLast)];
        reads.extend(normed.residual.map(|id| self.want(id, Layout::ChannelsLast)));
        let learns = [&self.norms[nth].scale, &self.norms[nth].shift].iter().any(|v| v.parameter().is_some());
        let wanted = learns || reads.iter().any(|&cell| self.wanted[cell]);
        let target = self.cell((normed.output, Layout::ChannelsLast), wanted);
        self.present.insert(normed.output, vec![Layout::ChannelsLast]);
        (self.norms[nth].y, self.norms[nth].bounds) = (target, normed.bounds);
        let phase = (self.phase([x].into_iter()) + 1).max(self.phase(normed.residual.into_iter()));
        self.phases.insert(normed.output, phase);
        self.step(node.name.clone(), Kind::Normalize(nth), reads, vec![target], &[], phase);
    }
}
