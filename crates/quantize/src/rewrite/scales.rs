//! Scales of every edge, and which must agree (HAGO, 3.5 and 3.6).
//!
//! A layer computes at the product of its operands' scales, everything else at the scale of what it reads. An addition needs
//! one scale: both operands take the larger. A concatenation takes the largest. ReLU and clip take what arrives: no
//! requantization stands before them, and their bits decide nothing.

use super::limits::Limit;
use super::quantizer::{Quantizer, scale, symmetric_range};
use super::thresholds::Thresholds;
use super::{Edge, RewriteError};
use crate::target::{Descriptor, ElementType};
use lowbit_graph::{Graph, Node, Op, ValueId};
use std::collections::HashMap;

/// The quantizers of a rewriting.
#[derive(Clone, Debug, PartialEq)]
pub struct Scales {
    /// By edge into a node that computes on codes, or from one into a node in float; in network order.
    pub edges: Vec<(Edge, Quantizer)>,
    /// By output of the network.
    pub outputs: Vec<(ValueId, Quantizer)>,
}

/// At what a value is computed: its scales, and the type.
type Produced = (Vec<f64>, ElementType);

/// The quantizers for these bits (by edge, in the order of `limits`) and forms.
///
/// # Errors
/// When a value lacks a threshold, or operands that must share a scale do not.
pub fn scales(
    graph: &Graph,
    limits: &[Limit],
    bits: &[u8],
    forms: &[Option<&Descriptor>],
    thresholds: &Thresholds,
) -> Result<Scales, RewriteError> {
    let mut produced: HashMap<ValueId, Produced> = HashMap::new();
    let mut edges = Vec::new();
    let at = |produced: &HashMap<ValueId, Produced>, value: ValueId| {
        produced.get(&value).cloned().unwrap_or((vec![1.0], ElementType::F32))
    };
    for (n, node) in graph.nodes.iter().enumerate() {
        let Some(form) = forms[n] else {
            // A reader in float gets real numbers of what was codes.
            for edge in super::edges(graph).into_iter().filter(|e| e.node.0 == n) {
                let (in_scale, in_type) = at(&produced, edge.value);
                if in_type.is_integer() {
                    edges.push((edge, dequantizer(in_scale, in_type)));
                }
            }
            continue;
        };
        let mut own = Vec::new();
        for (limit, &bits) in limits.iter().zip(bits).filter(|(l, _)| l.edge.node.0 == n) {
            let edge = limit.edge;
            let (in_scale, in_type) = at(&produced, edge.value);
            let ends = thresholds
                .of(edge.value)
                .ok_or_else(|| RewriteError::NoThreshold(graph.value(edge.value).name.clone()))?;
            let out_scale = ends.iter().map(|&t| scale(t, bits)).collect();
            let out_type = form.input(edge.input);
            let axis = if graph.constant(edge.value).is_some() && is_layer(node) { 0 } else { 1 };
            own.push((
                edge,
                Quantizer { in_scale, in_type, out_scale, out_type, clip: symmetric_range(bits), axis },
            ));
        }
        rectify(node, form, &mut own);
        let result = result_scale(node, &own)?;
        produced.extend(node.outputs.iter().map(|&output| (output, (result.clone(), form.out))));
        edges.extend(own);
    }
    let outputs = graph.outputs.iter().map(|&value| {
        let (in_scale, in_type) = at(&produced, value);
        (value, dequantizer(in_scale, in_type))
    });
    Ok(Scales { outputs: outputs.collect(), edges })
}

fn is_layer(node: &Node) -> bool {
    matches!(node.op, Op::Conv(_) | Op::ConvTranspose(_) | Op::Gemm(_) | Op::MatMul(_))
}

fn dequantizer(in_scale: Vec<f64>, in_type: ElementType) -> Quantizer {
    Quantizer { in_scale, in_type, out_scale: vec![1.0], out_type: ElementType::F32, clip: [0, 0], axis: 1 }
}

/// Brings operands to the scales at which the operator can compute.
fn rectify(node: &Node, form: &Descriptor, operands: &mut [(Edge, Quantizer)]) {
    match node.op {
        Op::Add(_) | Op::Concat(_) if !form.own_scales => {
            let largest = operands.iter().flat_map(|(_, q)| &q.out_scale).copied().fold(0.0, f64::max);
            for (_, q) in operands {
                q.out_scale = vec![largest];
            }
        }
        // The codes stay what they are; only the type ends them.
        Op::Relu(_) | Op::Clip(_) => {
            for (_, q) in operands.iter_mut().filter(|(_, q)| q.in_type.is_integer()) {
                q.out_scale = q.in_scale.clone();
                q.clip = q.out_type.range();
            }
        }
        _ => {}
    }
}

/// The scale at which a node computes.
fn result_scale(node: &Node, operands: &[(Edge, Quantizer)]) -> Result<Vec<f64>, RewriteError> {
    let Some((_, first)) = operands.first() else { return Ok(vec![1.0]) };
    if is_layer(node) {
        let empty = vec![1.0];
        let second = operands.get(1).map_or(&empty, |(_, q)| &q.out_scale);
        return Ok(second.iter().map(|w| first.out_scale[0] * w).collect());
    }
    if let Some((_, odd)) = operands.iter().find(|(_, q)| q.out_scale != first.out_scale) {
        let scales = format!("{:?} and {:?}", first.out_scale, odd.out_scale);
        return Err(RewriteError::Scales { op: node.op.name(), node: node.name.clone(), scales });
    }
    Ok(first.out_scale.clone())
}

#[cfg(test)]
mod tests {
    use super::super::example::{accelerator, network};
    use super::super::limits::limits;
    use super::super::regions::regions;
    use super::super::types::types;
    use super::*;

    fn found(lower: impl Fn(&str) -> Option<u8>) -> (Graph, Scales) {
        let (graph, shapes) = network();
        let target = accelerator();
        let all = limits(&graph, &regions(&graph, &shapes, &target), &target);
        let name =
            |l: &Limit| format!("{}->{}", graph.value(l.edge.value).name, graph.nodes[l.edge.node.0].name);
        let bits: Vec<u8> = all.iter().map(|l| lower(&name(l)).unwrap_or(l.bits)).collect();
        let forms = types(&graph, &all, &bits, &target).unwrap();
        let mut thresholds = Thresholds::default();
        for (i, _) in graph.values.iter().enumerate() {
            thresholds.set(ValueId(i), vec![1.0 + i as f64]);
        }
        let found = scales(&graph, &all, &bits, &forms, &thresholds).unwrap();
        (graph, found)
    }

    fn edge<'a>(graph: &Graph, scales: &'a Scales, from: &str, to: &str) -> &'a Quantizer {
        let is = |(e, _): &&(Edge, Quantizer)| {
            graph.value(e.value).name == from && graph.nodes[e.node.0].name == to
        };
        &scales.edges.iter().find(is).unwrap().1
    }

    #[test]
    fn a_layer_computes_at_the_product_and_additions_share_the_larger() {
        let (graph, scales) = found(|name| (name == "relu->add_res").then_some(20));
        let at = |from, to| edge(&graph, &scales, from, to);
        let product = at("data", "conv1").out_scale[0] * at("w.conv1", "conv1").out_scale[0];
        assert_eq!(at("conv1", "add_b1").in_scale, [product]);
        let (sum, skip) = (at("add_b2", "add_res"), at("relu", "add_res"));
        assert_eq!(sum.out_scale, skip.out_scale);
        // Twelve bits fewer decide, whatever the thresholds.
        let relu = graph.find("relu").unwrap();
        assert_eq!(skip.out_scale, [scale(1.0 + relu.0 as f64, 20)]);
    }

    #[test]
    fn a_relu_takes_what_arrives_and_one_tensor_may_be_stored_at_two_scales() {
        let (graph, scales) = found(|name| (name == "add_b1->relu").then_some(4));
        let relu = edge(&graph, &scales, "add_b1", "relu");
        assert_eq!((&relu.out_scale, relu.clip), (&relu.in_scale, ElementType::I32.range()));
        let (layer, sum) = (edge(&graph, &scales, "relu", "conv2"), edge(&graph, &scales, "relu", "add_res"));
        assert_eq!(layer.in_scale, sum.in_scale);
        assert_ne!(layer.out_scale, sum.out_scale);
        let pool = edge(&graph, &scales, "relu2", "pool");
        assert_eq!((pool.in_type, pool.out_type), (ElementType::I32, ElementType::F32));
    }
}
