//! Weights of any width as nodes that runtimes fold at load: a code of `b` bits is written as planes of 4, 2 and 1 bits,
//! each packed into bytes, and put together by shifts and masks on constants. 4-bit weights need no plane: they are INT4.
//!
//! Channels of different widths are written width by width, joined, and gathered into their order.

use super::qdq::Builder;
use lowbit_graph::ops::{BitShift, BitwiseAnd, BitwiseOr, Cast, Concat, Gather, Reshape, Slice, Sub};
use lowbit_graph::{Op, ValueId};
use lowbit_tensor::pack::pack;
use lowbit_tensor::{DType, Data, Tensor};

/// An int8 value equal to `codes` (row-major, `shape`), stored at `bits[c]` bits for channel `c` of `axis` (or all alike).
pub(super) fn write(
    b: &mut Builder,
    name: &str,
    codes: &[i32],
    shape: &[usize],
    axis: usize,
    bits: &[u8],
) -> ValueId {
    if bits.iter().all(|&w| w == bits[0]) {
        return one_width(b, name, codes, shape, bits[0]);
    }
    let mut order: Vec<usize> = (0..bits.len()).collect();
    order.sort_by_key(|&c| bits[c]);
    let mut parts = Vec::new();
    for group in order.chunk_by(|&a, &c| bits[a] == bits[c]) {
        let width = bits[group[0]];
        let mut part_shape = shape.to_vec();
        part_shape[axis] = group.len();
        let part = select(codes, shape, axis, group);
        parts.push(one_width(b, &format!("{name}.{width}bit"), &part, &part_shape, width));
    }
    let joined = b.node(format!("{name}.joined"), Op::Concat(Concat { axis: axis as i64 }), &parts);
    let mut place = vec![0i64; bits.len()];
    for (i, &c) in order.iter().enumerate() {
        place[c] = i as i64;
    }
    let index = b.constant(format!("{name}.order"), Tensor::from_i64s(&place));
    b.node(format!("{name}.int8"), Op::Gather(Gather { axis: axis as i64 }), &[joined, index])
}

/// The elements of some channels, in the order given.
fn select(codes: &[i32], shape: &[usize], axis: usize, channels: &[usize]) -> Vec<i32> {
    let run: usize = shape[axis + 1..].iter().product();
    let blocks = codes.chunks((run * shape[axis]).max(1));
    blocks
        .flat_map(|block| channels.iter().flat_map(move |&c| block[c * run..(c + 1) * run].iter().copied()))
        .collect()
}

fn one_width(b: &mut Builder, name: &str, codes: &[i32], shape: &[usize], bits: u8) -> ValueId {
    let int8 = || {
        Tensor::new(shape.to_vec(), Data::I8(codes.iter().map(|&q| q as i8).collect()))
            .expect("one code each")
    };
    match bits {
        0 => b.constant(
            format!("{name}.codes"),
            Tensor::zeros(DType::I8, shape.to_vec()).expect("fits in memory"),
        ),
        8.. => b.constant(format!("{name}.codes"), int8()),
        4 => {
            let codes = b.constant(format!("{name}.codes"), int8().cast(DType::I4));
            b.node(format!("{name}.int8"), Op::Cast(Cast { to: DType::I8 }), &[codes])
        }
        _ => from_planes(b, name, codes, shape, bits),
    }
}

/// Unsigned codes (offset by half the range) from planes of 4, 2 and 1 bits, low bits first.
fn from_planes(b: &mut Builder, name: &str, codes: &[i32], shape: &[usize], bits: u8) -> ValueId {
    let offset = 1 << (bits - 1);
    let unsigned: Vec<u8> = codes.iter().map(|&q| (q + offset) as u8).collect();
    let u8s = |shape: Vec<usize>, values: Vec<u8>| Tensor::new(shape, Data::U8(values)).expect("shape fits");
    let (mut done, mut whole) = (0u8, None);
    for plane in [4u8, 2, 1] {
        if bits & plane == 0 {
            continue;
        }
        let values: Vec<u8> = unsigned.iter().map(|&q| q >> done & ((1 << plane) - 1)).collect();
        let packed = pack(&values, plane.into());
        let per_byte = usize::from(8 / plane);
        let label = |what: &str| format!("{name}.plane{plane}.{what}");
        let bytes = packed.len();
        let packed = b.constant(label("bytes"), u8s(vec![bytes, 1], packed));
        let shifts: Vec<u8> = (0..per_byte).map(|i| i as u8 * plane).collect();
        let shifts = b.constant(label("shifts"), u8s(vec![1, per_byte], shifts));
        let mask = b.constant(label("mask"), u8s(vec![], vec![(1 << plane) - 1]));
        let shifted = b.node(label("shifted"), Op::BitShift(BitShift { left: false }), &[packed, shifts]);
        let mut part = b.node(label("codes"), Op::BitwiseAnd(BitwiseAnd), &[shifted, mask]);
        if bytes * per_byte != codes.len() {
            let flat = b.constant(label("flat"), Tensor::from_i64s(&[-1]));
            part = b.node(label("row"), Op::Reshape(Reshape::default()), &[part, flat]);
            let start = b.constant(label("start"), Tensor::from_i64s(&[0]));
            let end = b.constant(label("end"), Tensor::from_i64s(&[codes.len() as i64]));
            part = b.node(label("cut"), Op::Slice(Slice), &[part, start, end]);
        }
        let extents: Vec<i64> = shape.iter().map(|&d| d as i64).collect();
        let extents = b.constant(label("shape"), Tensor::from_i64s(&extents));
        part = b.node(label("shaped"), Op::Reshape(Reshape::default()), &[part, extents]);
        if done > 0 {
            let by = b.constant(label("place"), u8s(vec![], vec![done]));
            part = b.node(label("placed"), Op::BitShift(BitShift { left: true }), &[part, by]);
        }
        whole = Some(match whole {
            None => part,
            Some(low) => b.node(label("joined"), Op::BitwiseOr(BitwiseOr), &[low, part]),
        });
        done += plane;
    }
    let whole = whole.expect("widths 1 to 7 have a plane");
    // ONNX Runtime subtracts in int32, not in int8.
    let wide = b.node(format!("{name}.int32"), Op::Cast(Cast { to: DType::I32 }), &[whole]);
    let offset =
        b.constant(format!("{name}.offset"), Tensor::new(vec![], Data::I32(vec![offset])).expect("a scalar"));
    let signed = b.node(format!("{name}.signed"), Op::Sub(Sub), &[wide, offset]);
    b.node(format!("{name}.int8"), Op::Cast(Cast { to: DType::I8 }), &[signed])
}
