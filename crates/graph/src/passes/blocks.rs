//! Cuts a network into the blocks that reconstruction fits one at a time (Li et al. 2021, arXiv:2102.05426).
//!
//! Found from structure alone, in three steps:
//!
//! 1. **Layers.** Each node with a weight, with the elementwise functions behind it: bias, activation, squeeze-excite gate.
//! 2. **Inverted residuals.** Expanding, depthwise and linear 1×1 convolution in a row, whether an addition follows or not.
//! 3. **Residual blocks.** Everything between the point where two ways part and the addition in which they meet again, with
//!    the activation behind it: the ways have no other entry or exit, and at most [`LARGEST`] weights lie on them, so that
//!    the long skip of a U-Net is none. Of nested ones the innermost counts, unless they begin at the same fork.
//!
//! The rest has no weights (pools, reshapes, concatenations). It goes with the layer that reads it, so that the cuts come to
//! lie behind activations and additions, where quantizers sit, and not behind a pool, where most of the error would already
//! be averaged away; what only the network's output reads goes with the block before. Every edge then leads to the same or
//! to a later block: no path leaves a block and comes back.

mod arrange;
mod flow;
mod layers;
mod name;
mod regroup;
mod residual;

pub use name::{layer_name, weight_of};
pub use regroup::{BlockError, regroup};

use crate::{Graph, Node, NodeId, Role, ValueId};
use flow::Flow;
use std::collections::BTreeSet;

/// Most weighted layers of a residual block that is found (a Res2Net block has 10).
pub const LARGEST: usize = 12;

/// A part of a network, with everything that [`super::segment`] takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    /// What the names of its layers begin with, or the name of the first; unique.
    pub name: String,
    /// What it is.
    pub kind: BlockKind,
    /// Its nodes, in network order.
    pub nodes: Vec<NodeId>,
    /// Edges that it reads from outside (no constants), in the order of reading.
    pub inputs: Vec<ValueId>,
    /// Edges that others read, and results of the network, in the order of writing.
    pub outputs: Vec<ValueId>,
}

/// What a block is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BlockKind {
    /// One weighted layer, with its activation and gate.
    Layer,
    /// Ways that part and meet again in an addition.
    Residual,
    /// (Expanding,) depthwise and linear 1×1 convolution, with the addition where there is one.
    InvertedResidual,
    /// Attention with its addition.
    Attention,
    /// Matrix products with their addition: the other half of a transformer layer.
    FeedForward,
    /// Put together by the user ([`regroup`]).
    Chosen,
}

impl BlockKind {
    /// In words.
    pub fn name(self) -> &'static str {
        match self {
            BlockKind::Layer => "layer",
            BlockKind::Residual => "residual",
            BlockKind::InvertedResidual => "inverted residual",
            BlockKind::Attention => "attention",
            BlockKind::FeedForward => "feed-forward",
            BlockKind::Chosen => "chosen",
        }
    }
}

/// The blocks of a network, in network order: every node is in exactly one.
pub fn blocks(graph: &Graph) -> Vec<Block> {
    let flow = Flow::new(graph);
    let layers = layers::inverted(graph, &flow, layers::layers(graph, &flow, true));
    arrange::arrange(graph, residual::residual(graph, &flow, layers))
}

/// The same with each weighted layer by itself.
pub fn layers(graph: &Graph) -> Vec<Block> {
    arrange::arrange(graph, layers::layers(graph, &Flow::new(graph), false))
}

/// The nodes that make a block what it is, before those without weights around them are shared out. They are entered behind
/// one node and left from one, `end`.
struct Core {
    kind: BlockKind,
    nodes: BTreeSet<NodeId>,
    end: NodeId,
}

impl Core {
    fn first(&self) -> NodeId {
        *self.nodes.first().expect("a core is made around a node")
    }
}

/// Which core each node is in.
fn owners(graph: &Graph, cores: &[Core]) -> Vec<Option<usize>> {
    let mut owners = vec![None; graph.nodes.len()];
    for (c, core) in cores.iter().enumerate() {
        core.nodes.iter().for_each(|n| owners[n.0] = Some(c));
    }
    owners
}

/// Whether a node multiplies by a weight; `fixed` tells which of its inputs are the same in every run.
fn weighted(node: &Node, fixed: impl Fn(usize) -> bool) -> bool {
    (0..node.inputs.len()).any(|i| matches!(node.op.role(i), Role::Weight { .. }) && fixed(i))
}

#[cfg(test)]
mod tests;
