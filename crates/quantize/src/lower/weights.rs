//! A weight and a bias as a file has them: codes in as few bits as pay → `DequantizeLinear`, or a float through `IntQuant`.

use super::builder::Builder;
use super::{Flavour, levels, planes, points};
use crate::bias;
use crate::plan::{Plan, Setting};
use crate::simulate::runs_on_integers;
use crate::site::{Sites, WeightSite};
use lowbit_graph::ops::Rounding::HalfEven;
use lowbit_graph::ops::{Add, DequantizeLinear, IntQuant};
use lowbit_graph::{Graph, Op, ValueId};
use lowbit_tensor::{Code, DType, Data, Tensor, Uniform};

/// Writes weight `i` and its bias. A weight that another site wrote with the same setting (`written`: which, and its
/// decoded value) is read from there.
pub(super) fn write(
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
    if let Some(code) = &setting.code {
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
    code: &Code,
    flavour: Flavour,
) -> ValueId {
    let name = graph.value(site.value).name.clone();
    let tensor = graph.constant(site.value).expect("weight sites are constants");
    let values = setting.values.clone().unwrap_or_else(|| tensor.to_f32());
    // ONNX Runtime fuses matrix products only if the weight's zero point is written, convolutions anyway.
    let spell_zero = matches!(graph.nodes[site.node.0].op, Op::Gemm(_) | Op::MatMul(_));
    let code = match code {
        Code::Uniform(code) => code,
        Code::Points(code) => {
            return points::write(b, &name, code, values, tensor.shape(), flavour, spell_zero);
        }
        Code::Levels(code) => {
            return levels::write(b, &name, code, values, tensor.shape(), flavour, spell_zero);
        }
    };
    let decoded = if flavour == Flavour::Qonnx {
        float_weight(b, &name, code, values, tensor.shape())
    } else {
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

pub(super) fn integer_weight(
    b: &mut Builder,
    name: &str,
    code: &Uniform,
    values: &[f32],
    shape: &[usize],
    flavour: Flavour,
    spell_zero: bool,
) -> ValueId {
    let stored = stored_codes(b, name, code, values, shape, flavour);
    dequantized(b, name, code, stored, flavour, spell_zero)
}

/// Real values of integer codes.
pub(super) fn dequantized(
    b: &mut Builder,
    name: &str,
    code: &Uniform,
    stored: ValueId,
    flavour: Flavour,
    spell_zero: bool,
) -> ValueId {
    let axis = code.axis.unwrap_or(0);
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

/// The int8 (or, of the textbook, narrower) codes of values, in as few bits as the flavour has.
pub(super) fn stored_codes(
    b: &mut Builder,
    name: &str,
    code: &Uniform,
    values: &[f32],
    shape: &[usize],
    flavour: Flavour,
) -> ValueId {
    let codes = code.codes(values, shape);
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
    match flavour {
        Flavour::Packed if code.signed => {
            // A per-tensor width is every channel's width.
            planes::write(b, name, &codes, shape, code.axis.unwrap_or(0), &code.bits)
        }
        Flavour::Textbook if narrow => {
            let dtype = if code.bits[0] <= 2 { DType::I2 } else { DType::I4 };
            b.constant(format!("{name}.codes"), int8(&codes).cast(dtype))
        }
        _ => b.constant(format!("{name}.codes"), int8(&codes)),
    }
}

/// QONNX: the float weight through `IntQuant`, scales shaped to broadcast along the channel axis.
///
/// The operator has one width. Where channels differ it is the widest, and the values are levels already: those of a
/// narrower channel are among the levels of the same scale at more bits.
pub(super) fn float_weight(
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
