//! Graph + Plan → a float network with rounding: what methods score, and what deployment computes.
//!
//! Weights become their decoded values, edges get a `FakeQuantize` (or `FakeLevels`), and a bias is rounded to the accumulator's
//! grid ([`crate::bias`]), as an integer runtime holds it. A layer that reads an edge through a window gets a `BitWindow` of its own.

use crate::bias;
use crate::plan::Plan;
use crate::site::Sites;
use lowbit_graph::ops::{BitWindow, FakeLevels, FakeQuantize};
use lowbit_graph::{Graph, Node, NodeId, Op, ValueId};
use lowbit_tensor::{Code, Levels, Tensor, Uniform};
use std::borrow::Cow;
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
        site.replace(&mut out, id);
        let op = match code {
            EdgeCode::Uniform(code) => FakeQuantize { code: code.into_owned() }.into(),
            EdgeCode::Levels(code) => FakeLevels { code: code.clone().into() }.into(),
        };
        let node = Node { name, op, inputs: vec![Some(site.value)], outputs: vec![id] };
        after.entry(site.value).or_default().push(node);
    }
    let mut before: HashMap<usize, Node> = HashMap::new();
    for (i, site) in sites.weights.iter().enumerate() {
        let Some(op) = window(graph, sites, plan, i) else { continue };
        let name = out.fresh_name(&format!("{}.window", site.name));
        let id = out.add_edge(name.clone());
        let x = out.nodes[site.node.0].inputs[0].replace(id);
        before.insert(site.node.0, Node { name, op: op.into(), inputs: vec![x], outputs: vec![id] });
    }
    // Each new node goes right behind the producer of what it rounds (graph inputs first of all), or before its one reader.
    let mut nodes: Vec<Node> = graph.inputs.iter().filter_map(|v| after.remove(v)).flatten().collect();
    for (n, node) in std::mem::take(&mut out.nodes).into_iter().enumerate() {
        nodes.extend(before.remove(&n));
        let behind: Vec<Node> = node.outputs.iter().filter_map(|v| after.remove(v)).flatten().collect();
        nodes.push(node);
        nodes.extend(behind);
    }
    out.nodes = nodes;
    out
}

/// What rounds an edge. Levels that are all codes of a width are a uniform code by now.
#[derive(Clone, Debug, PartialEq)]
pub enum EdgeCode<'a> {
    /// Evenly spaced levels.
    Uniform(Cow<'a, Uniform>),
    /// Some codes of a grid.
    Levels(&'a Levels),
}

impl EdgeCode<'_> {
    /// Its evenly spaced codes: all of them, or those that levels are taken from.
    pub fn grid(&self) -> &Uniform {
        match self {
            EdgeCode::Uniform(code) => code,
            EdgeCode::Levels(code) => &code.grid,
        }
    }

    /// Lowest and highest code of the first channel.
    pub fn ends(&self) -> [i32; 2] {
        match self {
            EdgeCode::Uniform(code) => code.range(0),
            EdgeCode::Levels(code) => [code.levels[0], code.levels[code.levels.len() - 1]],
        }
    }

    /// Code of a real number in the first channel.
    pub fn encode(&self, x: f32) -> i32 {
        match self {
            EdgeCode::Uniform(code) => code.encode(x, 0),
            EdgeCode::Levels(code) => code.encode(x, 0),
        }
    }
}

/// The code that rounds edge `i`, if one does.
///
/// What follows an edge with a code per channel is not rounded again: its values are levels already, and its channels
/// may be others.
pub fn edge_code<'a>(sites: &Sites, plan: &'a Plan, i: usize) -> Option<EdgeCode<'a>> {
    let code = match plan.activations[i].code.as_ref()? {
        Code::Uniform(code) => EdgeCode::Uniform(Cow::Borrowed(code)),
        Code::Levels(code) => match code.uniform() {
            Some(code) => EdgeCode::Uniform(Cow::Owned(code)),
            None => EdgeCode::Levels(code),
        },
        Code::Points(_) => return None,
    };
    (code.grid().axis.is_none() || sites.activations[i].follows.is_none()).then_some(code)
}

/// How the layer of weight `i` reads its operand, where the plan has a window for it and the edge has the codes that a
/// window takes: unsigned, of 8 bits, with one scale and zero point 0.
pub fn window(graph: &Graph, sites: &Sites, plan: &Plan, i: usize) -> Option<BitWindow> {
    let (site, read) = (&sites.weights[i], *plan.windows.get(&i)?);
    let EdgeCode::Uniform(code) = edge_code(sites, plan, site.reads?)? else { return None };
    let axis = summed_axis(&graph.nodes[site.node.0].op)?;
    (site.input == 1 && takes_windows(&code)).then(|| BitWindow { read, axis, scale: code.scale[0] })
}

/// Whether an edge has the codes that a window is defined for.
pub fn takes_windows(code: &Uniform) -> bool {
    code.axis.is_none() && !code.signed && code.bits == [8] && code.zero_point == [0] && code.shift.is_none()
}

/// The axis of input 0 that a layer sums over within one element of its output, from the end if negative.
fn summed_axis(op: &Op) -> Option<i64> {
    match op {
        Op::Conv(_) => Some(1),
        Op::Gemm(_) | Op::MatMul(_) => Some(-1),
        _ => None,
    }
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
