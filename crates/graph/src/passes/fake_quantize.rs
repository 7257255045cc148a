//! Recognises rounding to a code and back as one node.
//!
//! Quantized files spell it as `QuantizeLinear → Clip → DequantizeLinear` or `IntQuant`. As one [`FakeQuantize`] it is
//! what our own simulation inserts: one fast kernel, and a code that can be read off.

mod levels;

use super::dead_nodes;
use crate::ops::{DequantizeLinear, FakeLevels, FakeQuantize, IntQuant, QuantizeLinear, Rounding};
use crate::shape::axis as resolve_axis;
use crate::{Dim, Graph, Node, NodeId, Op, ValueId};
use lowbit_tensor::number::code_range;
use lowbit_tensor::{DType, Levels, Uniform};
use std::collections::HashMap;

/// Replaces each chain `QuantizeLinear → any of Clip and Cast → DequantizeLinear` of one scale and zero point, and each
/// `IntQuant` that rounds half to even, by a `FakeQuantize`, where the codes form a whole range of 1 to 8 bits. Where codes go
/// through an ascending table of 256 levels instead (`QuantizeLinear → Cast → Gather → DequantizeLinear`), by a `FakeLevels`.
///
/// Scales are constant float32, per tensor or along one axis. A `QuantizeLinear` that several chains share is fused into
/// each. Other chains (narrow ranges, 16 bits, blocks) stay as they are. `IntQuant` rounds after adding its zero point,
/// so a tie may go to the other neighbour where that is odd.
pub fn fuse_fake_quantize(graph: &mut Graph) {
    let producers = graph.producers();
    for n in 0..graph.nodes.len() {
        let node = &graph.nodes[n];
        let uniform = |(x, code): (ValueId, Uniform)| (x, Op::from(FakeQuantize { code }));
        let uneven = |(x, code): (ValueId, Levels)| match code.uniform() {
            Some(code) => (x, FakeQuantize { code }.into()),
            None => (x, FakeLevels { code: code.into() }.into()),
        };
        let found = match &node.op {
            Op::DequantizeLinear(op) => chain(graph, &producers, node, op)
                .map(uniform)
                .or_else(|| levels::levels(graph, &producers, node, op).map(uneven)),
            Op::IntQuant(op) => int_quant(graph, &producers, node, op).map(uniform),
            _ => None,
        };
        if let Some((x, op)) = found {
            let node = &mut graph.nodes[n];
            node.op = op;
            node.inputs = vec![Some(x)];
        }
    }
    dead_nodes(graph);
}

/// What a chain that ends in `last` rounds, and to which code.
fn chain(
    graph: &Graph,
    producers: &HashMap<ValueId, NodeId>,
    last: &Node,
    decode: &DequantizeLinear,
) -> Option<(ValueId, Uniform)> {
    // Backwards to the quantizer; what lies between narrows the range, and must not change codes inside it.
    let mut range = [i64::MIN, i64::MAX];
    let mut narrow = |[lo, hi]: [i64; 2]| range = [range[0].max(lo), range[1].min(hi)];
    let mut node = last;
    let encode = loop {
        node = &graph.nodes[producers.get(&node.input(0)?)?.0];
        match &node.op {
            Op::Clip(_) => {
                let limit = |i, none| match node.input(i) {
                    None => Some(none),
                    Some(id) => graph.constant(id)?.to_i64()?.first().copied(),
                };
                narrow([limit(1, i64::MIN)?, limit(2, i64::MAX)?]);
            }
            // Casts wrap and clips saturate: only a cast that holds every code it can meet is no change.
            Op::Cast(op) => narrow_by_cast(graph, producers, node, op.to)?,
            Op::QuantizeLinear(op) => break op,
            _ => return None,
        }
    };
    narrow(code_type(graph, node, encode)?.integer_range()?);
    let plain = encode.block_size == 0
        && decode.block_size == 0
        && decode.output_dtype.is_none_or(|d| d == DType::F32);
    grid(graph, producers, [node, last], [encode.axis, decode.axis], range).filter(|_| plain)
}

/// What a quantizer rounds, and to which code, if the dequantizer behind it has the same steps and zero points; their
/// `axes`, and the `range` of the codes that are left between.
fn grid(
    graph: &Graph,
    producers: &HashMap<ValueId, NodeId>,
    [quantize, dequantize]: [&Node; 2],
    axes: [i64; 2],
    range: [i64; 2],
) -> Option<(ValueId, Uniform)> {
    let (scale, zero) = (graph.constant_input(quantize, 1)?, zero_points(graph, quantize)?);
    let same = scale.as_ref() == graph.constant_input(dequantize, 1)?.as_ref()
        && zero == zero_points(graph, dequantize)?;
    if !same || scale.dtype() != DType::F32 || (scale.len() > 1 && axes[0] != axes[1]) {
        return None;
    }
    let x = quantize.input(0)?;
    let axis = match scale.shape() {
        [n] if *n > 1 => Some(match usize::try_from(axes[0]) {
            Ok(axis) => axis,
            Err(_) => resolve_axis(axes[0], rank(graph, producers, x)?).ok()?,
        }),
        _ => None,
    };
    Some((x, uniform(axis, range, scale.to_f32(), zero)?))
}

/// Accepts a cast to `to` whose operand (a quantizer or a clip of one) has only codes that `to` holds.
fn narrow_by_cast(graph: &Graph, producers: &HashMap<ValueId, NodeId>, cast: &Node, to: DType) -> Option<()> {
    let before = &graph.nodes[producers.get(&cast.input(0)?)?.0];
    let [lo, hi] = match &before.op {
        Op::QuantizeLinear(op) => code_type(graph, before, op)?.integer_range()?,
        Op::Clip(_) => {
            let limit = |i| graph.constant_input(before, i)?.to_i64()?.first().copied();
            [limit(1)?, limit(2)?]
        }
        _ => return None,
    };
    let [to_lo, to_hi] = to.integer_range()?;
    (to_lo <= lo && hi <= to_hi).then_some(())
}

fn code_type(graph: &Graph, node: &Node, op: &QuantizeLinear) -> Option<DType> {
    match node.input(2) {
        Some(zero) => graph.constant(zero).map(|t| t.dtype()),
        None => Some(op.output_dtype.unwrap_or(DType::U8)),
    }
}

/// The zero point of each scale of a quantizer or dequantizer; zeros if it has none, `None` if they are not constant.
fn zero_points(graph: &Graph, node: &Node) -> Option<Vec<i64>> {
    match node.input(2) {
        Some(id) => graph.constant(id)?.to_i64(),
        None => Some(vec![0; graph.constant_input(node, 1)?.len()]),
    }
}

/// What an `IntQuant` rounds, and to which code.
fn int_quant(
    graph: &Graph,
    producers: &HashMap<ValueId, NodeId>,
    node: &Node,
    op: &IntQuant,
) -> Option<(ValueId, Uniform)> {
    let x = node.input(0)?;
    let constant = |i| graph.constant_input(node, i).map(|t| t.as_ref());
    let (scale, zero, bits) = (constant(1)?, constant(2)?, constant(3)?);
    let &[bits] = bits.to_f32().as_slice() else { return None };
    let sign_only = bits == 1.0 && op.signed;
    let representable = (1..=8).any(|b| f32::from(b as u8) == bits) && !sign_only && !op.narrow;
    if op.rounding != Rounding::HalfEven || !representable || scale.dtype() != DType::F32 {
        return None;
    }
    // Where scale or zero point vary, it must be along one and the same axis, counted in the axes of X.
    let rank = rank(graph, producers, x);
    let mut axis = None;
    for tensor in [scale, zero] {
        for (i, _) in tensor.shape().iter().enumerate().filter(|(_, d)| **d > 1) {
            let here = i + rank?.checked_sub(tensor.shape().len())?;
            if axis.replace(here).is_some_and(|other| other != here) {
                return None;
            }
        }
    }
    let channels = scale.len().max(zero.len());
    let each = |values: Vec<f32>| match values.as_slice() {
        &[value] => Some(vec![value; channels]),
        _ => Some(values).filter(|v| v.len() == channels),
    };
    let zeros = each(zero.to_f32())?;
    if zeros.iter().any(|z| z.fract() != 0.0) {
        return None;
    }
    let range = op.range(bits as u8).map(|code| code as i64);
    let zeros = zeros.into_iter().map(|z| z as i64).collect();
    Some((x, uniform(axis, range, each(scale.to_f32())?, zeros)?))
}

/// The code with these numbers, if its range is that of a number of bits and its steps are usable.
fn uniform(axis: Option<usize>, range: [i64; 2], scale: Vec<f32>, zero: Vec<i64>) -> Option<Uniform> {
    let signed = range[0] < 0;
    let bits = (1..=8).find(|&b| code_range(b, signed).map(i64::from) == range)?;
    let usable =
        scale.iter().all(|s| *s > 0.0 && s.is_finite()) && scale.len() == zero.len() && !scale.is_empty();
    let zero_point: Option<Vec<i32>> = zero.into_iter().map(|z| i32::try_from(z).ok()).collect();
    let bits = vec![bits; scale.len()];
    usable.then_some(Uniform { axis, bits, signed, scale, zero_point: zero_point?, shift: None })
}

/// Rank of a value that is an input or a constant, or comes from a layer by elementwise steps; shapes that a file
/// declares for other values are claims.
fn rank(graph: &Graph, producers: &HashMap<ValueId, NodeId>, x: ValueId) -> Option<usize> {
    let mut value = x;
    loop {
        let Some(producer) = producers.get(&value) else {
            return graph.value(value).shape.as_deref().map(<[Dim]>::len);
        };
        let node = &graph.nodes[producer.0];
        let weight = || graph.constant_input(node, 1).map(|w| w.shape().len());
        match node.op {
            Op::Conv(_) | Op::ConvTranspose(_) => return weight(),
            Op::Gemm(_) => return Some(2),
            Op::Relu(_) | Op::Clip(_) | Op::IntQuant(_) | Op::BatchNormalization(_) => {
                value = node.input(0)?;
            }
            ref op if op.is_rounding() => value = node.input(0)?,
            _ => return None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::{Cast, Clip, Gather};
    use crate::passes::testing::names;
    use lowbit_tensor::{Data, Tensor};

    fn input(graph: &mut Graph) -> ValueId {
        graph.add_input("x", DType::F32, vec![Dim::Known(2), Dim::Known(2)])
    }

    fn add_constant(graph: &mut Graph, tensor: Tensor) -> ValueId {
        let name = graph.fresh_name("c");
        graph.add_constant(name, tensor)
    }

    fn u8s(shape: &[usize], values: &[u8]) -> Tensor {
        Tensor::new(shape.to_vec(), Data::U8(values.to_vec())).unwrap()
    }

    /// `x → QuantizeLinear → Clip to each limit → DequantizeLinear`, one chain per limit.
    fn clipped(limits: &[[u8; 2]]) -> Graph {
        let mut graph = Graph::default();
        let x = input(&mut graph);
        let scale = add_constant(&mut graph, Tensor::scalar(0.5));
        let zero = add_constant(&mut graph, u8s(&[], &[3]));
        let q = graph.add_node("q", QuantizeLinear::default(), &[x, scale, zero]);
        for (i, limits) in limits.iter().enumerate() {
            let [lo, hi] = limits.map(|limit| add_constant(&mut graph, u8s(&[], &[limit])));
            let v = graph.add_node(format!("clip{i}"), Clip, &[q, lo, hi]);
            let y = graph.add_node(format!("y{i}"), DequantizeLinear::default(), &[v, scale, zero]);
            graph.outputs.push(y);
        }
        graph
    }

    fn code(graph: &Graph, n: usize) -> &Uniform {
        match &graph.nodes[n].op {
            Op::FakeQuantize(op) => &op.code,
            op => panic!("{} instead of FakeQuantize", op.name()),
        }
    }

    #[test]
    fn a_clip_to_a_power_of_two_gives_the_bits() {
        let mut graph = clipped(&[[0, 15]]);
        fuse_fake_quantize(&mut graph);
        assert_eq!(names(&graph), ["y0"]);
        assert_eq!(graph.nodes[0].inputs, [Some(graph.inputs[0])]);
        assert_eq!(code(&graph, 0), &Uniform::per_tensor(4, false, 0.5, 3));
    }

    #[test]
    fn each_chain_of_a_shared_quantizer_fuses_if_it_can() {
        let mut graph = clipped(&[[0, 3], [0, 9], [0, 255]]);
        fuse_fake_quantize(&mut graph);
        // The quantizer stays for the range that no number of bits has.
        assert_eq!(names(&graph), ["q", "y0", "clip1", "y1", "y2"]);
        assert_eq!([code(&graph, 1).bits[0], code(&graph, 4).bits[0]], [2, 8]);
    }

    #[test]
    fn scales_and_zero_points_must_agree() {
        let mut graph = clipped(&[[0, 15]]);
        let other = add_constant(&mut graph, u8s(&[], &[4]));
        graph.nodes[2].inputs[2] = Some(other);
        fuse_fake_quantize(&mut graph);
        assert_eq!(names(&graph), ["q", "clip0", "y0"]);
    }

    #[test]
    fn codes_along_an_axis_fuse_and_wide_ones_do_not() {
        let fused = |zero: Tensor, axis| {
            let mut graph = Graph::default();
            let x = input(&mut graph);
            let scale = add_constant(&mut graph, Tensor::from_f32([2], vec![0.5, 2.0]));
            let zero = add_constant(&mut graph, zero);
            let q = QuantizeLinear { axis, ..QuantizeLinear::default() };
            let q = graph.add_node("q", q, &[x, scale, zero]);
            let d = DequantizeLinear { axis, ..DequantizeLinear::default() };
            let y = graph.add_node("y", d, &[q, scale, zero]);
            graph.outputs = vec![y];
            fuse_fake_quantize(&mut graph);
            graph
        };
        let graph = fused(Tensor::new(vec![2], Data::I4(vec![0, 1])).unwrap(), -2);
        let expected = Uniform {
            axis: Some(0),
            bits: vec![4; 2],
            signed: true,
            scale: vec![0.5, 2.0],
            zero_point: vec![0, 1],
            shift: None,
        };
        assert_eq!(code(&graph, 0), &expected);
        let graph = fused(Tensor::new(vec![2], Data::I16(vec![0, 0])).unwrap(), 0);
        assert_eq!(names(&graph), ["q", "y"]);
    }

    #[test]
    fn a_cast_passes_if_it_holds_every_code() {
        for (to, nodes) in [(DType::I16, vec!["y"]), (DType::I8, vec!["q", "cast", "y"])] {
            let mut graph = Graph::default();
            let x = input(&mut graph);
            let scale = add_constant(&mut graph, Tensor::scalar(0.5));
            let q = graph.add_node("q", QuantizeLinear::default(), &[x, scale]);
            let v = graph.add_node("cast", Cast { to }, &[q]);
            let y = graph.add_node("y", DequantizeLinear::default(), &[v, scale]);
            graph.outputs = vec![y];
            fuse_fake_quantize(&mut graph);
            assert_eq!(names(&graph), nodes, "{to}");
        }
    }

    #[test]
    fn codes_through_an_ascending_table_are_levels() {
        let fused = |table: &dyn Fn(u8) -> u8| {
            let mut graph = Graph::default();
            let x = input(&mut graph);
            let scale = add_constant(&mut graph, Tensor::scalar(0.5));
            let zero = add_constant(&mut graph, u8s(&[], &[3]));
            let all: Vec<u8> = (0..=255).map(table).collect();
            let table = add_constant(&mut graph, u8s(&[256], &all));
            let q = graph.add_node("q", QuantizeLinear::default(), &[x, scale, zero]);
            let i = graph.add_node("i", Cast { to: DType::I32 }, &[q]);
            let v = graph.add_node("v", Gather::default(), &[table, i]);
            let y = graph.add_node("y", DequantizeLinear::default(), &[v, scale, zero]);
            graph.outputs = vec![y];
            fuse_fake_quantize(&mut graph);
            graph
        };
        let graph = fused(&|code| if code < 90 { 46 } else { 110 });
        let Op::FakeLevels(op) = &graph.nodes[0].op else { panic!("{:?}", names(&graph)) };
        assert_eq!((names(&graph), op.code.levels.as_slice()), (vec!["y"], &[46, 110][..]));
        assert_eq!((op.code.bounds.as_slice(), op.code.grid.zero_point[0]), (&[90][..], 3));
        // A table that does no more than a clip.
        let graph = fused(&|code| code.min(15));
        assert_eq!(code(&graph, 0), &Uniform::per_tensor(4, false, 0.5, 3));
        for (table, why) in [
            (&(|code: u8| 255 - code) as &dyn Fn(u8) -> u8, "falls"),
            (&|code| if code < 40 { 46 } else { 110 }, "moves its own level"),
            (&|_| 7, "has one level"),
        ] {
            assert_eq!(names(&fused(table)), ["q", "i", "v", "y"], "a table that {why}");
        }
    }

    #[test]
    fn int_quant_is_a_code_unless_narrow_or_its_sign() {
        let fused = |op: IntQuant, bits, scale| {
            let mut graph = Graph::default();
            let x = input(&mut graph);
            let inputs =
                [scale, Tensor::scalar(0.0), Tensor::scalar(bits)].map(|t| add_constant(&mut graph, t));
            let y = graph.add_node("y", op, &[x, inputs[0], inputs[1], inputs[2]]);
            graph.outputs = vec![y];
            fuse_fake_quantize(&mut graph);
            graph
        };
        let plain = IntQuant { signed: true, narrow: false, rounding: Rounding::HalfEven };
        let graph = fused(plain.clone(), 3.0, Tensor::from_f32([1, 1], vec![0.5]));
        assert_eq!(code(&graph, 0), &Uniform::per_tensor(3, true, 0.5, 0));
        let graph = fused(plain.clone(), 3.0, Tensor::from_f32([2, 1], vec![0.5, 0.25]));
        assert_eq!((code(&graph, 0).axis, code(&graph, 0).scale.len()), (Some(0), 2));
        for (op, bits) in [
            (IntQuant { narrow: true, ..plain.clone() }, 3.0),
            (IntQuant { rounding: Rounding::Floor, ..plain.clone() }, 3.0),
            (plain.clone(), 1.0),
            (plain, 2.5),
        ] {
            assert!(matches!(fused(op, bits, Tensor::scalar(0.5)).nodes[0].op, Op::IntQuant(_)));
        }
    }
}
