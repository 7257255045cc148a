//! Graph to bytes, in canonical form, under the oldest opset that allows what the graph holds.
//!
//! Only what is reachable is written: constants that no node reads, and nodes whose results became constants, are
//! left behind, so that passes need not renumber a graph to shrink its file.

mod versions;

use crate::proto::{GraphProto, ModelProto, NodeProto, OperatorSetIdProto, StringStringEntryProto};
use crate::windows::{self, Windows};
use crate::{attributes, interface, opset, tensor};
use lowbit_graph::{Graph, Node, Op, ValueId};
use prost::Message;
use std::collections::HashSet;

/// How to write.
#[derive(Clone, Copy, Debug)]
pub struct WriteOptions {
    /// Opset to write at least, 13 to 25. The file gets a newer one where the graph needs it.
    pub least_opset: u64,
}

impl Default for WriteOptions {
    fn default() -> WriteOptions {
        WriteOptions { least_opset: 13 }
    }
}

/// A graph that cannot be written.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum WriteError {
    /// An operator that exists only inside the program.
    #[error("node `{node}` ({op}) is internal to the program; lower it before writing")]
    Internal {
        /// Name of the node.
        node: String,
        /// Its operator.
        op: &'static str,
    },
    /// A window on what is no operand of unsigned 8-bit codes, or that not only layers read.
    #[error(
        "window `{0}` cannot be written: files have it on the convolution or matrix product that reads an 8-bit edge"
    )]
    Window(String),
    /// A graph input or output without an element type, which the format requires.
    #[error("the element type of graph input or output `{0}` is not known")]
    Untyped(String),
    /// The opset asked for cannot be written.
    #[error("opset {found} cannot be written (accepted: 13 to 25)")]
    Opset {
        /// What was asked for, or what the graph needs.
        found: u64,
    },
    /// The protobuf format holds no more than 2 GiB.
    #[error(
        "the model takes {bytes} bytes; one file holds at most {MAX_BYTES} (2 GiB), and external data is not written yet"
    )]
    TooLarge {
        /// Encoded size.
        bytes: usize,
    },
}

/// Most bytes of a protobuf message.
const MAX_BYTES: usize = i32::MAX as usize;

/// The graph as an ONNX file. The same graph and options give the same bytes.
///
/// Node and value names, symbolic extents and metadata are kept.
///
/// # Errors
/// When the graph holds internal operators, an interface without element types, or more than 2 GiB.
pub fn write_bytes(graph: &Graph, options: &WriteOptions) -> Result<Vec<u8>, WriteError> {
    let windows = Windows::of(graph)?;
    let in_file = |n: &&Node| !is_dead(graph, n) && !matches!(n.op, Op::BitWindow(_));
    let nodes: Vec<&Node> = graph.nodes.iter().filter(in_file).collect();
    if let Some(node) = nodes.iter().find(|n| matches!(n.op, Op::FakeQuantize(_) | Op::FakeLevels(_))) {
        return Err(WriteError::Internal { node: node.name.clone(), op: node.op.name() });
    }
    let constants = read_constants(graph, &nodes);
    let imports = versions::imports(graph, &nodes, &constants, options.least_opset)?;
    let least_ir = if windows.is_empty() { 0 } else { windows::IR_VERSION };
    let model = ModelProto {
        ir_version: Some(opset::ir_version(imports.default).max(least_ir)),
        opset_import: imports.all().map(|(domain, version)| import(domain, version)).collect(),
        producer_name: Some("lowbit".into()),
        producer_version: Some(env!("CARGO_PKG_VERSION").into()),
        graph: Some(GraphProto {
            name: Some(if graph.name.is_empty() { "graph".into() } else { graph.name.clone() }),
            node: nodes.iter().map(|n| node(graph, n, &windows)).collect(),
            initializer: constants
                .iter()
                .filter_map(|&id| Some(tensor::write(&graph.value(id).name, graph.constant(id)?)))
                .collect(),
            input: graph.inputs.iter().map(|&id| declaration(graph, id)).collect::<Result<_, _>>()?,
            output: graph.outputs.iter().map(|&id| declaration(graph, id)).collect::<Result<_, _>>()?,
            ..GraphProto::default()
        }),
        metadata_props: graph
            .metadata
            .iter()
            .map(|(k, v)| StringStringEntryProto { key: Some(k.clone()), value: Some(v.clone()) })
            .collect(),
        ..ModelProto::default()
    };
    match model.encoded_len() {
        bytes if bytes > MAX_BYTES => Err(WriteError::TooLarge { bytes }),
        _ => Ok(model.encode_to_vec()),
    }
}

/// Whether every result of a node became a constant.
fn is_dead(graph: &Graph, node: &Node) -> bool {
    node.outputs.iter().all(|&o| graph.constant(o).is_some())
}

/// Constants that a node or the caller reads, in the order of the arena.
fn read_constants(graph: &Graph, nodes: &[&Node]) -> Vec<ValueId> {
    let read: HashSet<ValueId> =
        nodes.iter().flat_map(|n| n.inputs.iter().flatten()).chain(&graph.outputs).copied().collect();
    (0..graph.values.len())
        .map(ValueId)
        .filter(|id| read.contains(id) && graph.constant(*id).is_some())
        .collect()
}

fn import(domain: &str, version: u64) -> OperatorSetIdProto {
    OperatorSetIdProto { domain: Some(domain.to_owned()), version: Some(version as i64) }
}

fn declaration(graph: &Graph, id: ValueId) -> Result<crate::proto::ValueInfoProto, WriteError> {
    let value = graph.value(id);
    let dtype = value.dtype.ok_or_else(|| WriteError::Untyped(value.name.clone()))?;
    Ok(interface::write(value, dtype))
}

fn node(graph: &Graph, node: &Node, windows: &Windows) -> NodeProto {
    let name = |id: ValueId| graph.value(id).name.clone();
    // Of several outputs one may have become a constant: the node's own copy of it is left out.
    let output = |&id: &ValueId| if graph.constant(id).is_some() { String::new() } else { name(id) };
    let domain = node.op.domain();
    let last = node.inputs.iter().rposition(Option::is_some).map_or(0, |last| last + 1);
    NodeProto {
        input: node.inputs[..last]
            .iter()
            .map(|i| i.map_or_else(String::new, |i| name(windows.edge(i))))
            .collect(),
        output: node.outputs.iter().map(output).collect(),
        name: Some(node.name.clone()),
        op_type: Some(node.op.name().to_owned()),
        domain: (!domain.is_empty()).then(|| domain.to_owned()),
        attribute: attributes::write(&node.op.write()),
        metadata_props: windows.note(node),
        ..NodeProto::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::read_bytes;
    use crate::testing::{model, node, read};
    use lowbit_graph::{Dim, Graph};
    use lowbit_tensor::{DType, Data, Tensor, Uniform};
    use std::sync::Arc;

    /// y = op(constant) over nodes that exist in every opset, with `edit` applied before writing.
    fn version_of(constant: Data, ops: &[&str]) -> (i64, i64) {
        let constant = Tensor::new(vec![constant.len()], constant).unwrap();
        let mut last = "c".to_owned();
        let mut nodes = Vec::new();
        for (i, op) in ops.iter().enumerate() {
            let output = if i + 1 == ops.len() { "y".to_owned() } else { format!("v{i}") };
            let inputs = if op.ends_with("Linear") { format!("{last} s") } else { last };
            nodes.push(node(op, &inputs, &output, &[]));
            last = output;
        }
        let graph = read(&model(25, nodes, &[("c", constant), ("s", Tensor::scalar(1.0))])).unwrap();
        let model = ModelProto::decode(&write_bytes(&graph, &WriteOptions::default()).unwrap()[..]).unwrap();
        (model.opset_import[0].version.unwrap(), model.ir_version.unwrap())
    }

    #[test]
    fn the_oldest_versions_that_allow_the_graph_are_imported() {
        assert_eq!(version_of(Data::F32(vec![0.5]), &["Relu"]), (13, 8));
        assert_eq!(version_of(Data::I8(vec![1]), &["Relu"]), (14, 8));
        assert_eq!(version_of(Data::F32(vec![0.5]), &["Gelu"]), (20, 9));
        assert_eq!(version_of(Data::I8(vec![1]), &["DequantizeLinear"]), (13, 8));
        assert_eq!(version_of(Data::I16(vec![1]), &["DequantizeLinear"]), (21, 10));
        assert_eq!(version_of(Data::I4(vec![1]), &["DequantizeLinear"]), (21, 10));
        assert_eq!(version_of(Data::U2(vec![1]), &["DequantizeLinear", "Relu"]), (25, 13));
    }

    #[test]
    fn what_nothing_reads_is_left_behind() {
        let nodes = vec![node("Relu", "c", "r", &[]), node("Add", "x r", "y", &[])];
        let mut graph =
            read(&model(13, nodes, &[("c", Tensor::scalar(1.0)), ("unused", Tensor::scalar(2.0))])).unwrap();
        let folded = graph.find("r").unwrap();
        graph.set_constant(folded, Arc::new(Tensor::scalar(1.0)));
        let again = read_bytes(&write_bytes(&graph, &WriteOptions::default()).unwrap(), None).unwrap();
        let names: Vec<&str> = again.values.iter().map(|v| v.name.as_str()).collect();
        assert_eq!((again.nodes.len(), names), (1, vec!["r", "x", "y"]));
    }

    #[test]
    fn what_has_no_place_in_a_file_is_refused() {
        let mut graph = Graph::default();
        let x = graph.add_input("x", DType::F32, vec![Dim::Symbol("N".into())]);
        let code = Uniform::per_tensor(4, true, 0.5, 0);
        let y = graph.add_node("round", lowbit_graph::ops::FakeQuantize { code }, &[x]);
        graph.outputs.push(y);
        let write = |g: &Graph, least_opset| write_bytes(g, &WriteOptions { least_opset });
        assert!(matches!(write(&graph, 13), Err(WriteError::Internal { node, .. }) if node == "round"));
        graph.nodes.clear();
        assert_eq!(write(&graph, 13), Err(WriteError::Untyped("round".into())));
        assert_eq!(write(&graph, 26), Err(WriteError::Opset { found: 26 }));
    }
}
