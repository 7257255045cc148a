//! Graph + Plan → a graph of `QuantizeLinear`/`DequantizeLinear` pairs that runtimes fuse into integer kernels.
//!
//! What is written computes what [`crate::simulate`] computes: read back and prepared, it is the same network.
//!
//! * An edge: `QuantizeLinear` (uint8) → `Clip` on the codes below 8 bits → `DequantizeLinear`. Of levels: the code's entry of a
//!   table in place of the `Clip`.
//! * A ReLU or clip that the codes already do (its ends are the end codes) is left out.
//! * A weight: int8 (packed as the flavour says) → `DequantizeLinear` per channel.
//! * An operand read through a window: a `BitWindow`, which the file has as a note on the layer.
//! * A bias: int32 with scale exactly input scale × weight scale, else runtimes do not fuse the layer.

use super::builder::Builder;
use super::{Flavour, edges, weights};
use crate::plan::Plan;
use crate::simulate::{edge_code, window};
use crate::site::Sites;
use lowbit_graph::{Graph, GraphError, ValueId};
use std::collections::HashMap;

/// The network with its plan written out.
///
/// # Errors
/// Only if the result cannot be ordered, which would be a fault of this pass.
pub fn qdq(graph: &Graph, sites: &Sites, plan: &Plan, flavour: Flavour) -> Result<Graph, GraphError> {
    let mut b = Builder::new(graph);
    let mut written = Vec::new();
    for i in 0..sites.weights.len() {
        weights::write(&mut b, graph, sites, plan, flavour, i, &mut written);
    }
    let outputs = b.graph.outputs.clone();
    let mut shared: HashMap<usize, Vec<edges::Rounding>> = HashMap::new();
    for (i, site) in sites.activations.iter().enumerate() {
        let Some(code) = edge_code(sites, plan, i) else { continue };
        // A folded activation goes when the end codes do its work.
        let redundant = |_: &ValueId| {
            let [low, high] = site.bounds;
            let [lo, hi] = code.ends();
            code.grid().axis.is_none()
                && (low == f32::NEG_INFINITY || code.encode(low) == lo)
                && (high == f32::INFINITY || code.encode(high) == hi)
        };
        let mut value = site.before_activation.filter(redundant).unwrap_or(site.value);
        let root = sites.root(i);
        let roundings =
            shared.entry(root).or_insert_with(|| edges::roundings(&mut b, site, &code, flavour)).clone();
        let mark = b.new.len();
        for rounding in &roundings {
            value = edges::rounded(&mut b, &site.name, rounding, value, flavour);
        }
        let added = b.new.split_off(mark);
        site.replace(&mut b.graph, value);
        b.new.extend(added);
    }
    for (i, site) in sites.weights.iter().enumerate() {
        let Some(op) = window(graph, sites, plan, i) else { continue };
        let edge = b.graph.nodes[site.node.0].inputs[0].expect("the edge that the window is for");
        let operand = b.node(format!("{}.window", site.name), op.into(), &[edge]);
        b.graph.nodes[site.node.0].inputs[0] = Some(operand);
    }
    keep_output_names(&mut b.graph, &outputs);
    let mut lowered = b.into_graph();
    lowered.sort()?;
    lowbit_graph::passes::dead_nodes(&mut lowered);
    Ok(lowered)
}

/// Where an output became another value, the two swap names, so that callers find what they knew.
fn keep_output_names(graph: &mut Graph, before: &[ValueId]) {
    for (i, (&old, &new)) in before.iter().zip(&graph.outputs.clone()).enumerate() {
        if old != new && !before[..i].contains(&old) {
            let name = std::mem::take(&mut graph.values[old.0].name);
            graph.values[old.0].name = std::mem::replace(&mut graph.values[new.0].name, name);
            let (dtype, shape) = (graph.values[old.0].dtype, graph.values[old.0].shape.clone());
            (graph.values[new.0].dtype, graph.values[new.0].shape) = (dtype, shape);
        }
    }
}
