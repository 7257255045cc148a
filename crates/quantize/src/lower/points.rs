//! A sum of points as a file has it: the first point of all channels, the others as a smaller tensor put into their
//! channels, added up, and rounded to the grid of an integer weight where there is one.
//!
//! All of it is constant, and is made of nodes that runtimes fold at load: ONNX Runtime folds everything but
//! `DequantizeLinear`, so terms are cast and multiplied instead. Measured with 1.31: what is left is one int8
//! initializer and the kernel that any other int8 weight gets. Without the grid it rounds the float sum to int8 itself,
//! with one scale for the tensor, which is why a sum that meets integer activations is written with its grid.
//!
//! Where the sum as int8 is no larger than its terms (channels of three points, small layers), that is written.

use super::Flavour;
use super::builder::Builder;
use super::planes;
use super::weights::{float_weight, integer_weight, stored_codes};
use lowbit_graph::ops::Rounding::HalfEven;
use lowbit_graph::ops::{Add, Cast, DequantizeLinear, Gather, IntQuant, Mul, QuantizeLinear};
use lowbit_graph::{Op, ValueId};
use lowbit_tensor::{DType, Data, Points, Tensor, Uniform};

/// Bytes that the nodes and names of a sum take in a file, about, and those of each gathering of rows into channels.
const SUM_BYTES: usize = 600;
const GATHER_BYTES: usize = 350;

/// The decoded weight of `shape`; `values` are those that the first point rounds.
pub(super) fn write(
    b: &mut Builder,
    name: &str,
    code: &Points,
    mut values: Vec<f32>,
    shape: &[usize],
    flavour: Flavour,
    spell_zero: bool,
) -> ValueId {
    let rest = Rest::new(code, shape);
    if let Some(grid) = &code.grid
        && (flavour == Flavour::Container || flavour == Flavour::Packed && !rest.pays(code, grid, shape))
    {
        code.sum(&mut values, shape);
        return integer_weight(b, name, grid, &values, shape, flavour, spell_zero);
    }
    let mut sum = term(b, &format!("{name}.first"), &code.first, values, shape, flavour);
    if !rest.places.is_empty() {
        let rows = term(b, &format!("{name}.more"), &rest.code, rest.values, &rest.shape, flavour);
        for (i, places) in rest.places.iter().enumerate() {
            let index = index(b, &format!("{name}.place{i}"), places);
            let gather = Op::Gather(Gather { axis: code.axis as i64 });
            let more = b.node(format!("{name}.more{i}"), gather, &[rows, index]);
            sum = b.node(format!("{name}.sum{i}"), Op::Add(Add), &[sum, more]);
        }
    }
    match &code.grid {
        Some(grid) => on_grid(b, name, grid, sum, shape.len(), flavour, spell_zero),
        None => sum,
    }
}

/// The points after the first, stacked along the channel axis.
struct Rest {
    /// One row per point, in the order of `places`, and a last row of zeros.
    code: Uniform,
    values: Vec<f32>,
    shape: Vec<usize>,
    /// For the second point, the third, …: the row of each channel.
    places: Vec<Vec<usize>>,
}

impl Rest {
    fn new(code: &Points, shape: &[usize]) -> Rest {
        let rounds = code.extra.iter().map(Vec::len).max().unwrap_or(0);
        let round = |i: usize| {
            code.extra.iter().enumerate().filter_map(move |(c, extra)| extra.get(i).map(|p| (c, p)))
        };
        let rows: Vec<_> = (0..rounds).flat_map(round).collect();
        let mut places = vec![vec![rows.len(); code.extra.len()]; rounds];
        let mut next = 0..;
        for (i, places) in places.iter_mut().enumerate() {
            round(i).zip(&mut next).for_each(|((c, _), row)| places[c] = row);
        }
        let run: usize = shape[code.axis + 1..].iter().product();
        let blocks: usize = shape[..code.axis].iter().product();
        let mut values = Vec::with_capacity((rows.len() + 1) * run * blocks);
        for block in 0..blocks {
            for (_, point) in &rows {
                let codes = &point.codes[block * run..][..run];
                values.extend(codes.iter().map(|&q| f32::from(q) * point.scale));
            }
            values.resize(values.len() + run, 0.0);
        }
        let zeros_bits = rows.first().map_or(1, |(c, _)| code.bits_of(*c));
        let bits = rows.iter().map(|(c, _)| code.bits_of(*c)).chain([zeros_bits]).collect();
        let scale = rows.iter().map(|(_, p)| p.scale).chain([1.0]).collect();
        let mut stacked = shape.to_vec();
        stacked[code.axis] = rows.len() + 1;
        let zero_point = vec![0; rows.len() + 1];
        let code = Uniform { axis: Some(code.axis), bits, signed: true, scale, zero_point, shift: None };
        Rest { code, values, shape: stacked, places }
    }

    /// Whether terms take fewer bytes than their sum in the codes of `grid`.
    fn pays(&self, code: &Points, grid: &Uniform, shape: &[usize]) -> bool {
        let channels = code.extra.len();
        let len = shape.iter().product::<usize>() / channels.max(1);
        let first: Vec<u8> = (0..channels).map(|c| code.bits_of(c)).collect();
        let places = self.places.len() * (channels * index_bytes(self.code.scale.len()) + GATHER_BYTES);
        let rows = planes::bytes(&self.code.bits, len) + 4 * self.code.scale.len();
        planes::bytes(&first, len) + rows + places + SUM_BYTES < planes::bytes(&grid.bits, len)
    }
}

/// One term as float values.
fn term(
    b: &mut Builder,
    name: &str,
    code: &Uniform,
    values: Vec<f32>,
    shape: &[usize],
    flavour: Flavour,
) -> ValueId {
    match flavour {
        Flavour::Qonnx => float_weight(b, name, code, values, shape),
        Flavour::Textbook => integer_weight(b, name, code, &values, shape, flavour, false),
        Flavour::Packed | Flavour::Container => {
            let codes = stored_codes(b, name, code, &values, shape, flavour);
            let codes = b.node(format!("{name}.float"), Op::Cast(Cast { to: DType::F32 }), &[codes]);
            let scale =
                b.constant(format!("{name}.scale"), per_channel(code, shape.len(), code.scale.clone()));
            b.node(format!("{name}.scaled"), Op::Mul(Mul), &[codes, scale])
        }
    }
}

/// One number per channel of `code`, shaped to broadcast over a tensor of that rank; a scalar if channels share it.
fn per_channel(code: &Uniform, rank: usize, values: Vec<f32>) -> Tensor {
    let mut shape = vec![];
    if let Some(axis) = code.axis {
        shape = vec![1; rank - axis];
        shape[0] = values.len();
    }
    Tensor::from_f32(shape, values)
}

/// Bytes of one index among `rows`.
fn index_bytes(rows: usize) -> usize {
    if rows <= 1 << 8 { 1 } else { 4 }
}

/// Indices for a `Gather`, as bytes if they fit.
fn index(b: &mut Builder, name: &str, places: &[usize]) -> ValueId {
    let wide = Tensor::from_i64s(&places.iter().map(|&p| p as i64).collect::<Vec<_>>()).cast(DType::I32);
    if places.iter().any(|&p| index_bytes(p + 1) > 1) {
        return b.constant(name.to_owned(), wide);
    }
    let bytes = b.constant(format!("{name}.u8"), wide.cast(DType::U8));
    b.node(name.to_owned(), Op::Cast(Cast { to: DType::I32 }), &[bytes])
}

/// A float weight rounded to its grid.
fn on_grid(
    b: &mut Builder,
    name: &str,
    grid: &Uniform,
    sum: ValueId,
    rank: usize,
    flavour: Flavour,
    spell_zero: bool,
) -> ValueId {
    let channels = grid.scale.len();
    if flavour == Flavour::Qonnx {
        let scale = b.constant(format!("{name}.scale"), per_channel(grid, rank, grid.scale.clone()));
        let zero = b.constant(format!("{name}.zero_point"), per_channel(grid, rank, vec![0.0; channels]));
        let width = b.scalar(format!("{name}.bits"), f32::from(grid.max_bits()));
        let op = Op::IntQuant(IntQuant { signed: true, narrow: false, rounding: HalfEven });
        return b.node(format!("{name}.quantized"), op, &[sum, scale, zero, width]);
    }
    let axis = grid.axis.map_or(0, |a| a as i64);
    let scale = b.constant(format!("{name}.scale"), Tensor::from_f32([channels], grid.scale.clone()));
    let zeros = || Tensor::new(vec![channels], Data::I8(vec![0; channels])).expect("one per channel");
    let zero = b.shared(&format!("lowbit.i8.zeros[{channels}]"), zeros);
    let quantize = Op::QuantizeLinear(QuantizeLinear { axis, ..QuantizeLinear::default() });
    let codes = b.node(format!("{name}.codes"), quantize, &[sum, scale, zero]);
    let dequantize = Op::DequantizeLinear(DequantizeLinear { axis, ..DequantizeLinear::default() });
    let inputs = if spell_zero { vec![codes, scale, zero] } else { vec![codes, scale] };
    b.node(format!("{name}.quantized"), dequantize, &inputs)
}
