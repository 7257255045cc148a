//! Graph + Plan → a graph of `QuantizeLinear`/`DequantizeLinear` pairs that runtimes fuse into integer kernels.
//!
//! What is written computes what [`crate::simulate`] computes: read back and prepared, it is the same network.
//!
//! * An edge: `QuantizeLinear` (uint8) → `Clip` on the codes below 8 bits → `DequantizeLinear`.
//! * A ReLU or clip that the codes already do (its ends are the end codes) is left out.
//! * A weight: int8 (packed as the flavour says) → `DequantizeLinear` per channel.
//! * A bias: int32 with scale exactly input scale × weight scale, else runtimes do not fuse the layer.

use super::{Flavour, planes};
use crate::bias;
use crate::plan::{Plan, Setting};
use crate::simulate::{edge_code, runs_on_integers};
use crate::site::{ActivationSite, Sites, WeightSite};
use lowbit_graph::ops::Rounding::HalfEven;
use lowbit_graph::ops::{Add, Clip, DequantizeLinear, IntQuant, QuantizeLinear};
use lowbit_graph::{Graph, GraphError, Node, Op, ValueId};
use lowbit_tensor::number::{code_range, encode};
use lowbit_tensor::{Code, DType, Data, Tensor, Uniform};
use std::collections::{HashMap, HashSet};

/// A graph being added to: new nodes are collected and put in order at the end.
pub(super) struct Builder {
    graph: Graph,
    new: Vec<Node>,
    taken: HashSet<String>,
    shared: HashMap<String, ValueId>,
}

impl Builder {
    pub(super) fn new(graph: &Graph) -> Builder {
        let values = graph.values.iter().map(|v| v.name.clone());
        let taken = values.chain(graph.nodes.iter().map(|n| n.name.clone())).collect();
        Builder { graph: graph.clone(), new: Vec::new(), taken, shared: HashMap::new() }
    }

    /// The graph with the new nodes behind the old ones, not yet sorted.
    pub(super) fn into_graph(mut self) -> Graph {
        self.graph.nodes.append(&mut self.new);
        self.graph
    }

    /// A constant of this name, made at its first use.
    pub(super) fn shared(&mut self, name: &str, make: impl FnOnce() -> Tensor) -> ValueId {
        if let Some(&id) = self.shared.get(name) {
            return id;
        }
        let id = self.constant(name.to_owned(), make());
        self.shared.insert(name.to_owned(), id);
        id
    }

    fn fresh(&mut self, name: String) -> String {
        let mut fresh = name.clone();
        let mut i = 1;
        while !self.taken.insert(fresh.clone()) {
            fresh = format!("{name}_{i}");
            i += 1;
        }
        fresh
    }

    pub(super) fn constant(&mut self, name: String, tensor: Tensor) -> ValueId {
        let name = self.fresh(name);
        self.graph.add_constant(name, tensor)
    }

    pub(super) fn node(&mut self, name: String, op: Op, inputs: &[ValueId]) -> ValueId {
        let name = self.fresh(name);
        let output = self.graph.add_edge(name.clone());
        self.new.push(Node {
            name,
            op,
            inputs: inputs.iter().copied().map(Some).collect(),
            outputs: vec![output],
        });
        output
    }

    fn scalar(&mut self, name: String, value: f32) -> ValueId {
        self.constant(name, Tensor::scalar(value))
    }
}

/// The network with its plan written out.
///
/// # Errors
/// Only if the result cannot be ordered, which would be a fault of this pass.
pub fn qdq(graph: &Graph, sites: &Sites, plan: &Plan, flavour: Flavour) -> Result<Graph, GraphError> {
    let mut b = Builder::new(graph);
    let mut written = Vec::new();
    for i in 0..sites.weights.len() {
        weight(&mut b, graph, sites, plan, flavour, i, &mut written);
    }
    let outputs = b.graph.outputs.clone();
    let mut shared: HashMap<usize, Vec<Rounding>> = HashMap::new();
    for (i, site) in sites.activations.iter().enumerate() {
        let Some(code) = edge_code(sites, plan, i) else { continue };
        // A folded activation goes when the end codes do its work.
        let redundant = |_: &ValueId| {
            let [lo, hi] = code.range(0);
            let at = |bound: f32| encode(bound, code.scale[0], code.zero_point[0], [lo, hi]);
            let [low, high] = site.bounds;
            code.axis.is_none()
                && (low == f32::NEG_INFINITY || at(low) == lo)
                && (high == f32::INFINITY || at(high) == hi)
        };
        let mut value = site.before_activation.filter(redundant).unwrap_or(site.value);
        let root = sites.root(i);
        let roundings = shared.entry(root).or_insert_with(|| roundings(&mut b, site, code, flavour)).clone();
        let mark = b.new.len();
        for rounding in &roundings {
            value = rounded(&mut b, &site.name, rounding, value, flavour);
        }
        let added = b.new.split_off(mark);
        b.graph.replace_uses(site.value, value);
        b.new.extend(added);
    }
    keep_output_names(&mut b.graph, &outputs);
    let mut lowered = b.into_graph();
    lowered.sort()?;
    lowbit_graph::passes::dead_nodes(&mut lowered);
    Ok(lowered)
}

/// Where an output became another value, the two swap names, so that callers find what they knew.
fn keep_output_names(graph: &mut Graph, before: &[ValueId]) {
    for (i, (&old, &new)) in before.iter().zip(&graph.outputs.clone()).enumerate() {
        if old != new && !before[..i].contains(&old) {
            let name = std::mem::take(&mut graph.values[old.0].name);
            graph.values[old.0].name = std::mem::replace(&mut graph.values[new.0].name, name);
            let (dtype, shape) = (graph.values[old.0].dtype, graph.values[old.0].shape.clone());
            (graph.values[new.0].dtype, graph.values[new.0].shape) = (dtype, shape);
        }
    }
}

/// One rounding of an edge, its constants made.
#[derive(Clone, Copy)]
struct Rounding {
    axis: Option<usize>,
    bits: u8,
    scale: ValueId,
    zero_point: ValueId,
    /// Whether codes are UINT4.
    nibble: bool,
}

/// The roundings that make an edge what its code says: one, or two where channels differ in bits.
///
/// No operator clips each channel at its own code. But uint8 saturates at both ends: the first rounding, with the code's
/// own zero point, ends channels below, the second, with zero points moved up so that each highest code is 255, ends
/// them above. What lies between is a level already, and stays.
fn roundings(b: &mut Builder, site: &ActivationSite, code: &Uniform, flavour: Flavour) -> Vec<Rounding> {
    let name = &site.name;
    let mut shape = if code.axis.is_some() { vec![code.scale.len()] } else { vec![] };
    if let (Some(axis), Flavour::Qonnx) = (code.axis, flavour) {
        // `IntQuant` broadcasts, where `QuantizeLinear` has an axis.
        shape.resize(site.rank - axis, 1);
    }
    let scale = b.constant(format!("{name}.scale"), Tensor::from_f32(shape.clone(), code.scale.clone()));
    let alike = code.bits.iter().all(|&w| w == code.bits[0]);
    let nibble = flavour == Flavour::Textbook && alike && code.bits[0] == 4;
    let mut rounding = |zero_points: Vec<i32>, bits: u8| {
        let zero = match flavour {
            Flavour::Qonnx => {
                Tensor::from_f32(shape.clone(), zero_points.iter().map(|&z| z as f32).collect())
            }
            _ => {
                let codes = Data::U8(zero_points.iter().map(|&z| z as u8).collect());
                let zero = Tensor::new(shape.clone(), codes).expect("one per scale");
                if nibble { zero.cast(DType::U4) } else { zero }
            }
        };
        let zero_point = b.constant(format!("{name}.zero_point"), zero);
        Rounding { axis: code.axis, bits, scale, zero_point, nibble }
    };
    if alike && code.bits[0] > 0 {
        return vec![rounding(code.zero_point.clone(), code.bits[0])];
    }
    let raised = code.zero_point.iter().enumerate().map(|(c, &z)| z + 255 - code.range(c)[1]).collect();
    vec![rounding(code.zero_point.clone(), 8), rounding(raised, 8)]
}

/// The value of `source` after a rounding.
fn rounded(b: &mut Builder, name: &str, rounding: &Rounding, source: ValueId, flavour: Flavour) -> ValueId {
    let &Rounding { axis, bits, scale, zero_point, nibble } = rounding;
    if flavour == Flavour::Qonnx {
        let width = b.scalar(format!("{name}.bits"), f32::from(bits));
        let op = Op::IntQuant(IntQuant { signed: false, narrow: false, rounding: HalfEven });
        return b.node(format!("{name}.quantized"), op, &[source, scale, zero_point, width]);
    }
    let axis = axis.map_or(1, |a| a as i64);
    let quantize = Op::QuantizeLinear(QuantizeLinear { axis, ..QuantizeLinear::default() });
    let mut codes = b.node(format!("{name}.codes"), quantize, &[source, scale, zero_point]);
    if bits < 8 && !nibble {
        let [lo, hi] = code_range(bits, false);
        let limit = |q: i32| Tensor::new(vec![], Data::U8(vec![q as u8])).expect("a scalar");
        let least = b.shared(&format!("lowbit.u8.{lo}"), || limit(lo));
        let most = b.shared(&format!("lowbit.u8.{hi}"), || limit(hi));
        codes = b.node(format!("{name}.clipped"), Op::Clip(Clip), &[codes, least, most]);
    }
    let dequantize = Op::DequantizeLinear(DequantizeLinear { axis, ..DequantizeLinear::default() });
    b.node(format!("{name}.quantized"), dequantize, &[codes, scale, zero_point])
}

/// Writes weight `i` and its bias. A weight that another site wrote with the same setting (`written`: which, and its
/// decoded value) is read from there.
fn weight(
    b: &mut Builder,
    graph: &Graph,
    sites: &Sites,
    plan: &Plan,
    flavour: Flavour,
    i: usize,
    written: &mut Vec<(usize, ValueId)>,
) {
    let (site, setting) = (&sites.weights[i], &plan.weights[i]);
    let node = site.node.0;
    if let Some(Code::Uniform(code)) = &setting.code {
        let same = |&&(j, _): &&(usize, ValueId)| {
            let other: &Setting = &plan.weights[j];
            sites.weights[j].value == site.value
                && (&other.code, &other.values) == (&setting.code, &setting.values)
        };
        let decoded = match written.iter().find(same) {
            Some(&(_, decoded)) => decoded,
            None => decoded_weight(b, graph, site, setting, code, flavour),
        };
        written.push((i, decoded));
        b.graph.nodes[node].inputs[site.input] = Some(decoded);
    }
    let Some(bias) = bias::rounded(graph, sites, plan, i) else { return };
    let name = format!("{}.bias", site.name);
    let id =
        match bias.codes.filter(|_| flavour != Flavour::Qonnx && runs_on_integers(sites, plan, site.node)) {
            Some(codes) => {
                let shape = if bias.scale.len() == 1 { vec![] } else { vec![bias.scale.len()] };
                let codes = Tensor::new(vec![codes.len()], Data::I32(codes)).expect("one code each");
                let codes = b.constant(format!("{name}.codes"), codes);
                let scale = b.constant(format!("{name}.scale"), Tensor::from_f32(shape, bias.scale));
                let op = Op::DequantizeLinear(DequantizeLinear { axis: 0, ..DequantizeLinear::default() });
                b.node(format!("{name}.quantized"), op, &[codes, scale])
            }
            None => b.constant(format!("{name}.value"), Tensor::from_f32(bias.shape, bias.values)),
        };
    b.graph.nodes[node].inputs.resize(3, None);
    b.graph.nodes[node].inputs[2] = Some(id);
}

/// The weight of a site through its code.
fn decoded_weight(
    b: &mut Builder,
    graph: &Graph,
    site: &WeightSite,
    setting: &Setting,
    code: &Uniform,
    flavour: Flavour,
) -> ValueId {
    let name = graph.value(site.value).name.clone();
    let tensor = graph.constant(site.value).expect("weight sites are constants");
    let values = setting.values.clone().unwrap_or_else(|| tensor.to_f32());
    let decoded = if flavour == Flavour::Qonnx {
        float_weight(b, &name, code, values, tensor.shape())
    } else {
        // ONNX Runtime fuses matrix products only if the weight's zero point is written, convolutions anyway.
        let spell_zero = matches!(graph.nodes[site.node.0].op, Op::Gemm(_) | Op::MatMul(_));
        integer_weight(b, &name, code, &values, tensor.shape(), flavour, spell_zero)
    };
    let Some(shift) = &code.shift else { return decoded };
    let mut shape = vec![1; tensor.shape().len()];
    if let Some(axis) = code.axis {
        shape[axis] = shift.len();
    }
    let shift = b.constant(format!("{name}.shift"), Tensor::from_f32(shape, shift.clone()));
    b.node(format!("{name}.shifted"), Op::Add(Add), &[decoded, shift])
}

fn integer_weight(
    b: &mut Builder,
    name: &str,
    code: &Uniform,
    values: &[f32],
    shape: &[usize],
    flavour: Flavour,
    spell_zero: bool,
) -> ValueId {
    let codes = code.codes(values, shape);
    let axis = code.axis.unwrap_or(0);
    let alike = code.bits.iter().all(|&w| w == code.bits[0]);
    let int8 = |codes: &[i32]| {
        let data = if code.signed {
            Data::I8(codes.iter().map(|&q| q as i8).collect())
        } else {
            Data::U8(codes.iter().map(|&q| q as u8).collect())
        };
        Tensor::new(shape.to_vec(), data).expect("one code each")
    };
    let narrow = code.signed && alike && code.bits[0] <= 4;
    let stored = match flavour {
        Flavour::Packed if code.signed => {
            // A per-tensor width is every channel's width.
            planes::write(b, name, &codes, shape, axis, &code.bits)
        }
        Flavour::Textbook if narrow => {
            let dtype = if code.bits[0] <= 2 { DType::I2 } else { DType::I4 };
            b.constant(format!("{name}.codes"), int8(&codes).cast(dtype))
        }
        _ => b.constant(format!("{name}.codes"), int8(&codes)),
    };
    let per = if code.axis.is_some() { vec![code.scale.len()] } else { vec![] };
    let scale = b.constant(format!("{name}.scale"), Tensor::from_f32(per.clone(), code.scale.clone()));
    let mut inputs = vec![stored, scale];
    if !code.is_symmetric() {
        let zero = Data::U8(code.zero_point.iter().map(|&z| z as u8).collect());
        inputs.push(b.constant(format!("{name}.zero_point"), Tensor::new(per, zero).expect("one per scale")));
    } else if spell_zero && code.signed && flavour != Flavour::Textbook {
        let zeros = || Tensor::zeros(DType::I8, per.clone()).expect("as many as scales");
        inputs.push(b.shared(&format!("lowbit.i8.zeros{per:?}"), zeros));
    }
    let op = Op::DequantizeLinear(DequantizeLinear { axis: axis as i64, ..DequantizeLinear::default() });
    b.node(format!("{name}.quantized"), op, &inputs)
}

/// QONNX: the float weight through `IntQuant`, scales shaped to broadcast along the channel axis.
///
/// The operator has one width. Where channels differ it is the widest, and the values are levels already: those of a
/// narrower channel are among the levels of the same scale at more bits.
fn float_weight(
    b: &mut Builder,
    name: &str,
    code: &Uniform,
    mut values: Vec<f32>,
    shape: &[usize],
) -> ValueId {
    if code.bits.iter().any(|&w| w != code.bits[0]) {
        Uniform { shift: None, ..code.clone() }.fake_quantize(&mut values, shape);
    }
    let per = |values: Vec<f32>| {
        let mut extents = vec![1; shape.len()];
        match code.axis {
            Some(axis) if values.len() > 1 => extents[axis] = values.len(),
            _ => extents.clear(),
        }
        Tensor::from_f32(extents, values)
    };
    let value = b.constant(format!("{name}.float"), Tensor::from_f32(shape, values));
    let scale = b.constant(format!("{name}.scale"), per(code.scale.clone()));
    let zero =
        b.constant(format!("{name}.zero_point"), per(code.zero_point.iter().map(|&z| z as f32).collect()));
    let width = b.scalar(format!("{name}.bits"), f32::from(code.max_bits()));
    let op = Op::IntQuant(IntQuant { signed: code.signed, narrow: false, rounding: HalfEven });
    b.node(format!("{name}.quantized"), op, &[value, scale, zero, width])
}
