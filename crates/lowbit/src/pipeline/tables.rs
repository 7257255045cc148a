//! Tables inside ONNX networks: each `Gather` of rows of a constant table becomes one of packed rows, which are unpacked and
//! scaled behind it. Standard operators only, and the table stays packed in the runtime's memory.
//!
//! ```text
//! indices ─┬─ Gather(codes uint8 [rows, bytes, 1]) ─ BitShift right by [0, 4] ─ BitwiseAnd 15 ─ Reshape ─ Cast ─ Mul ─ Add ─▶
//!          ├─ Gather(scale float16 [rows, 1]) ─ Cast ───────────────────────────────────────────────────────┘     │
//!          └─ Gather(bias float16 [rows, 1]) ─ Cast ──────────────────────────────────────────────────────────────┘
//! ```
//! A `DequantizeLinear` before the `Gather` would say the same, but runtimes decode the whole table at each call then.

use anyhow::{Result, bail};
use lowbit_embed::{Format, PackedTable, Quantizer};
use lowbit_graph::ops::{Add, BitShift, BitwiseAnd, Cast, Concat, Gather, Mul, Reshape, Shape};
use lowbit_graph::{Graph, Node, Op, ValueId};
use lowbit_tensor::{DType, Data, Tensor};

/// Constant float tables that a `Gather` picks rows of.
pub(super) fn of(graph: &Graph) -> Vec<ValueId> {
    let gathers =
        graph.nodes.iter().filter(|node| matches!(&node.op, Op::Gather(g) if matches!(g.axis, 0 | -2)));
    let is_table = |id: &ValueId| {
        graph.constant(*id).is_some_and(|t| t.shape().len() == 2 && t.dtype().is_float() && !t.is_empty())
    };
    let mut tables: Vec<ValueId> = gathers.filter_map(|node| node.input(0)).filter(is_table).collect();
    tables.sort_unstable();
    tables.dedup();
    tables
}

/// Whether a node picks rows of one of `tables`.
pub(super) fn picks_rows(node: &Node, tables: &[ValueId]) -> bool {
    // Of two axes, the first may be called −2.
    matches!(&node.op, Op::Gather(gather) if matches!(gather.axis, 0 | -2))
        && node.input(0).is_some_and(|table| tables.contains(&table))
}

/// A table of a network as rows of scale, bias (both half precision) and codes.
pub(super) struct PackedTensor {
    rows: PackedTable,
    bits: u32,
    /// Element type of what it was made from.
    dtype: DType,
}

impl PackedTensor {
    /// Packs `tensor: [rows, columns]`; `quantizer` makes fused rows with scale and bias first.
    pub(super) fn new(tensor: &Tensor, quantizer: &Quantizer) -> Result<PackedTensor> {
        let Format::Fused { bits, .. } = quantizer.format() else {
            bail!("{} has codebooks, which this form of a network does not", quantizer.method().name());
        };
        let mut x = tensor.to_f32();
        let mut bytes = vec![0; tensor.shape()[0] * quantizer.format().row_bytes()];
        quantizer.rows(0, &mut x, &mut bytes, &mut [])?;
        let rows = PackedTable::new(quantizer.format(), bytes)?;
        Ok(PackedTensor { rows, bits, dtype: tensor.dtype() })
    }

    /// Bytes of codes, scales and biases.
    pub(super) fn bytes(&self) -> usize {
        self.rows.bytes().len()
    }

    /// The table that the packed rows stand for: `[rows, columns]`, of the element type it had.
    pub(super) fn decoded(&self) -> Tensor {
        let columns = self.rows.format().columns();
        let mut x = vec![0.0; self.rows.rows() * columns];
        x.chunks_exact_mut(columns).enumerate().for_each(|(row, out)| self.rows.row(row, out));
        Tensor::from_f32([self.rows.rows(), columns], x).cast(self.dtype)
    }

    /// Puts the unpacking behind every `Gather` of `table`; new constants are called after `name`.
    pub(super) fn unpack_in(&self, graph: &mut Graph, table: ValueId, name: &str) -> Result<()> {
        let PackedTensor { rows: packed, bits, dtype } = self;
        let (bits, dtype) = (*bits, *dtype);
        let (rows, columns, stride) = (packed.rows(), packed.format().columns(), packed.format().row_bytes());
        let codes: Vec<u8> =
            packed.bytes().chunks_exact(stride).flat_map(|row| row[4..].iter().copied()).collect();
        let parameter = |at: usize| {
            let halves = packed.bytes().chunks_exact(stride);
            let values: Vec<f32> = halves.map(|row| half(&row[at..at + 2])).collect();
            Tensor::from_f32([rows, 1], values).cast(DType::F16)
        };
        let u8s = |shape: &[usize], values: Vec<u8>| Tensor::new(shape.to_vec(), Data::U8(values));
        let constant = |graph: &mut Graph, what: &str, tensor: Tensor| {
            let name = graph.fresh_name(&format!("{name}.{what}"));
            graph.add_constant(name, tensor)
        };
        let per_byte = (8 / bits) as usize;
        let code_bytes = columns / per_byte;
        // At 8 bits there is nothing to unpack.
        let shape: Vec<usize> = if bits == 8 { vec![rows, columns] } else { vec![rows, code_bytes, 1] };
        let codes = constant(graph, "codes", u8s(&shape, codes)?);
        let scale = constant(graph, "scale", parameter(0));
        let bias = constant(graph, "bias", parameter(2));
        let shifts = (0..per_byte).map(|i| (i as u32 * bits) as u8).collect();
        let shifts = constant(graph, "shifts", u8s(&[per_byte], shifts)?);
        let mask = constant(graph, "mask", u8s(&[], vec![((1u32 << bits) - 1) as u8])?);

        let nodes: Vec<usize> =
            (0..graph.nodes.len()).filter(|&n| picks_rows(&graph.nodes[n], &[table])).collect();
        for n in nodes {
            let label = graph.nodes[n].name.clone();
            let Some(indices) = graph.nodes[n].input(1) else { bail!("`{label}` has no indices") };
            let output = graph.nodes[n].outputs[0];
            let node = |graph: &mut Graph, what: &str, op: Op, inputs: &[ValueId]| {
                let name = graph.fresh_name(&format!("{label}.{what}"));
                graph.add_node(name, op, inputs)
            };
            let gather = || Op::Gather(Gather { axis: 0 });
            let mut value = node(graph, "codes", gather(), &[codes, indices]);
            if bits < 8 {
                value = node(graph, "shifted", Op::BitShift(BitShift { left: false }), &[value, shifts]);
                value = node(graph, "masked", Op::BitwiseAnd(BitwiseAnd), &[value, mask]);
                // All axes of the indices as they are, then the columns.
                let extents = match rank(graph, indices) {
                    Some(rank) => {
                        let extents: Vec<i64> =
                            std::iter::repeat_n(0, rank).chain([columns as i64]).collect();
                        constant(graph, "extents", Tensor::from_i64s(&extents))
                    }
                    None => {
                        let columns = constant(graph, "columns", Tensor::from_i64s(&[columns as i64]));
                        let shape = node(graph, "shape", Op::Shape(Shape::default()), &[indices]);
                        node(graph, "extents", Op::Concat(Concat { axis: 0 }), &[shape, columns])
                    }
                };
                value = node(graph, "row", Op::Reshape(Reshape::default()), &[value, extents]);
            }
            value = node(graph, "float", Op::Cast(Cast { to: DType::F32 }), &[value]);
            for (what, table, op) in [("scale", scale, Op::Mul(Mul)), ("bias", bias, Op::Add(Add))] {
                let picked = node(graph, &format!("{what}.half"), gather(), &[table, indices]);
                let wide =
                    node(graph, &format!("{what}.float"), Op::Cast(Cast { to: DType::F32 }), &[picked]);
                value = node(graph, &format!("with.{what}"), op, &[value, wide]);
            }
            if dtype != DType::F32 {
                value = node(graph, "narrow", Op::Cast(Cast { to: dtype }), &[value]);
            }
            // The last node gives what the old one gave, under its name; the old one is dropped below.
            for last in graph.nodes.iter_mut().filter(|node| node.outputs == [value]) {
                last.outputs = vec![output];
            }
            graph.nodes[n].outputs.clear();
        }
        graph.nodes.retain(|node| !node.outputs.is_empty());
        Ok(())
    }
}

/// Axes of the indices, where the network says them.
fn rank(graph: &Graph, indices: ValueId) -> Option<usize> {
    let constant = graph.constant(indices).map(|t| t.shape().len());
    constant.or_else(|| graph.value(indices).shape.as_ref().map(Vec::len))
}

fn half(bytes: &[u8]) -> f32 {
    lowbit_embed::lookup::half_value(u16::from_le_bytes([bytes[0], bytes[1]]))
}
