//! Gives batch normalization back to a network whose exporter folded it: training few bits without it is hard.
//!
//! Each convolution gets a normalization whose running statistics are those of its output on some samples, and whose
//! scale and shift undo it: the network computes what it computed, and has what training needs. Folding takes it out
//! again in the end.
//!
//! Folding multiplied each filter by its normalization's gain. Behind a normalization a filter's length changes nothing
//! but how fast it learns (a step turns it by rate / length²) and, where a layer's filters share a step or a threshold, how
//! well that fits. So filters are brought to one length, and the normalizations take over the rest.

use crate::error::TrainError;
use lowbit_engine::Network;
use lowbit_graph::ops::BatchNormalization;
use lowbit_graph::{Graph, Node, Op, ValueId};
use lowbit_tensor::Tensor;
use std::sync::Arc;

const EPSILON: f32 = 1e-5;

/// Euclidean length that filters are given.
const LENGTH: f64 = 2.0;
/// Filters shorter than this are left alone.
const LEAST: f64 = 1e-12;

/// Whether the network has convolutions and none is normalized.
pub fn is_folded(graph: &Graph) -> bool {
    let has = |found: fn(&Op) -> bool| graph.nodes.iter().any(|node| found(&node.op));
    has(|op| matches!(op, Op::Conv(_))) && !has(|op| matches!(op, Op::BatchNormalization(_)))
}

/// The network with a normalization behind every convolution that has a constant weight and is no output, measured on
/// `batches` of the network's one input.
///
/// # Errors
/// When the network cannot be run.
pub fn insert(graph: &Graph, batches: &[Tensor]) -> Result<Graph, TrainError> {
    let convs: Vec<usize> = (0..graph.nodes.len())
        .filter(|&n| {
            let node = &graph.nodes[n];
            let conv = matches!(node.op, Op::Conv(_)) && graph.constant_input(node, 1).is_some();
            conv && !graph.outputs.contains(&node.outputs[0])
        })
        .collect();
    let edges: Vec<ValueId> = convs.iter().map(|&n| graph.nodes[n].outputs[0]).collect();
    let moments = moments(graph, &edges, batches)?;
    let mut out = graph.clone();
    for ((&n, &edge), moments) in convs.iter().zip(&edges).zip(moments).rev() {
        let name = out.fresh_name(&format!("{}.norm", graph.nodes[n].name));
        let before = out.add_edge(format!("{name}.input"));
        out.nodes[n].outputs[0] = before;
        // The shift takes over the bias: behind a normalization one of its own does nothing.
        let bias = graph.constant_input(&graph.nodes[n], 2).map(|b| b.to_f32());
        if bias.is_some() {
            out.nodes[n].inputs.truncate(2);
        }
        let factor = even_out(&mut out, n);
        let factor = |c: usize| factor.get(c).copied().unwrap_or(1.0);
        let each = |of: &dyn Fn(usize, [f64; 2]) -> f64| -> Vec<f32> {
            moments.iter().enumerate().map(|(c, &m)| of(c, m) as f32).collect()
        };
        // Statistics are those of the filter as it is now, 1/factor as long; epsilon is added to its variance.
        let variance = each(&|c, m| m[1] / factor(c).powi(2));
        let scale = each(&|c, m| (m[1] + factor(c).powi(2) * f64::from(EPSILON)).sqrt());
        let shift = each(&|_, m| m[0]);
        let bias = |c: usize| bias.as_ref().map_or(0.0, |b| f64::from(b[c]));
        let mean = each(&|c, m| (m[0] - bias(c)) / factor(c));
        let mut inputs = vec![Some(before)];
        for (what, values) in [("scale", scale), ("shift", shift), ("mean", mean), ("variance", variance)] {
            let tensor = Tensor::from_f32([values.len()], values);
            inputs.push(Some(out.add_constant(format!("{name}.{what}"), tensor)));
        }
        let op = Op::BatchNormalization(BatchNormalization { epsilon: EPSILON });
        out.nodes.insert(n + 1, Node { name, op, inputs, outputs: vec![edge] });
    }
    Ok(out)
}

/// Gives the filters of a convolution the same length, and returns by how much each was longer. None where another node
/// reads the weight too.
fn even_out(graph: &mut Graph, conv: usize) -> Vec<f64> {
    let Some(weight) = graph.nodes[conv].input(1) else { return Vec::new() };
    let readers = graph.nodes.iter().flat_map(|node| &node.inputs).filter(|input| **input == Some(weight));
    if readers.count() > 1 || graph.outputs.contains(&weight) {
        return Vec::new();
    }
    let Some(tensor) = graph.constant(weight) else { return Vec::new() };
    let (shape, mut values) = (tensor.shape().to_vec(), tensor.to_f32());
    let len = (values.len() / shape[0].max(1)).max(1);
    let even = |filter: &mut [f32]| {
        let length = filter.iter().map(|&w| f64::from(w).powi(2)).sum::<f64>().sqrt();
        // A filter of nothing has no direction.
        let factor = if length > LEAST { length / LENGTH } else { 1.0 };
        filter.iter_mut().for_each(|w| *w = (f64::from(*w) / factor) as f32);
        factor
    };
    let factors = values.chunks_mut(len).map(even).collect();
    graph.set_constant(weight, Arc::new(Tensor::from_f32(shape, values)));
    factors
}

/// Mean and biased variance of each channel of some edges.
fn moments(graph: &Graph, edges: &[ValueId], batches: &[Tensor]) -> Result<Vec<Vec<[f64; 2]>>, TrainError> {
    let mut seen = graph.clone();
    seen.outputs = edges.to_vec();
    let network = Network::new(&seen)?;
    // Count, sum, sum of squares.
    let mut sums: Vec<Vec<[f64; 3]>> = vec![Vec::new(); edges.len()];
    for batch in batches {
        for (sums, output) in sums.iter_mut().zip(network.run(std::slice::from_ref(batch))?) {
            let shape = output.shape();
            let (channels, cells) = (shape[1], shape[2..].iter().product::<usize>());
            sums.resize(channels, [0.0; 3]);
            for (i, run) in output.to_f32().chunks(cells.max(1)).enumerate() {
                let sum = &mut sums[i % channels];
                sum[0] += run.len() as f64;
                sum[1] += run.iter().map(|&x| f64::from(x)).sum::<f64>();
                sum[2] += run.iter().map(|&x| f64::from(x) * f64::from(x)).sum::<f64>();
            }
        }
    }
    let moment = |[n, sum, squares]: [f64; 3]| {
        let mean = sum / n.max(1.0);
        [mean, (squares / n.max(1.0) - mean * mean).max(0.0)]
    };
    Ok(sums.into_iter().map(|sums| sums.into_iter().map(moment).collect()).collect())
}
