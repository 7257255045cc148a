//! Weights of any width as nodes that runtimes fold at load. Codes of 4 bits are INT4, of 8 bits INT8; a code of another
//! width is written as planes of 4, 2 and 1 bits, each packed into bytes, and put together by shifts and masks.
//!
//! Nodes take bytes too, so a width is stored only where it pays: of all sets of widths the one is chosen that makes the
//! file smallest, and a channel goes to the narrowest that holds it. Channels stored at different widths are
//! joined and gathered into their order.

use super::builder::Builder;
use lowbit_graph::ops::{BitShift, BitwiseAnd, BitwiseOr, Cast, Concat, Gather, Reshape, Slice, Sub};
use lowbit_graph::{Op, ValueId};
use lowbit_tensor::pack::pack;
use lowbit_tensor::{DType, Data, Tensor};

/// An int8 value equal to `codes` (row-major, `shape`), where channel `c` of `axis` needs `bits[c]` bits (or all need
/// `bits[0]`).
pub(super) fn write(
    b: &mut Builder,
    name: &str,
    codes: &[i32],
    shape: &[usize],
    axis: usize,
    bits: &[u8],
) -> ValueId {
    let channels = shape[axis];
    let width = |c: usize| bits[if bits.len() == 1 { 0 } else { c }];
    let needed: Vec<u8> = (0..channels).map(width).collect();
    let stored = stored_widths(&needed, codes.len() / channels.max(1));
    if stored.iter().all(|w| *w == stored[0]) {
        return one_width(b, name, codes, shape, stored[0]);
    }
    let mut order: Vec<usize> = (0..channels).collect();
    order.sort_by_key(|&c| stored[c]);
    let mut parts = Vec::new();
    for group in order.chunk_by(|&a, &c| stored[a] == stored[c]) {
        let width = stored[group[0]];
        let mut part_shape = shape.to_vec();
        part_shape[axis] = group.len();
        let part = select(codes, shape, axis, group);
        parts.push(one_width(b, &format!("{name}.{width}"), &part, &part_shape, width));
    }
    let joined = b.node(format!("{name}.joined"), Op::Concat(Concat { axis: axis as i64 }), &parts);
    let mut place = vec![0i64; channels];
    for (i, &c) in order.iter().enumerate() {
        place[c] = i as i64;
    }
    let index = b.constant(format!("{name}.order"), Tensor::from_i64s(&place).cast(DType::I32));
    b.node(format!("{name}.int8"), Op::Gather(Gather { axis: axis as i64 }), &[joined, index])
}

/// Bytes that the nodes of one stored width take in a file, about.
fn overhead(width: u8) -> usize {
    match width {
        8 => 60,
        4 => 120,
        _ => 250 + 350 * width.count_ones() as usize,
    }
}

/// The width at which each channel is stored. `len` is the number of codes per channel.
fn stored_widths(needed: &[u8], len: usize) -> Vec<u8> {
    cheapest(needed, len).0
}

/// Bytes that codes of such widths take in a file, about, with the nodes that unpack them.
pub(super) fn bytes(needed: &[u8], len: usize) -> usize {
    cheapest(needed, len).1
}

/// The set of widths of least total bytes, each channel at the narrowest of them that holds its code; and those bytes.
fn cheapest(needed: &[u8], len: usize) -> (Vec<u8>, usize) {
    let at = |set: u32, width: u8| (width.max(1)..=8).find(|w| set & (1 << w) != 0);
    let cost = |set: u32| -> Option<usize> {
        let widths: Option<Vec<u8>> = needed.iter().map(|&w| at(set, w)).collect();
        let codes: usize = widths?.iter().map(|&w| (len * usize::from(w)).div_ceil(8)).sum();
        let nodes: usize = (1..=8u8).filter(|w| set & (1 << w) != 0).map(overhead).sum();
        // Joining and reordering, where there is more than one width.
        let joining = if set.count_ones() > 1 { 200 + 4 * needed.len() } else { 0 };
        Some(codes + nodes + joining)
    };
    let sets = (1..256u32).map(|s| s << 1);
    let best = sets.filter_map(|set| cost(set).map(|c| (c, set))).min();
    let (bytes, set) = best.unwrap_or((needed.len() * len, 1 << 8));
    (needed.iter().map(|&w| at(set, w).unwrap_or(8)).collect(), bytes)
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
        8.. => b.constant(format!("{name}.codes"), int8()),
        4 => {
            let codes = b.constant(format!("{name}.codes"), int8().cast(DType::I4));
            b.node(format!("{name}.int8"), Op::Cast(Cast { to: DType::I8 }), &[codes])
        }
        _ => from_planes(b, name, codes, shape, bits),
    }
}

/// Codes offset by half the range from planes.
fn from_planes(b: &mut Builder, name: &str, codes: &[i32], shape: &[usize], bits: u8) -> ValueId {
    let offset = 1 << (bits - 1);
    let above_zero: Vec<u8> = codes.iter().map(|&q| (q + offset) as u8).collect();
    let whole = unsigned(b, name, &above_zero, shape, bits);
    // ONNX Runtime subtracts in int32, not in int8.
    let wide = b.node(format!("{name}.w"), Op::Cast(Cast { to: DType::I32 }), &[whole]);
    let offset = b.shared(&format!("lowbit.offset{bits}"), || {
        Tensor::new(vec![], Data::I32(vec![offset])).expect("a scalar")
    });
    let signed = b.node(format!("{name}.n"), Op::Sub(Sub), &[wide, offset]);
    b.node(format!("{name}.int8"), Op::Cast(Cast { to: DType::I8 }), &[signed])
}

/// A uint8 value equal to `codes` of `bits` (1 to 7), from planes of 4, 2 and 1 bits, low bits first.
pub(super) fn unsigned(b: &mut Builder, name: &str, codes: &[u8], shape: &[usize], bits: u8) -> ValueId {
    let u8s = |shape: Vec<usize>, values: Vec<u8>| Tensor::new(shape, Data::U8(values)).expect("shape fits");
    let extents: Vec<i64> = shape.iter().map(|&d| d as i64).collect();
    let extents = b.constant(format!("{name}.shape"), Tensor::from_i64s(&extents));
    let (mut done, mut whole) = (0u8, None);
    for plane in [4u8, 2, 1] {
        if bits & plane == 0 {
            continue;
        }
        let values: Vec<u8> = codes.iter().map(|&q| q >> done & ((1 << plane) - 1)).collect();
        let packed = pack(&values, plane.into());
        let per_byte = usize::from(8 / plane);
        let label = |what: &str| format!("{name}.{plane}{what}");
        let bytes = packed.len();
        let packed = b.constant(label("p"), u8s(vec![bytes, 1], packed));
        let shifts: Vec<u8> = (0..per_byte).map(|i| i as u8 * plane).collect();
        let shifts = b.shared(&format!("lowbit.shifts{plane}"), || u8s(vec![1, per_byte], shifts));
        let mask = b.shared(&format!("lowbit.mask{plane}"), || u8s(vec![], vec![(1 << plane) - 1]));
        let shifted = b.node(label("s"), Op::BitShift(BitShift { left: false }), &[packed, shifts]);
        let mut part = b.node(label("m"), Op::BitwiseAnd(BitwiseAnd), &[shifted, mask]);
        if bytes * per_byte != codes.len() {
            let flat = b.shared("lowbit.flat", || Tensor::from_i64s(&[-1]));
            part = b.node(label("f"), Op::Reshape(Reshape::default()), &[part, flat]);
            let start = b.shared("lowbit.start", || Tensor::from_i64s(&[0]));
            let end = b.constant(label("e"), Tensor::from_i64s(&[codes.len() as i64]));
            part = b.node(label("c"), Op::Slice(Slice), &[part, start, end]);
        }
        part = b.node(label("r"), Op::Reshape(Reshape::default()), &[part, extents]);
        if done > 0 {
            let by = b.shared(&format!("lowbit.place{done}"), || u8s(vec![], vec![done]));
            part = b.node(label("h"), Op::BitShift(BitShift { left: true }), &[part, by]);
        }
        whole = Some(match whole {
            None => part,
            Some(low) => b.node(label("o"), Op::BitwiseOr(BitwiseOr), &[low, part]),
        });
        done += plane;
    }
    whole.expect("widths 1 to 7 have a plane")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lower::builder::Builder;
    use lowbit_graph::Graph;
    use lowbit_graph::passes::fold_constants;

    /// The int8 values that the nodes written for some codes fold to.
    fn round_trip(codes: &[i32], shape: &[usize], axis: usize, bits: &[u8]) -> Vec<i64> {
        let mut b = Builder::new(&Graph::default());
        let value = write(&mut b, "w", codes, shape, axis, bits);
        let mut graph = b.into_graph();
        graph.outputs = vec![value];
        fold_constants(&mut graph, &lowbit_engine::evaluate_for_pass).unwrap();
        let tensor = graph.constant(value).expect("folds to a constant");
        assert_eq!((tensor.dtype(), tensor.shape()), (DType::I8, shape));
        tensor.to_i64().unwrap()
    }

    #[test]
    fn every_width_folds_back_to_its_codes() {
        // Long enough that planes pay, and not a multiple of eight.
        for bits in 1..=8u8 {
            let [lo, hi] = lowbit_tensor::number::code_range(bits, true);
            let codes: Vec<i32> = (0..3 * 3001).map(|i| lo + i * 7 % (hi - lo + 1)).collect();
            let expected: Vec<i64> = codes.iter().map(|&q| q.into()).collect();
            assert_eq!(round_trip(&codes, &[3, 3001], 0, &[bits]), expected, "{bits} bits");
        }
    }

    #[test]
    fn channels_of_different_widths_return_in_order() {
        let bits = [3u8, 8, 4, 2, 6, 3, 0];
        let (channels, len) = (bits.len(), 2501);
        let code = |c: usize, i: usize| match bits[c] {
            0 => 0,
            b => (i as i32 * 5 + c as i32) % (1 << b) - (1 << (b - 1)),
        };
        let rows: Vec<i32> =
            (0..channels).flat_map(|c| (0..len).map(move |i| (c, i))).map(|(c, i)| code(c, i)).collect();
        let expected: Vec<i64> = rows.iter().map(|&q| q.into()).collect();
        assert_eq!(round_trip(&rows, &[channels, len], 0, &bits), expected);
        let columns: Vec<i32> =
            (0..len).flat_map(|i| (0..channels).map(move |c| (c, i))).map(|(c, i)| code(c, i)).collect();
        let expected: Vec<i64> = columns.iter().map(|&q| q.into()).collect();
        assert_eq!(round_trip(&columns, &[len, channels], 1, &bits), expected);
    }

    #[test]
    fn narrow_widths_are_stored_only_where_they_pay() {
        assert_eq!(stored_widths(&[3; 4], 9), [8; 4]);
        assert_eq!(stored_widths(&[3; 4], 144), [4; 4]);
        assert_eq!(stored_widths(&[3; 64], 4608), [3; 64]);
        assert_eq!(stored_widths(&[3, 4, 4, 5], 144), [8; 4]);
        assert_eq!(stored_widths(&[4, 4, 8, 8], 100_000), [4, 4, 8, 8]);
    }
}
