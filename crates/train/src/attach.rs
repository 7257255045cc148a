//! From a recipe's bits to quantizers: which one each weight and edge gets.

use crate::model::Quantizers;
use crate::quantizers::{
    Binary, ByChannel, EdgeQuantizer, Lcq, LcqEdge, Lsq, LsqEdge, Stochastic, Ternary, WeightQuantizer,
};
use crate::recipe::{OfEdges, OfWeights, Quantizer, TrainRecipe};
use lowbit_graph::{Graph, Op, TensorType, ValueId};
use lowbit_quantize::plan::{Plan, Setting};
use lowbit_quantize::site::Sites;
use std::sync::Arc;

/// Intervals of the companding function where the recipe does not say.
const INTERVALS: usize = 16;

/// Quantizers for the sites of a folded graph, with the bits of a plan; `types` are those of one sample.
pub fn attach(
    recipe: &TrainRecipe,
    graph: &Graph,
    types: &[Option<TensorType>],
    sites: &Sites,
    plan: &Plan,
) -> Quantizers {
    let weights = sites.weights.iter().zip(&plan.weights).filter(|(_, setting)| setting.is_quantized());
    let weights = weights.filter_map(|(site, setting)| {
        let shape = graph.constant(site.value)?.shape();
        let elements: usize = shape.iter().product();
        let filter = elements / site.channel_axis.map_or(1, |axis| shape[axis]).max(1);
        let (options, kind) = (&recipe.quantizer, recipe.quantizer.weights?);
        let quantizer = weight(options, kind, setting, elements, filter, !recipe.train.stages.is_empty());
        // Filters lie one after the other where output channels are axis 0.
        let quantizer = match site.channel_axis.filter(|axis| *axis > 0) {
            Some(axis) if matches!(kind, OfWeights::Bwn | OfWeights::Twn) => {
                Box::new(ByChannel::new(quantizer, shape, axis))
            }
            _ => quantizer,
        };
        Some((site.name.clone(), quantizer))
    });
    let edges = sites.activations.iter().zip(&plan.activations);
    let edges = edges.filter(|(site, setting)| site.follows.is_none() && setting.is_quantized());
    let edges = edges.filter_map(|(site, setting)| {
        let elements = types[site.value.0].as_ref().map_or(1, TensorType::len);
        let signed = !non_negative(graph, site.value, 0);
        Some((
            site.name.clone(),
            edge(&recipe.quantizer, recipe.quantizer.activations?, setting, signed, elements),
        ))
    });
    Quantizers { weights: weights.collect(), edges: edges.collect() }
}

fn weight(
    options: &Quantizer,
    kind: OfWeights,
    setting: &Setting,
    elements: usize,
    filter: usize,
    staged: bool,
) -> Box<dyn WeightQuantizer> {
    let bits = setting.bits_of(0);
    let Quantizer { form, probability, unit, threshold, .. } = *options;
    let intervals = options.intervals.unwrap_or(INTERVALS);
    let (binary, ternary) = (Binary { filter }, Ternary { filter, threshold });
    match kind {
        OfWeights::Lcq if bits < 8 => {
            Box::new(Lcq::new(bits, elements, intervals, options.straight_through).shaped(options.shape_rate))
        }
        // At 8 bits levels have no shape worth learning.
        OfWeights::Lsq | OfWeights::Lcq => Box::new(Lsq::new(bits, elements, options.start)),
        OfWeights::Bwn if staged => Box::new(Stochastic::new(binary, filter, form, probability, unit)),
        OfWeights::Bwn => Box::new(binary),
        OfWeights::Twn if staged => Box::new(Stochastic::new(ternary, filter, form, probability, unit)),
        OfWeights::Twn => Box::new(ternary),
    }
}

fn edge(
    options: &Quantizer,
    kind: OfEdges,
    setting: &Setting,
    signed: bool,
    elements: usize,
) -> Arc<dyn EdgeQuantizer> {
    let bits = setting.bits_of(0);
    match kind {
        OfEdges::Lcq if bits < 8 => {
            let intervals = options.intervals.unwrap_or(INTERVALS);
            let edge = LcqEdge::new(bits, signed, elements, intervals, options.straight_through);
            Arc::new(edge.shaped(options.shape_rate))
        }
        OfEdges::Lsq | OfEdges::Lcq => Arc::new(LsqEdge::new(bits, signed, elements)),
    }
}

/// Whether a value cannot be below zero, as far as a few nodes back tell.
fn non_negative(graph: &Graph, value: ValueId, depth: usize) -> bool {
    let producer = graph.nodes.iter().find(|node| node.outputs.contains(&value));
    let Some(node) = producer.filter(|_| depth < 16) else { return false };
    let all = |inputs: &[usize]| {
        inputs.iter().all(|&i| node.input(i).is_some_and(|v| non_negative(graph, v, depth + 1)))
    };
    match &node.op {
        Op::Relu(_) | Op::Sigmoid(_) | Op::HardSigmoid(_) | Op::Softmax(_) => true,
        Op::Clip(_) => {
            graph.constant_input(node, 1).is_some_and(|low| low.to_f32().iter().all(|&x| x >= 0.0))
                || all(&[0])
        }
        Op::MaxPool(_)
        | Op::AveragePool(_)
        | Op::GlobalAveragePool(_)
        | Op::Flatten(_)
        | Op::Reshape(_)
        | Op::Squeeze(_)
        | Op::Unsqueeze(_)
        | Op::Transpose(_)
        | Op::Slice(_)
        | Op::ReduceMean(_) => all(&[0]),
        Op::Add(_) | Op::Mul(_) => all(&[0, 1]),
        Op::Concat(_) => all(&(0..node.inputs.len()).collect::<Vec<_>>()),
        _ => false,
    }
}
