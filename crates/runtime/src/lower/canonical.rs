//! The network in the form that lowering reads: constants folded, one rounding per edge and code.

use super::{Scales, prepare, scales};
use crate::RuntimeError;
use lowbit_engine::evaluate_for_pass;
use lowbit_graph::passes::{dead_nodes, fuse_fake_quantize, identities};
use lowbit_graph::{Graph, ValueId};
use std::collections::HashMap;

/// The prepared network, and the scales of its integer constants, taken before they were folded.
pub(super) fn canonical(mut graph: Graph) -> Result<(Graph, HashMap<ValueId, Scales>), RuntimeError> {
    graph.sort().map_err(|e| RuntimeError::Prepare(e.into()))?;
    dead_nodes(&mut graph);
    identities(&mut graph);
    fuse_fake_quantize(&mut graph);
    let scales = scales(&graph);
    let mut graph = prepare(graph, &evaluate_for_pass)?;
    share(&mut graph);
    Ok((graph, scales))
}

/// Merges roundings of one value to one code: files repeat a dequantizer for each reader.
fn share(graph: &mut Graph) {
    let mut first: HashMap<ValueId, Vec<usize>> = HashMap::new();
    let mut twins = Vec::new();
    for (n, node) in graph.nodes.iter().enumerate() {
        let Some(input) = node.input(0).filter(|_| node.op.is_rounding()) else { continue };
        let known = first.entry(input).or_default();
        let same = |&&m: &&usize| graph.nodes[m].op == node.op;
        match known.iter().find(same) {
            Some(&m) if !graph.outputs.contains(&node.outputs[0]) => {
                twins.push((node.outputs[0], graph.nodes[m].outputs[0]));
            }
            _ => known.push(n),
        }
    }
    twins.into_iter().for_each(|(twin, first)| graph.replace_uses(twin, first));
    dead_nodes(graph);
}
