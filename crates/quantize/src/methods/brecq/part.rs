//! A block of the network as something that runs, in float or under a plan, between the edges of the float network.

use crate::method::MethodError;
use lowbit_engine::{Differentiable, Parameter};
use lowbit_graph::passes::{Block, between, segment};
use lowbit_graph::{Graph, Node, Op, TensorType, ValueId};

/// One block of a (simulated) network.
///
/// Where a plan rounds an edge, the rounding belongs to the block that computes the edge; that of a network input, to
/// the blocks that read it.
pub(in crate::methods) struct Part {
    /// The block as a network.
    pub(super) graph: Graph,
}

impl Part {
    /// The part of `network` (the float network, or what simulation made of it) that computes a block of the float one.
    pub(in crate::methods) fn new(network: &Graph, types: &[Option<TensorType>], block: &Block) -> Part {
        let outputs = block.outputs.iter().map(|&id| rounded(network, id)).collect();
        Part::up_to(outputs, network, types, block)
    }

    /// The same up to the outputs before they are rounded.
    pub(super) fn bare(network: &Graph, types: &[Option<TensorType>], block: &Block) -> Part {
        Part::up_to(block.outputs.clone(), network, types, block)
    }

    fn up_to(outputs: Vec<ValueId>, network: &Graph, types: &[Option<TensorType>], block: &Block) -> Part {
        let outer = |id: &ValueId| if network.inputs.contains(id) { *id } else { rounded(network, *id) };
        let inputs: Vec<ValueId> = block.inputs.iter().map(outer).collect();
        let nodes = between(network, &inputs, &outputs);
        Part { graph: segment(network, types, &nodes, &inputs, &outputs) }
    }

    /// Ready to run on batches of `batch`.
    pub(in crate::methods) fn compile(
        &self,
        batch: usize,
        parameters: &[Parameter],
    ) -> Result<Differentiable, MethodError> {
        Ok(Differentiable::new(&self.graph, batch, parameters)?)
    }

    /// The node of that name, if it is in the block.
    pub(super) fn node(&self, name: &str) -> Option<&Node> {
        self.graph.nodes.iter().find(|node| node.name == name)
    }
}

/// What readers of an edge read: its rounding, where there is one.
pub(super) fn rounded(network: &Graph, id: ValueId) -> ValueId {
    let rounds = |node: &&Node| {
        matches!(node.op, Op::FakeQuantize(_) | Op::FakeLevels(_)) && node.input(0) == Some(id)
    };
    network.nodes.iter().find(rounds).map_or(id, |node| node.outputs[0])
}
