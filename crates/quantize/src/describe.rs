//! What a plan did to each layer, as report data.

use std::collections::BTreeSet;

use crate::evaluate::sqnr_db;
use crate::observe::Observations;
use crate::plan::Plan;
use crate::report::{Activation, Histogram, Layer, Weight};
use crate::simulate::decoded_weight;
use crate::site::Sites;
use lowbit_graph::{Graph, Input, NodeId, TensorType};
use lowbit_tensor::{Code, Uniform};

/// Bins of a histogram in a report: what a page can draw.
const BINS: usize = 96;

/// A layer with its sites: what one entry of the report is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LayerSites {
    /// Its node; `None` for a graph input.
    pub node: Option<NodeId>,
    /// Weight site.
    pub weight: Option<usize>,
    /// Site of its output edge (after a folded activation).
    pub activation: Option<usize>,
}

/// The layers that have sites, in network order.
pub fn layers_with_sites(graph: &Graph, sites: &Sites) -> Vec<LayerSites> {
    let edge = |outputs: &[lowbit_graph::ValueId]| {
        sites.activations.iter().position(|site| {
            let source = site.before_activation.unwrap_or(site.value);
            site.follows.is_none() && outputs.contains(&source)
        })
    };
    let inputs = graph.inputs.iter().filter_map(|&input| {
        Some(LayerSites { node: None, weight: None, activation: Some(edge(&[input])?) })
    });
    let nodes = graph.nodes.iter().enumerate().filter_map(|(n, node)| {
        let weight = sites.weights.iter().position(|w| w.node == NodeId(n));
        let activation = edge(&node.outputs);
        (weight.is_some() || activation.is_some()).then_some(LayerSites {
            node: Some(NodeId(n)),
            weight,
            activation,
        })
    });
    inputs.chain(nodes).collect()
}

/// Report entries of those layers; `types` are those of one sample.
pub fn layers(
    graph: &Graph,
    types: &[Option<TensorType>],
    sites: &Sites,
    plan: &Plan,
    seen: &Observations,
) -> Vec<Layer> {
    let entries = layers_with_sites(graph, sites);
    let reads = reads(graph, sites, &entries);
    entries
        .into_iter()
        .zip(reads)
        .map(|(layer, reads)| Layer {
            reads,
            weight: layer.weight.and_then(|i| weight(graph, sites, plan, i)),
            activation: layer.activation.and_then(|i| activation(sites, plan, seen, i)),
            ..skeleton(graph, types, sites, layer)
        })
        .collect()
}

/// For each layer the layers whose results reach it, directly or through nodes that are none.
fn reads(graph: &Graph, sites: &Sites, layers: &[LayerSites]) -> Vec<Vec<usize>> {
    // Layers behind each value; a node that is no layer hands on those of all its inputs.
    let mut behind = vec![Vec::new(); graph.values.len()];
    for (i, layer) in layers.iter().enumerate().filter(|(_, layer)| layer.node.is_none()) {
        if let Some(site) = layer.activation {
            behind[sites.activations[site].value.0] = vec![i];
        }
    }
    let mut reads = vec![Vec::new(); layers.len()];
    for (n, node) in graph.nodes.iter().enumerate() {
        let sources = node.inputs.iter().flatten().flat_map(|input| behind[input.0].iter().copied());
        let sources: Vec<usize> = sources.collect::<BTreeSet<_>>().into_iter().collect();
        let layer = layers.iter().position(|layer| layer.node == Some(NodeId(n)));
        for output in &node.outputs {
            behind[output.0] = layer.map_or_else(|| sources.clone(), |i| vec![i]);
        }
        if let Some(i) = layer {
            reads[i] = sources;
        }
    }
    reads
}

/// Name, operators, shape and cost of a layer.
pub fn skeleton(graph: &Graph, types: &[Option<TensorType>], sites: &Sites, layer: LayerSites) -> Layer {
    let Some(n) = layer.node else {
        let name = layer.activation.map_or(String::new(), |i| sites.activations[i].name.clone());
        let shape = layer.activation.and_then(|i| types[sites.activations[i].value.0].clone());
        return Layer { name, op: "Input".into(), output_shape: rows(shape), ..Layer::default() };
    };
    let node = &graph.nodes[n.0];
    let folded = layer.activation.and_then(|i| sites.activations[i].before_activation.map(|_| i));
    let activation = folded.and_then(|i| {
        graph
            .nodes
            .iter()
            .find(|other| other.outputs.contains(&sites.activations[i].value))
            .map(|n| n.op.name())
    });
    let op = [Some(node.op.name()), activation].into_iter().flatten().collect::<Vec<_>>().join(" + ");
    Layer {
        name: node.name.clone(),
        op,
        output_shape: rows(types[node.outputs[0].0].clone()),
        macs: macs(graph, types, n),
        ..Layer::default()
    }
}

/// The shape without its batch axis.
fn rows(ty: Option<TensorType>) -> Vec<usize> {
    ty.map_or(Vec::new(), |t| t.shape.into_iter().skip(1).collect())
}

/// Multiply-accumulates of a node for one sample.
pub fn macs(graph: &Graph, types: &[Option<TensorType>], n: NodeId) -> u64 {
    let node = &graph.nodes[n.0];
    let of = |id: lowbit_graph::ValueId| types[id.0].clone();
    let input = |id| Some(Input { ty: of(id)?, value: graph.constant(id).map(|t| t.as_ref()) });
    let inputs: Vec<Option<Input<'_>>> = node.inputs.iter().map(|i| i.and_then(input)).collect();
    let outputs: Option<Vec<TensorType>> = node.outputs.iter().map(|&o| of(o)).collect();
    outputs.filter(|o| !o.is_empty()).map_or(0, |outputs| node.op.macs(&inputs, &outputs))
}

fn weight(graph: &Graph, sites: &Sites, plan: &Plan, i: usize) -> Option<Weight> {
    let (site, setting) = (&sites.weights[i], &plan.weights[i]);
    let code = setting.code.as_ref()?;
    let tensor = graph.constant(site.value)?;
    let (float, decoded) = (tensor.to_f32(), decoded_weight(graph, sites, plan, i)?);
    let square = |x: f32| f64::from(x) * f64::from(x);
    let signal = float.iter().map(|&w| square(w)).sum();
    let noise = float.iter().zip(&decoded).map(|(w, q)| square(w - q)).sum();
    let bits = code.channel_bits();
    let mut by_bits = vec![0; 9];
    bits.iter().for_each(|&b| by_bits[b.min(8)] += 1);
    let alike = bits.iter().all(|&b| b == bits[0]);
    Some(Weight {
        shape: tensor.shape().to_vec(),
        bits: code.mean_bits(),
        channels_by_bits: if alike { Vec::new() } else { by_bits },
        bytes: code.stored_bytes(tensor.shape()) as u64,
        float_bytes: 4 * tensor.len() as u64,
        sqnr_db: sqnr_db(signal, noise),
        set_by: setting.set_by.join(", "),
    })
}

fn activation(sites: &Sites, plan: &Plan, seen: &Observations, i: usize) -> Option<Activation> {
    let setting = &plan.activations[i];
    let code = setting.code.as_ref()?;
    let grid = code.integer()?;
    let stats = &seen.edges[i];
    // A per-channel code has no one rounding; its first channel stands for the picture only.
    let round = |x: f32| match code {
        Code::Levels(code) => code.decode(code.encode(x, 0), 0),
        _ => grid.decode(grid.encode(x, 0), 0),
    };
    let levels: Vec<f32> = match code {
        Code::Levels(code) => code.levels.iter().map(|&level| code.decode(level, 0)).collect(),
        _ => Vec::new(),
    };
    let [lo, hi] = match levels.as_slice() {
        [first, .., last] => [*first, *last],
        _ => clip(grid),
    };
    let (mut signal, mut noise, mut outside, mut total) = (0.0, 0.0, 0u64, 0u64);
    let half = stats.histogram.width() / 2.0;
    for (x, n) in stats.histogram.centres() {
        let y = round(x);
        signal += n as f64 * f64::from(x).powi(2);
        noise += n as f64 * f64::from(y - x).powi(2);
        // A bin counts as clipped only if all of it lies outside.
        outside += if x + half < lo || x - half > hi { n } else { 0 };
        total += n;
    }
    Some(Activation {
        name: sites.activations[i].name.clone(),
        bits: match code {
            Code::Levels(code) => code.bits(),
            _ => grid.max_bits(),
        },
        clip_lo: lo,
        clip_hi: hi,
        levels,
        min: stats.tensor.min,
        max: stats.tensor.max,
        clipped_percent: 100.0 * outside as f64 / total.max(1) as f64,
        sqnr_db: if grid.axis.is_none() { sqnr_db(signal, noise) } else { None },
        histogram: drawable(&stats.histogram),
        set_by: setting.set_by.join(", "),
    })
}

/// Lowest and highest real value that a code has.
fn clip(code: &Uniform) -> [f32; 2] {
    let ends = (0..code.bits.len()).map(|c| code.range(c).map(|q| code.decode(q, c)));
    ends.fold([0.0, 0.0], |[lo, hi], [a, b]| [lo.min(a), hi.max(b)])
}

/// A histogram with few enough bins to draw.
fn drawable(histogram: &lowbit_tensor::Histogram) -> Histogram {
    let join = histogram.counts().len().div_ceil(BINS).max(1);
    Histogram {
        lo: histogram.lo(),
        width: histogram.width() * join as f32,
        counts: histogram.counts().chunks(join).map(|bins| bins.iter().sum()).collect(),
    }
}

/// The plan with only one layer quantized: its weight and its output edge.
pub fn alone(plan: &Plan, sites: &Sites, layer: LayerSites) -> Plan {
    let mut only = plan.clone();
    for (i, setting) in only.weights.iter_mut().enumerate() {
        if layer.weight != Some(i) {
            setting.code = None;
        }
    }
    for (i, setting) in only.activations.iter_mut().enumerate() {
        if layer.activation.is_none_or(|own| sites.root(i) != own) {
            setting.code = None;
        }
    }
    only.bias_shift.retain(|i, _| layer.weight == Some(*i));
    only
}
