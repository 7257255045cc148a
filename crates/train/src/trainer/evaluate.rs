//! What a deployed network must compute, by the quantizers themselves.

use super::Trainer;
use crate::error::TrainError;
use lowbit_engine::Network;
use lowbit_graph::passes::dead_nodes;
use lowbit_graph::{Dim, Graph, ValueId};
use lowbit_tensor::Tensor;

impl Trainer<'_> {
    /// First output for samples, by running statistics, edges rounded by the quantizers themselves: what a deployed network
    /// must compute.
    ///
    /// # Errors
    /// When the network cannot be run.
    pub fn evaluate(&self, input: &Tensor) -> Result<Vec<f32>, TrainError> {
        let result = self.result();
        let mut graph = self.model.with_values(&result, &self.model.running);
        let rounded: Vec<_> = self.model.edges.iter().map(|e| e.rounded).collect();
        // Cut at each rounded edge: what is before gives it, the quantizer rounds it, it becomes an input of the rest.
        let mut known = vec![(graph.inputs[0], input.clone())];
        for (edge, rounded) in self.model.edges.iter().zip(rounded) {
            let place = graph.nodes.iter().position(|n| n.outputs.first() == Some(&rounded));
            let Some(source) = place.and_then(|at| graph.nodes[at].input(0)) else { continue };
            let found = run_to(&graph, &known, source)?;
            let values = found.to_f32();
            let mut out = vec![0.0; values.len()];
            let rounding = edge.quantizer.clone().rounding();
            if let Some(group) = edge.parameters {
                rounding.set(&result[group]);
            }
            rounding.forward(self.isa, &values, &mut out);
            known.push((rounded, Tensor::from_f32(found.shape(), out)));
            if let Some(at) = place {
                graph.nodes.remove(at);
            }
        }
        let output = graph.outputs[0];
        Ok(run_to(&graph, &known, output)?.to_f32())
    }
}

/// A value of a graph, from values that are known.
fn run_to(graph: &Graph, known: &[(ValueId, Tensor)], value: ValueId) -> Result<Tensor, TrainError> {
    if let Some((_, found)) = known.iter().find(|(id, _)| *id == value) {
        return Ok(found.clone());
    }
    let mut part = graph.clone();
    part.inputs = known.iter().map(|(id, _)| *id).collect();
    for (id, tensor) in known {
        part.values[id.0].dtype = Some(tensor.dtype());
        part.values[id.0].shape = Some(tensor.shape().iter().map(|&d| Dim::Known(d)).collect());
    }
    part.outputs = vec![value];
    dead_nodes(&mut part);
    part.inputs.retain(|id| part.nodes.iter().any(|n| n.inputs.contains(&Some(*id))));
    let inputs: Vec<Tensor> = part
        .inputs
        .iter()
        .filter_map(|i| known.iter().find(|(id, _)| id == i))
        .map(|(_, t)| t.clone())
        .collect();
    Ok(Network::new(&part)?.run(&inputs)?.swap_remove(0))
}
