//! Windows of operands: a node of the graph, in a file a note on the layer that reads through it.
//!
//! The note lies in the layer's `metadata_props` (nodes have them since IR version 10), so that any runtime loads the file
//! and multiplies all 8 bits, and whoever knows windows finds them. Where a note lies on what no window is defined for, the
//! file is refused: leaving it out would silently be another network.

use crate::error::ReadProblem;
use crate::names::Names;
use crate::proto::StringStringEntryProto;
use crate::write::WriteError;
use lowbit_graph::ops::{BitWindow, IntQuant};
use lowbit_graph::{Graph, Node, Op, ValueId};
use lowbit_tensor::{DType, Tensor, Windowed};
use std::collections::HashMap;

/// Key of the note; its value is [`Windowed`] as text.
const KEY: &str = "lowbit.window";

/// First file version whose nodes have metadata.
pub(crate) const IR_VERSION: i64 = 10;

/// The windows of a graph about to be written, by the operand that they make.
pub(crate) struct Windows(HashMap<ValueId, (ValueId, Windowed)>);

impl Windows {
    /// All of them; refuses one that a note cannot say.
    pub(crate) fn of(graph: &Graph) -> Result<Windows, WriteError> {
        let (producers, consumers) = (graph.producers(), graph.consumers());
        let mut found = HashMap::new();
        for node in &graph.nodes {
            let Op::BitWindow(op) = &node.op else { continue };
            let (operand, edge) = (node.outputs[0], node.input(0));
            if graph.constant(operand).is_some() {
                continue;
            }
            let scale = edge.and_then(|edge| edge_scale(graph, &graph.nodes[producers.get(&edge)?.0]));
            let readers = consumers.get(&operand).map_or(&[][..], Vec::as_slice);
            let layers = readers.iter().all(|&(n, i)| i == 0 && axis(&graph.nodes[n.0].op) == Some(op.axis));
            match edge.filter(|_| scale == Some(op.scale) && layers && !graph.outputs.contains(&operand)) {
                Some(edge) => found.insert(operand, (edge, op.read)),
                None => return Err(WriteError::Window(node.name.clone())),
            };
        }
        Ok(Windows(found))
    }

    /// What a layer reads in the file: the edge before the window.
    pub(crate) fn edge(&self, input: ValueId) -> ValueId {
        self.0.get(&input).map_or(input, |(edge, _)| *edge)
    }

    /// The note on a layer.
    pub(crate) fn note(&self, layer: &Node) -> Vec<StringStringEntryProto> {
        let read = layer.input(0).and_then(|id| self.0.get(&id));
        let note = |(_, read): &(ValueId, Windowed)| StringStringEntryProto {
            key: Some(KEY.to_owned()),
            value: Some(read.to_string()),
        };
        read.map(note).into_iter().collect()
    }

    /// Whether there are none.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// The note among the metadata of a node.
pub(crate) fn noted(metadata: &[StringStringEntryProto]) -> Option<String> {
    let entry = metadata.iter().find(|entry| entry.key.as_deref() == Some(KEY))?;
    Some(entry.value.clone().unwrap_or_default())
}

/// Puts the windows back: before the node that makes each value of `notes`.
pub(crate) fn restore(
    graph: &mut Graph,
    notes: &[(ValueId, String)],
    [value_names, node_names]: [&mut Names; 2],
) -> Result<(), ReadProblem> {
    if notes.is_empty() {
        return Ok(());
    }
    let producers = graph.producers();
    for (output, text) in notes {
        let Some(&layer) = producers.get(output) else { continue };
        let node = &graph.nodes[layer.0];
        let (name, op) = (node.name.clone(), node.op.name().to_owned());
        let refuse = |problem: String| ReadProblem::Node { node: name.clone(), op: op.clone(), problem };
        let read: Windowed = text.parse().map_err(|e| refuse(format!("`{KEY}`: {e}")))?;
        let axis = axis(&node.op)
            .ok_or_else(|| refuse(format!("`{KEY}` is for convolutions and matrix products only")))?;
        let edge = node.input(0).and_then(|edge| Some((edge, producers.get(&edge)?)));
        let scaled = edge.and_then(|(edge, n)| Some((edge, edge_scale(graph, &graph.nodes[n.0])?)));
        let (edge, scale) = scaled.ok_or_else(|| {
            refuse(format!(
                "`{KEY}` needs an operand of unsigned 8-bit codes with one scale and zero point 0"
            ))
        })?;
        let operand = graph.add_edge(value_names.fresh(&format!("{name}.window")));
        graph.nodes[layer.0].inputs[0] = Some(operand);
        graph.nodes.push(Node {
            name: node_names.fresh(&format!("{name}.window")),
            op: BitWindow { read, axis, scale }.into(),
            inputs: vec![Some(edge)],
            outputs: vec![operand],
        });
    }
    Ok(())
}

/// The axis of its operand that a layer sums over.
fn axis(op: &Op) -> Option<i64> {
    match op {
        Op::Conv(_) => Some(1),
        Op::Gemm(op) if !op.trans_a => Some(-1),
        Op::MatMul(_) => Some(-1),
        _ => None,
    }
}

/// Real units per code of what `producer` leaves, if those are unsigned 8-bit codes with one scale and zero point 0.
fn edge_scale(graph: &Graph, producer: &Node) -> Option<f32> {
    let zero = |t: &Tensor| t.to_f32().iter().all(|&z| z == 0.0);
    let constant = |i| graph.constant_input(producer, i).map(|t| t.as_ref());
    let unsigned = match &producer.op {
        Op::DequantizeLinear(_) => constant(2).is_some_and(|z| z.dtype() == DType::U8 && zero(z)),
        Op::IntQuant(IntQuant { signed: false, narrow: false, .. }) => {
            constant(2).is_some_and(zero) && constant(3)?.to_f32() == [8.0]
        }
        _ => false,
    };
    match constant(1)?.to_f32()[..] {
        [scale] if unsigned && scale > 0.0 && scale.is_finite() => Some(scale),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::{ModelProto, NodeProto};
    use crate::testing::{model, node, ops, read};
    use crate::{WriteOptions, read_bytes, write_bytes};
    use lowbit_tensor::Data;
    use prost::Message;

    const TEXT: &str = "4 bits, shifts 4 3 2 1 0, round, pairs";

    fn with_note(mut node: NodeProto, text: &str) -> NodeProto {
        node.metadata_props =
            vec![StringStringEntryProto { key: Some(KEY.into()), value: Some(text.into()) }];
        node
    }

    /// `x` rounded to codes with the zero point given, read by a noted layer and an addition.
    fn file(layer: &str, text: &str, zero: Data) -> ModelProto {
        let w = Tensor::from_f32([3, 3, 1, 1], vec![1.0; 9]);
        let zero = Tensor::new(vec![], zero).unwrap();
        let nodes = vec![
            node("QuantizeLinear", "x s z", "q", &[]),
            node("DequantizeLinear", "q s z", "d", &[]),
            with_note(node(layer, if layer == "Relu" { "d" } else { "d w" }, "c", &[]), text),
            node("Add", "c d", "y", &[]),
        ];
        model(21, nodes, &[("s", Tensor::scalar(0.25)), ("z", zero), ("w", w)])
    }

    #[test]
    fn a_note_becomes_a_node_and_a_note_again() {
        let graph = read(&file("Conv", TEXT, Data::U8(vec![0]))).unwrap();
        assert_eq!(ops(&graph), ["QuantizeLinear", "DequantizeLinear", "BitWindow", "Conv", "Add"]);
        let d = graph.find("d").unwrap();
        assert_eq!(graph.nodes[2].inputs, [Some(d)]);
        assert_eq!(graph.nodes[2].op, BitWindow { read: TEXT.parse().unwrap(), axis: 1, scale: 0.25 }.into());
        assert_eq!(graph.nodes[4].input(1), Some(d), "the addition reads all bits");
        let bytes = write_bytes(&graph, &WriteOptions::default()).unwrap();
        let written = ModelProto::decode(&bytes[..]).unwrap();
        let nodes = written.graph.unwrap().node;
        let types: Vec<&str> = nodes.iter().map(|n| n.op_type.as_deref().unwrap()).collect();
        assert_eq!(types, ["QuantizeLinear", "DequantizeLinear", "Conv", "Add"]);
        assert_eq!(
            (nodes[2].input[0].as_str(), noted(&nodes[2].metadata_props).as_deref()),
            ("d", Some(TEXT))
        );
        assert_eq!((written.ir_version, written.opset_import.len()), (Some(IR_VERSION), 1));
        let again = read_bytes(&bytes, None).unwrap();
        assert_eq!(ops(&again), ops(&graph));
        assert_eq!(again.nodes[2].op, graph.nodes[2].op);
    }

    #[test]
    fn notes_that_mean_nothing_are_refused_with_the_place() {
        let refusal = |file: ModelProto| read(&file).unwrap_err().to_string();
        let zero = Data::U8(vec![0]);
        let error = refusal(file("Conv", "4 bits", zero.clone()));
        assert!(
            error.starts_with("node `my Conv` (Conv): `lowbit.window`: window `4 bits` is not known"),
            "{error}"
        );
        assert!(refusal(file("Relu", TEXT, zero)).contains("for convolutions and matrix products only"));
        for other in [Data::U8(vec![3]), Data::I8(vec![0])] {
            assert!(
                refusal(file("Conv", TEXT, other))
                    .contains("unsigned 8-bit codes with one scale and zero point 0")
            );
        }
    }

    #[test]
    fn a_window_without_a_layer_to_be_noted_on_is_not_written() {
        let mut graph = read(&file("Conv", TEXT, Data::U8(vec![0]))).unwrap();
        let operand = graph.nodes[2].outputs[0];
        graph.nodes[4].inputs[1] = Some(operand);
        let error = write_bytes(&graph, &WriteOptions::default()).unwrap_err();
        assert_eq!(error, WriteError::Window("my Conv.window".into()));
    }
}
