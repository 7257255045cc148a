//! Gives batch normalization back to a network whose exporter folded it: training few bits without it is hard.
//!
//! Each convolution gets a normalization whose running statistics are those of its output on some samples, and whose
//! scale and shift undo it: the network computes what it computed, and has what training needs. Folding takes it out
//! again in the end.

use crate::error::TrainError;
use lowbit_engine::Network;
use lowbit_graph::ops::BatchNormalization;
use lowbit_graph::{Graph, Node, Op, ValueId};
use lowbit_tensor::Tensor;

const EPSILON: f32 = 1e-5;

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
        let deviation = |&[_, variance]: &[f64; 2]| (variance + f64::from(EPSILON)).sqrt() as f32;
        let scale: Vec<f32> = moments.iter().map(deviation).collect();
        let shift: Vec<f32> = moments.iter().map(|m| m[0] as f32).collect();
        let bias = |c: usize| bias.as_ref().map_or(0.0, |b| f64::from(b[c]));
        let mean = moments.iter().enumerate().map(|(c, m)| (m[0] - bias(c)) as f32).collect();
        let variance = moments.iter().map(|m| m[1] as f32).collect();
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
