//! Small models made in memory, for the tests of this crate.

use crate::proto::{
    AttributeProto, GraphProto, ModelProto, NodeProto, OperatorSetIdProto, TensorShapeProto, TensorType,
    TypeProto, TypeValue, ValueInfoProto,
};
use crate::{ReadError, attributes, interface, read_bytes, tensor};
use lowbit_graph::{Attribute, Attributes, Dim, Graph, Value};
use lowbit_tensor::{DType, Tensor};
use prost::Message;

/// The declaration of a float32 value.
fn float(name: &str, shape: &[usize]) -> ValueInfoProto {
    let shape = Some(shape.iter().map(|&d| Dim::Known(d)).collect());
    interface::write(&Value { name: name.into(), dtype: None, shape, constant: None }, DType::F32)
}

/// A model of `opset` with float input `x` of shape [2, 3, 4, 5] and output `y` of unknown shape.
pub(crate) fn model(opset: i64, nodes: Vec<NodeProto>, constants: &[(&str, Tensor)]) -> ModelProto {
    let untyped = TypeValue::Tensor(TensorType { elem_type: Some(1), shape: None });
    let y = TypeProto { value: Some(untyped), denotation: None };
    ModelProto {
        ir_version: Some(8),
        opset_import: vec![OperatorSetIdProto { domain: None, version: Some(opset) }],
        graph: Some(GraphProto {
            name: Some("g".into()),
            node: nodes,
            initializer: constants.iter().map(|(name, t)| tensor::write(name, t)).collect(),
            input: vec![float("x", &[2, 3, 4, 5])],
            output: vec![ValueInfoProto {
                name: Some("y".into()),
                r#type: Some(y),
                ..ValueInfoProto::default()
            }],
            ..GraphProto::default()
        }),
        ..ModelProto::default()
    }
}

/// A node with space-separated inputs and outputs; `_` stands for one that is left out.
pub(crate) fn node(op: &str, inputs: &str, outputs: &str, attributes: &[(&str, Attribute)]) -> NodeProto {
    let names =
        |list: &str| list.split_whitespace().map(|n| if n == "_" { "" } else { n }.to_owned()).collect();
    let attributes =
        attributes.iter().fold(Attributes::new(), |all, (name, value)| all.with(name, value.clone()));
    NodeProto {
        name: Some(format!("my {op}")),
        op_type: Some(op.into()),
        input: names(inputs),
        output: names(outputs),
        attribute: attributes::write(&attributes),
        ..NodeProto::default()
    }
}

/// The graph of a model.
pub(crate) fn read(model: &ModelProto) -> Result<Graph, ReadError> {
    read_bytes(&model.encode_to_vec(), None)
}

/// The graph of one node `op` of `opset` from `x` to `y`, or the message of the refusal.
pub(crate) fn upgraded(opset: i64, op: &str, attributes: &[(&str, Attribute)]) -> Result<Graph, String> {
    read(&model(opset, vec![node(op, "x", "y", attributes)], &[])).map_err(|e| e.to_string())
}

/// Operators of a graph, in order.
pub(crate) fn ops(graph: &Graph) -> Vec<&'static str> {
    graph.nodes.iter().map(|n| n.op.name()).collect()
}

/// The constant at input `i` of the only node, as numbers.
pub(crate) fn constant(graph: &Graph, i: usize) -> Option<Vec<f32>> {
    graph.constant_input(&graph.nodes[0], i).map(|t| t.to_f32())
}

/// Shorthands.
pub(crate) fn ints(values: &[i64]) -> Attribute {
    Attribute::Ints(values.to_vec())
}

pub(crate) fn text(value: &str) -> Attribute {
    Attribute::Text(value.into())
}

/// The message of one shape without numbers, for inputs of unknown extents.
pub(crate) fn unknown_extents(rank: usize) -> TensorShapeProto {
    TensorShapeProto { dim: vec![Default::default(); rank] }
}

/// Appends an attribute of any kind to a node.
pub(crate) fn with(mut node: NodeProto, attribute: AttributeProto) -> NodeProto {
    node.attribute.push(attribute);
    node
}
