//! Graph + Plan → a float network with rounding: what methods score, and what deployment computes.
//!
//! Weights become their decoded values, edges get a `FakeQuantize`, and a bias is rounded to the accumulator's grid
//! (int32 steps of input scale × weight scale), as an integer runtime holds it.

use crate::plan::Plan;
use crate::site::Sites;
use lowbit_graph::ops::FakeQuantize;
use lowbit_graph::{Graph, Node, NodeId, Op, ValueId};
use lowbit_tensor::number::{decode, encode};
use lowbit_tensor::{Code, Tensor};
use std::collections::HashMap;
use std::sync::Arc;

/// The simulated network.
pub fn simulate(graph: &Graph, sites: &Sites, plan: &Plan) -> Graph {
    let mut out = graph.clone();
    for (i, site) in sites.weights.iter().enumerate() {
        let node = site.node.0;
        if let Some(values) = decoded_weight(graph, sites, plan, i) {
            let shape = graph.constant(site.value).expect("weight sites are constants").shape();
            let name = out.fresh_name(&format!("{}.quantized", graph.value(site.value).name));
            let id = out.add_constant(name, Tensor::from_f32(shape, values));
            out.nodes[node].inputs[site.input] = Some(id);
        }
        if let Some(bias) = rounded_bias(graph, sites, plan, i) {
            let name = out.fresh_name(&format!("{}.bias.quantized", site.name));
            let id = out.add_constant(name, Tensor::from_f32([bias.values.len()], bias.values));
            out.nodes[node].inputs.resize(3, None);
            out.nodes[node].inputs[2] = Some(id);
        }
    }
    let mut after: HashMap<ValueId, Vec<Node>> = HashMap::new();
    for (site, setting) in sites.activations.iter().zip(&plan.activations) {
        let Some(Code::Uniform(code)) = &setting.code else { continue };
        let name = out.fresh_name(&format!("{}.quantized", site.name));
        let id = out.add_edge(name.clone());
        out.replace_uses(site.value, id);
        let op = Op::FakeQuantize(FakeQuantize { code: code.clone() });
        let node = Node { name, op, inputs: vec![Some(site.value)], outputs: vec![id] };
        after.entry(site.value).or_default().push(node);
    }
    // Each new node goes right behind the producer of what it rounds (graph inputs first of all).
    let mut nodes: Vec<Node> = graph.inputs.iter().filter_map(|v| after.remove(v)).flatten().collect();
    for node in std::mem::take(&mut out.nodes) {
        let behind: Vec<Node> = node.outputs.iter().filter_map(|v| after.remove(v)).flatten().collect();
        nodes.push(node);
        nodes.extend(behind);
    }
    out.nodes = nodes;
    out
}

/// The values that weight `i` decodes to, if it is quantized.
pub fn decoded_weight(graph: &Graph, sites: &Sites, plan: &Plan, i: usize) -> Option<Vec<f32>> {
    let setting = &plan.weights[i];
    let code = setting.code.as_ref()?;
    let tensor: &Arc<Tensor> = graph.constant(sites.weights[i].value)?;
    let mut values = setting.values.clone().unwrap_or_else(|| tensor.to_f32());
    code.fake_quantize(&mut values, tensor.shape());
    Some(values)
}

/// A bias on the accumulator's grid.
#[derive(Clone, Debug, PartialEq)]
pub struct Bias {
    /// Codes, if the layer runs on integers; `[out]`.
    pub codes: Option<Vec<i32>>,
    /// Real units per step, `[out]` (or one for all, as the weight's scale has it).
    pub scale: Vec<f32>,
    /// Decoded values, `[out]`.
    pub values: Vec<f32>,
}

/// The bias of the layer of weight `i` with its shift, on the grid of input scale × weight scale; `None` if the layer has
/// no bias input to speak of and needs none.
pub fn rounded_bias(graph: &Graph, sites: &Sites, plan: &Plan, i: usize) -> Option<Bias> {
    let site = &sites.weights[i];
    let node = &graph.nodes[site.node.0];
    if !matches!(node.op, Op::Conv(_) | Op::ConvTranspose(_) | Op::Gemm(_)) {
        return None;
    }
    let shift = plan.bias_shift.get(&i);
    let trained = node.input(2).map(|v| graph.constant(v).map(|t| t.to_f32()));
    let mut values = match (trained, shift) {
        (Some(None), _) | (None, None) => return None,
        (Some(Some(values)), _) => values,
        (None, Some(shift)) => vec![0.0; shift.len()],
    };
    if let Some(shift) = shift {
        if values.len() != shift.len() {
            values = vec![values.first().copied().unwrap_or(0.0); shift.len()];
        }
        values.iter_mut().zip(shift).for_each(|(b, s)| *b += s);
    }
    let input = site.reads.and_then(|r| plan.activations[r].code.as_ref());
    let (Some(Code::Uniform(input)), Some(Code::Uniform(weight))) = (input, &plan.weights[i].code) else {
        return Some(Bias { codes: None, scale: Vec::new(), values });
    };
    if input.axis.is_some() || weight.shift.is_some() {
        return Some(Bias { codes: None, scale: Vec::new(), values });
    }
    let scale: Vec<f32> = weight.scale.iter().map(|w| w * input.scale[0]).collect();
    let of = |c: usize| scale[if scale.len() == 1 { 0 } else { c }];
    let range = [i32::MIN, i32::MAX];
    let codes: Vec<i32> = values.iter().enumerate().map(|(c, &b)| encode(b, of(c), 0, range)).collect();
    let values = codes.iter().enumerate().map(|(c, &q)| decode(q, of(c), 0)).collect();
    Some(Bias { codes: Some(codes), scale, values })
}

/// Nodes whose layer runs on integers under a plan: weight and every data edge have codes.
pub fn runs_on_integers(sites: &Sites, plan: &Plan, node: NodeId) -> bool {
    sites.weights.iter().zip(&plan.weights).filter(|(s, _)| s.node == node).all(|(site, setting)| {
        setting.code.is_some() && site.reads.is_some_and(|r| plan.activations[r].code.is_some())
    })
}
