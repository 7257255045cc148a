//! Which operator sets a file must import.

use super::WriteError;
use crate::opset::OPSETS;
use lowbit_graph::{Graph, Node, ValueId};
use lowbit_tensor::DType;
use std::collections::BTreeMap;

/// Imported operator sets.
pub(super) struct Imports {
    /// Version of the default set.
    pub(super) default: u64,
    /// Versions of the other sets that are used, by domain.
    others: BTreeMap<&'static str, u64>,
}

impl Imports {
    /// Domain and version of each set, the default one first.
    pub(super) fn all(&self) -> impl Iterator<Item = (&'static str, u64)> {
        std::iter::once(("", self.default)).chain(self.others.iter().map(|(&d, &v)| (d, v)))
    }
}

/// The oldest sets, but at least `least` of the default one, that allow the nodes and the element types in use.
pub(super) fn imports(
    graph: &Graph,
    nodes: &[&Node],
    constants: &[ValueId],
    least: u64,
) -> Result<Imports, WriteError> {
    let newest = OPSETS[1] as u64;
    if !(13..=newest).contains(&least) {
        return Err(WriteError::Opset { found: least });
    }
    let mut imports = Imports { default: least, others: BTreeMap::new() };
    for node in nodes {
        if node.op.domain().is_empty() {
            imports.default = imports.default.max(node.op.since()).max(operands_since(graph, node));
        } else {
            let version = imports.others.entry(node.op.domain()).or_insert(1);
            *version = node.op.since().max(*version);
        }
    }
    for id in constants.iter().chain(&graph.inputs).chain(&graph.outputs) {
        imports.default = imports.default.max(graph.value(*id).dtype.map_or(0, type_since));
    }
    if imports.default > newest {
        return Err(WriteError::Opset { found: imports.default });
    }
    Ok(imports)
}

/// The opset that brought an element type.
fn type_since(dtype: DType) -> u64 {
    match dtype {
        DType::I2 | DType::U2 => 25,
        DType::I4 | DType::U4 => 21,
        _ => 0,
    }
}

/// The opset in which an operator of opset 13 came to accept the element types of its operands, where those are known.
fn operands_since(graph: &Graph, node: &Node) -> u64 {
    let dtypes = node.inputs.iter().flatten().filter_map(|&id| graph.value(id).dtype);
    let since = |dtype| match (node.op.name(), dtype) {
        ("QuantizeLinear" | "DequantizeLinear", DType::I16 | DType::U16) => 21,
        ("QuantizeLinear" | "DequantizeLinear", DType::F16 | DType::BF16) => 19,
        ("Add" | "Sub" | "Mul" | "Div", DType::I8 | DType::U8 | DType::I16 | DType::U16) => 14,
        ("Relu", DType::I8 | DType::I16 | DType::I32 | DType::I64) => 14,
        _ => 0,
    };
    dtypes.map(since).max().unwrap_or(0)
}
