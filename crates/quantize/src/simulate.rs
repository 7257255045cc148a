//! Graph + Plan → a float network with rounding: what methods score, and what deployment computes.
//!
//! Weights become their decoded values, edges get a `FakeQuantize`, and a bias is rounded to the accumulator's grid
//! ([`crate::bias`]), as an integer runtime holds it.

use crate::bias;
use crate::plan::Plan;
use crate::site::Sites;
use lowbit_graph::ops::FakeQuantize;
use lowbit_graph::{Graph, Node, NodeId, Op, ValueId};
use lowbit_tensor::{Code, Tensor, Uniform};
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
        if let Some(bias) = bias::rounded(graph, sites, plan, i) {
            let name = out.fresh_name(&format!("{}.bias.quantized", site.name));
            let id = out.add_constant(name, Tensor::from_f32(bias.shape, bias.values));
            out.nodes[node].inputs.resize(3, None);
            out.nodes[node].inputs[2] = Some(id);
        }
    }
    let mut after: HashMap<ValueId, Vec<Node>> = HashMap::new();
    for (i, site) in sites.activations.iter().enumerate() {
        let Some(code) = edge_code(sites, plan, i) else { continue };
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

/// The code that rounds edge `i`, if one does.
///
/// What follows an edge with a code per channel is not rounded again: its values are levels already, and its channels
/// may be others.
pub fn edge_code<'a>(sites: &Sites, plan: &'a Plan, i: usize) -> Option<&'a Uniform> {
    let Some(Code::Uniform(code)) = &plan.activations[i].code else { return None };
    (code.axis.is_none() || sites.activations[i].follows.is_none()).then_some(code)
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

/// Nodes whose layer runs on integers under a plan: weight and every data edge have codes.
pub fn runs_on_integers(sites: &Sites, plan: &Plan, node: NodeId) -> bool {
    sites.weights.iter().zip(&plan.weights).filter(|(s, _)| s.node == node).all(|(site, setting)| {
        setting.code.is_some() && site.reads.is_some_and(|r| plan.activations[r].code.is_some())
    })
}
