//! The passes that a network just read goes through, in their order.

use super::identities::identities_but;
use super::{
    Evaluate, PassError, dead_nodes, fold_batch_norm, fold_constants, fuse_fake_quantize, identities,
};
use crate::{Graph, Op};

/// The network as everything else wants it: sorted, without constants in disguise, nodes that do nothing, or batch
/// normalization that a layer can absorb, and with rounding to a code as one node.
///
/// # Errors
/// When the graph is not acyclic or complete, or a node on constants cannot be computed.
pub fn prepare(graph: Graph, evaluate: Evaluate<'_>) -> Result<Graph, PassError> {
    let mut graph = prepare_to_train(graph, evaluate)?;
    // Without the dropouts, more layers stand next to what they can absorb.
    identities(&mut graph);
    fold_batch_norm(&mut graph);
    Ok(graph)
}

/// The same for training: batch normalization and dropout are still there. [`prepare`] of it is that of the file.
///
/// # Errors
/// As [`prepare`].
pub fn prepare_to_train(mut graph: Graph, evaluate: Evaluate<'_>) -> Result<Graph, PassError> {
    let drops = |node: &crate::Node| matches!(node.op, Op::Dropout(_));
    graph.sort()?;
    // Dead branches first: what nobody needs must not be able to fail.
    dead_nodes(&mut graph);
    // Codes before constants, so that a weight's chain counts as the one rounding it is.
    identities_but(&mut graph, drops);
    fuse_fake_quantize(&mut graph);
    fold_constants(&mut graph, evaluate)?;
    // Constants now known prove more nodes idle.
    identities_but(&mut graph, drops);
    Ok(graph)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::{Add, Cast, Conv, Dropout, Relu, Reshape};
    use crate::passes::testing::{evaluate, names};
    use lowbit_tensor::{DType, Data, Tensor};

    #[test]
    fn passes_open_the_way_for_each_other() {
        let mut graph = Graph::default();
        let x = graph.add_input("x", DType::F32, vec![]);
        // The weight is a constant only once folded; the bias meets the layer only once the dropout is gone.
        let codes = Tensor::new(vec![2, 1, 1], Data::I8(vec![1, -1])).unwrap();
        let codes = graph.add_constant("codes", codes);
        let weight = graph.add_node("decode", Cast { to: DType::F32 }, &[codes]);
        let bias = graph.add_constant("b", Tensor::from_f32([2, 1], vec![1.0, 2.0]));
        let v = graph.add_node("conv", Conv { window: Default::default(), group: 1 }, &[x, weight]);
        let v = graph.add_node("dropout", Dropout, &[v]);
        let v = graph.add_node("bias", Add, &[v, bias]);
        let y = graph.add_node("y", Relu, &[v]);
        // A dead node that could not be computed.
        let misfit = graph.add_constant("misfit", Tensor::from_i64s(&[7]));
        graph.add_node("dead", Reshape::default(), &[bias, misfit]);
        graph.outputs = vec![y];
        graph.nodes.reverse();
        let graph = prepare(graph, &evaluate).unwrap();
        assert_eq!(names(&graph), ["conv", "y"]);
        assert_eq!(graph.constant_input(&graph.nodes[0], 2).unwrap().to_f32(), [1.0, 2.0]);
    }

    #[test]
    fn a_cycle_is_refused() {
        let mut graph = Graph::default();
        let a = graph.add_edge("a");
        let b = graph.add_node("b", Relu, &[a]);
        graph.add_node("c", Relu, &[b]);
        graph.nodes[1].outputs = vec![a];
        graph.outputs = vec![b];
        assert!(matches!(prepare(graph, &evaluate), Err(PassError::Graph(_))));
    }
}
