//! Running a rewritten network: every operator in float between quantizers that do what the integers would, wrapping included.
//! The plain meaning of a rewriting, for tests and for searches over small networks.

use super::RewriteError;
use super::limits::Limit;
use super::scales::{Scales, scales};
use super::thresholds::Thresholds;
use super::types::types;
use crate::target::Target;
use lowbit_engine::evaluate_for_pass;
use lowbit_graph::{Graph, ValueId};
use lowbit_tensor::Tensor;
use std::collections::HashMap;

/// The quantizers for bits per edge (in the order of `limits`).
///
/// # Errors
/// When no form is wide enough, or scales cannot be had.
pub fn quantizers(
    graph: &Graph,
    limits: &[Limit],
    bits: &[u8],
    target: &Target,
    thresholds: &Thresholds,
) -> Result<Scales, RewriteError> {
    let forms = types(graph, limits, bits, target)?;
    scales(graph, limits, bits, &forms, thresholds)
}

/// The outputs for these inputs. Without quantizers, those of the float network.
///
/// # Errors
/// When a node cannot be computed; the message names it.
pub fn run(graph: &Graph, scales: &Scales, inputs: &[Tensor]) -> Result<Vec<Tensor>, RewriteError> {
    let mut values: HashMap<ValueId, Tensor> =
        graph.inputs.iter().copied().zip(inputs.iter().cloned()).collect();
    for (n, node) in graph.nodes.iter().enumerate() {
        let mut read: Vec<Option<Tensor>> = Vec::new();
        for (i, value) in node.inputs.iter().enumerate() {
            let tensor = value.and_then(|id| {
                values.get(&id).cloned().or_else(|| graph.constant(id).map(|t| t.as_ref().clone()))
            });
            let quantizer = scales.edges.iter().find(|(e, _)| e.node.0 == n && e.input == i);
            read.push(match (tensor, quantizer) {
                (Some(tensor), Some((_, quantizer))) => {
                    let mut numbers = tensor.to_f32();
                    quantizer.apply_all(&mut numbers, tensor.shape());
                    Some(Tensor::from_f32(tensor.shape(), numbers))
                }
                (tensor, _) => tensor,
            });
        }
        let read: Vec<Option<&Tensor>> = read.iter().map(Option::as_ref).collect();
        let results = evaluate_for_pass(&node.op, &read)
            .map_err(|message| RewriteError::Evaluation { node: node.name.clone(), message })?;
        values.extend(node.outputs.iter().copied().zip(results));
    }
    let output = |id: &ValueId| {
        let tensor = values.get(id).cloned().ok_or_else(|| RewriteError::Evaluation {
            node: graph.value(*id).name.clone(),
            message: "nothing computes it".into(),
        })?;
        let mut numbers = tensor.to_f32();
        if let Some((_, quantizer)) = scales.outputs.iter().find(|(value, _)| value == id) {
            quantizer.apply_all(&mut numbers, tensor.shape());
        }
        Ok(Tensor::from_f32(tensor.shape(), numbers))
    };
    graph.outputs.iter().map(output).collect()
}

#[cfg(test)]
pub(crate) mod tests {
    use super::super::example::network;
    use super::super::limits::limits;
    use super::super::regions::regions;
    use super::*;
    use lowbit_graph::ops::{Add, Conv, Window};
    use lowbit_graph::passes::specialize;
    use lowbit_graph::{Dim, TensorType};
    use lowbit_tensor::DType;
    use std::collections::BTreeMap;

    /// The accumulator example: x · w + 0.2 with thresholds 2, 0.5, 1.5 and 0.25, on a map of two pixels.
    pub(crate) fn headroom() -> (Graph, Vec<Option<TensorType>>, Thresholds, Tensor) {
        let mut g = Graph::default();
        let dims = [1, 4, 1, 2].map(Dim::Known).to_vec();
        let x = g.add_input("x", DType::F32, dims);
        let w = g.add_constant("w", Tensor::from_f32([1, 4, 1, 1], vec![0.25, -0.5, 0.1, 0.3]));
        let b = g.add_constant("b", Tensor::from_f32([1, 1, 1, 1], vec![0.2]));
        let y = g.add_node("conv", Conv { window: Window::default(), group: 1 }, &[x, w]);
        let z = g.add_node("sum", Add, &[y, b]);
        g.outputs = vec![z];
        let (_, types) = specialize(&g, &BTreeMap::new(), &evaluate_for_pass).unwrap();
        let mut thresholds = Thresholds::default();
        for (value, threshold) in [(x, 2.0), (w, 0.5), (y, 1.5), (b, 0.25)] {
            thresholds.set(value, vec![threshold]);
        }
        let row = [0.5, -1.25, 0.75, 1.9];
        (g, types, thresholds, Tensor::from_f32([1, 4, 1, 2], row.iter().flat_map(|&x| [x, x]).collect()))
    }

    #[test]
    fn full_width_wraps_and_one_bit_less_is_right() {
        let (graph, types, thresholds, x) = headroom();
        let target = Target::named("int8-acc16").unwrap();
        let all = limits(&graph, &regions(&graph, &types, &target), &target);
        assert_eq!(all.iter().map(|l| l.bits).collect::<Vec<_>>(), [8, 8, 16, 16]);
        for (bits, value) in [(16, -1.405_334), (15, 1.594_666), (14, 1.594_666)] {
            let found = quantizers(&graph, &all, &[8, 8, bits, bits], &target, &thresholds).unwrap();
            let y = run(&graph, &found, std::slice::from_ref(&x)).unwrap()[0].to_f32();
            assert!(y.iter().all(|y| (y - value).abs() < 2e-6), "{bits} bits: {y:?}");
        }
    }

    #[test]
    fn without_codes_the_network_is_the_float_one() {
        let (graph, _) = network();
        let none = Scales { edges: Vec::new(), outputs: Vec::new() };
        let x = Tensor::from_f32([1, 2, 3, 3], (0..18).map(|i| i as f32 / 9.0 - 1.0).collect());
        let plain = run(&graph, &none, std::slice::from_ref(&x)).unwrap()[0].to_f32();
        let engine = lowbit_engine::Network::new(&graph).unwrap().run(&[x]).unwrap()[0].to_f32();
        assert!(plain.iter().zip(&engine).all(|(a, b)| (a - b).abs() < 1e-5));
    }
}
