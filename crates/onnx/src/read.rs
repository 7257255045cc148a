//! Bytes to graph: decode, check versions, declare every value, then bring the nodes in one by one.

mod nodes;
mod values;

use crate::error::{ReadError, ReadProblem};
use crate::proto::ModelProto;
use crate::tensor::Folder;
use crate::{finite, opset};
use lowbit_graph::Graph;
use prost::Message;
use std::path::Path;
use values::Reader;

/// How to read.
#[derive(Clone, Copy, Debug, Default)]
pub struct ReadOptions {
    /// Refuse weights that are not finite ([`crate::check_finite`]).
    pub finite: bool,
}

/// The network in a file; external data lies in the file's folder.
///
/// Every error names the file and the place in it. Two kinds of damage are not seen here but by shape inference,
/// which needs numbers for symbolic extents: operands whose shapes or element types do not fit together.
///
/// # Errors
/// When the file cannot be read, is damaged, or holds what is not supported.
pub fn read_file(path: &Path) -> Result<Graph, ReadError> {
    read_file_with(path, ReadOptions::default())
}

/// [`read_file`] with options.
///
/// # Errors
/// As there.
pub fn read_file_with(path: &Path, options: ReadOptions) -> Result<Graph, ReadError> {
    let read = || {
        let bytes = std::fs::read(path).map_err(ReadProblem::File)?;
        read(&bytes, Some(&Folder::of_model(path)), options)
    };
    read().map_err(|problem| ReadError { file: Some(path.to_owned()), problem: Box::new(problem) })
}

/// The network in `bytes`; `external` is the folder of external data, which is refused without one.
///
/// # Errors
/// When the bytes are damaged, or hold what is not supported.
pub fn read_bytes(bytes: &[u8], external: Option<&Path>) -> Result<Graph, ReadError> {
    read_bytes_with(bytes, external, ReadOptions::default())
}

/// [`read_bytes`] with options.
///
/// # Errors
/// As there.
pub fn read_bytes_with(
    bytes: &[u8],
    external: Option<&Path>,
    options: ReadOptions,
) -> Result<Graph, ReadError> {
    Ok(read(bytes, external.map(Folder::new).as_ref(), options)?)
}

fn read(bytes: &[u8], folder: Option<&Folder>, options: ReadOptions) -> Result<Graph, ReadProblem> {
    let mut model = ModelProto::decode(bytes).map_err(ReadProblem::Protobuf)?;
    let mut proto = model.graph.take().ok_or(ReadProblem::NoGraph)?;
    let opset = opset::check(&model)?;
    if !proto.sparse_initializer.is_empty() {
        let names =
            proto.sparse_initializer.iter().map(|s| s.values.as_ref().and_then(|v| v.name.as_deref()));
        let names: Vec<String> = names.map(|n| format!("`{}`", n.unwrap_or(""))).collect();
        return Err(ReadProblem::Sparse(names.join(", ")));
    }
    let mut reader = Reader::new(&proto, opset);
    reader.graph.name = proto.name.take().unwrap_or_default();
    for entry in std::mem::take(&mut model.metadata_props) {
        reader.graph.metadata.insert(entry.key.unwrap_or_default(), entry.value.unwrap_or_default());
    }
    for initializer in &mut proto.initializer {
        reader.initializer(initializer, folder)?;
    }
    reader.inputs(&proto)?;
    let nodes = reader.declare(std::mem::take(&mut proto.node))?;
    reader.refuse_unsupported(&model, &nodes)?;
    let nodes = reader.constants(nodes)?;
    reader.outputs(&proto)?;
    reader.nodes(nodes)?;
    let mut graph = reader.graph;
    graph.sort().map_err(ReadProblem::Graph)?;
    if options.finite {
        finite::check(&graph)?;
    }
    Ok(graph)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::{AttributeProto, FunctionProto, NodeProto, TypeValue, attribute_type};
    use crate::testing::{model, node, read, unknown_extents, upgraded, with};
    use lowbit_graph::Dim;
    use lowbit_tensor::Tensor;

    fn refusal(model: &ModelProto) -> String {
        read(model).unwrap_err().to_string()
    }

    fn input_type(model: &mut ModelProto) -> &mut TypeValue {
        let input = &mut model.graph.as_mut().unwrap().input[0];
        input.r#type.as_mut().unwrap().value.as_mut().unwrap()
    }

    #[test]
    fn unnamed_extents_get_names_of_their_own() {
        let mut net = model(13, vec![node("Relu", "x", "y", &[])], &[]);
        let TypeValue::Tensor(ty) = input_type(&mut net) else { panic!() };
        ty.shape = Some(unknown_extents(2));
        ty.shape.as_mut().unwrap().dim[1].value = Some(crate::proto::DimensionValue::Param("x_0".into()));
        let graph = read(&net).unwrap();
        let shape = graph.value(graph.inputs[0]).shape.clone().unwrap();
        assert_eq!(shape, [Dim::Symbol("x_0_1".into()), Dim::Symbol("x_0".into())]);
    }

    #[test]
    fn inputs_need_a_tensor_type_with_a_rank() {
        let mut net = model(13, vec![node("Relu", "x", "y", &[])], &[]);
        let TypeValue::Tensor(ty) = input_type(&mut net) else { panic!() };
        ty.shape = None;
        assert!(refusal(&net).contains("input `x`: no shape is declared"));
        let TypeValue::Tensor(ty) = input_type(&mut net) else { panic!() };
        (ty.shape, ty.elem_type) = (Some(unknown_extents(1)), Some(8));
        assert_eq!(refusal(&net), "input `x`: elements of type string are not supported");
        *input_type(&mut net) = TypeValue::Sequence(Box::default());
        assert_eq!(refusal(&net), "input `x`: the type is a sequence; only tensors are supported");
    }

    #[test]
    fn nodes_get_unique_names() {
        let unnamed = |input, output| NodeProto { name: None, ..node("Relu", input, output, &[]) };
        let net =
            model(13, vec![unnamed("x", "a"), node("Relu", "a", "b", &[]), node("Relu", "b", "y", &[])], &[]);
        let names: Vec<String> = read(&net).unwrap().nodes.into_iter().map(|n| n.name).collect();
        assert_eq!(names, ["Relu_a", "my Relu", "my Relu_1"]);
    }

    #[test]
    fn nodes_may_come_in_any_order_but_not_in_a_circle() {
        let backwards = vec![node("Relu", "a", "y", &[]), node("Sigmoid", "x", "a", &[])];
        assert_eq!(crate::testing::ops(&read(&model(13, backwards, &[])).unwrap()), ["Sigmoid", "Relu"]);
        let circle =
            vec![node("Add", "x b", "a", &[]), node("Relu", "a", "b", &[]), node("Relu", "x", "y", &[])];
        assert!(refusal(&model(13, circle, &[])).contains("not acyclic"));
    }

    #[test]
    fn all_unknown_operators_are_named_with_what_they_are() {
        let body = AttributeProto {
            name: Some("body".into()),
            r#type: Some(attribute_type::GRAPH),
            ..AttributeProto::default()
        };
        let call = NodeProto { domain: Some("local".into()), ..node("Block", "x", "a", &[]) };
        let mut net = model(13, vec![call, with(node("Loop", "a", "y", &[]), body)], &[]);
        let function = FunctionProto {
            name: Some("Block".into()),
            domain: Some("local".into()),
            ..FunctionProto::default()
        };
        net.functions.push(function);
        assert_eq!(
            refusal(&net),
            "2 nodes need an operator that is not supported: \
             `my Block` (Block, local, a function of the model: inline it first), \
             `my Loop` (Loop, ai.onnx 13, control flow)"
        );
    }

    #[test]
    fn an_output_that_is_left_out_keeps_its_place() {
        let norm = node("LayerNormalization", "x w", "y _ z", &[]);
        let graph = read(&model(17, vec![norm], &[("w", Tensor::from_f32([5], vec![1.0; 5]))])).unwrap();
        let names: Vec<&str> = graph.nodes[0].outputs.iter().map(|&o| graph.value(o).name.as_str()).collect();
        assert_eq!(names, ["y", "my LayerNormalization.1", "z"]);
    }

    #[test]
    fn initializers_listed_as_inputs_are_constants() {
        let mut net = model(13, vec![node("Relu", "x", "y", &[])], &[("x", Tensor::scalar(1.0))]);
        let graph = read(&net).unwrap();
        assert!(graph.inputs.is_empty() && graph.constant(graph.find("x").unwrap()).is_some());
        net.graph.as_mut().unwrap().initializer.push(crate::tensor::write("x", &Tensor::scalar(2.0)));
        assert_eq!(refusal(&net), "value `x` is produced twice");
    }

    #[test]
    fn versions_outside_the_range_are_refused_with_the_range() {
        for (opset, accepted) in [(6, false), (7, true), (25, true), (26, false)] {
            let read = upgraded(opset, "Relu", &[]);
            assert_eq!(read.is_ok(), accepted, "{opset}");
            assert!(accepted || read.unwrap_err().ends_with("(accepted: 7 to 25)"));
        }
    }
}
