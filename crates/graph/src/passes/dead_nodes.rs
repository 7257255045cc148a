//! Drops nodes that no output depends on.
//!
//! Other passes only redirect edges and make values constant; what that leaves behind is swept up here, once.

use crate::{Graph, ValueId};
use std::collections::HashSet;

/// Removes every node none of whose outputs is used. Values stay, so that ids do.
pub fn dead_nodes(graph: &mut Graph) {
    // Nobody needs the producer of a constant.
    let computed = |id: &ValueId| graph.constant(*id).is_none();
    let mut used: HashSet<ValueId> = graph.outputs.iter().copied().filter(computed).collect();
    let mut keep = vec![false; graph.nodes.len()];
    for (keep, node) in keep.iter_mut().zip(&graph.nodes).rev() {
        *keep = node.outputs.iter().any(|o| used.contains(o));
        if *keep {
            used.extend(node.inputs.iter().flatten().copied().filter(computed));
        }
    }
    let mut keep = keep.into_iter();
    graph.nodes.retain(|_| keep.next().unwrap_or(true));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::{Identity, Relu};
    use crate::passes::testing::names;
    use lowbit_tensor::{DType, Tensor};
    use std::sync::Arc;

    #[test]
    fn what_no_output_needs_goes_and_ids_stay() {
        let mut graph = Graph::default();
        let x = graph.add_input("x", DType::F32, vec![]);
        let unused = graph.add_node("unused", Relu, &[x]);
        graph.add_node("after", Relu, &[unused]);
        let y = graph.add_node("y", Relu, &[x]);
        graph.outputs = vec![y];
        dead_nodes(&mut graph);
        assert_eq!(names(&graph), ["y"]);
        assert_eq!(graph.value(y).name, "y");
    }

    #[test]
    fn the_producer_of_a_constant_goes() {
        let mut graph = Graph::default();
        let x = graph.add_input("x", DType::F32, vec![]);
        let c = graph.add_node("c", Identity, &[x]);
        let y = graph.add_node("y", Relu, &[c]);
        graph.outputs = vec![y];
        graph.set_constant(c, Arc::new(Tensor::scalar(1.0)));
        dead_nodes(&mut graph);
        assert_eq!(names(&graph), ["y"]);
    }
}
