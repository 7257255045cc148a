//! Bytes to graph: decode, check versions, declare every value, then bring the nodes in one by one.

use crate::error::{ReadError, ReadProblem, UnsupportedNode};
use crate::names::Names;
use crate::proto::{GraphProto, ModelProto, NodeProto, TensorProto};
use crate::tensor::{self, Folder};
use crate::upgrade::{self, Draft, Maker, Scope, UpgradeError};
use crate::{attributes, finite, interface, opset};
use lowbit_graph::{Graph, GraphError, Node, Op, ValueId};
use prost::Message;
use std::collections::{HashMap, HashSet};
use std::path::Path;

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
    read().map_err(|problem| ReadError { file: Some(path.to_owned()), problem })
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

/// A node whose outputs are declared, with its name settled.
struct Declared {
    name: String,
    proto: NodeProto,
    outputs: Vec<ValueId>,
}

impl Declared {
    fn domain(&self) -> &str {
        opset::domain(self.proto.domain.as_deref().unwrap_or(""))
    }

    fn op(&self) -> &str {
        self.proto.op_type.as_deref().unwrap_or("")
    }
}

/// The graph while it is being built.
struct Reader {
    graph: Graph,
    opset: u64,
    ids: HashMap<String, ValueId>,
    value_names: Names,
    node_names: Names,
    /// Names of symbolic extents.
    symbols: Names,
}

impl Reader {
    /// An empty graph. All names of `proto` are taken from the start, so that names made up here meet none of them.
    fn new(proto: &GraphProto, opset: u64) -> Reader {
        let mut value_names = Names::default();
        let initializers = proto.initializer.iter().filter_map(|t| t.name.as_deref());
        let inputs = proto.input.iter().filter_map(|v| v.name.as_deref());
        let outputs = proto.node.iter().flat_map(|n| n.output.iter().map(String::as_str));
        for name in initializers.chain(inputs).chain(outputs) {
            value_names.take(name);
        }
        Reader {
            graph: Graph::default(),
            opset,
            ids: HashMap::new(),
            value_names,
            node_names: Names::default(),
            symbols: interface::symbols(proto),
        }
    }

    fn is_new(&self, name: &str) -> Result<(), ReadProblem> {
        if self.ids.contains_key(name) {
            return Err(ReadProblem::Graph(GraphError::ProducedTwice(name.to_owned())));
        }
        Ok(())
    }

    fn initializer(&mut self, proto: &mut TensorProto, folder: Option<&Folder>) -> Result<(), ReadProblem> {
        let name = proto.name.take().filter(|n| !n.is_empty());
        let name = name.ok_or_else(|| ReadProblem::Unnamed("an initializer".into()))?;
        self.is_new(&name)?;
        match tensor::read(proto, folder) {
            Ok(tensor) => {
                let id = self.graph.add_constant(name.clone(), tensor);
                self.ids.insert(name, id);
                Ok(())
            }
            Err(source) => Err(ReadProblem::Initializer { name, source }),
        }
    }

    /// Declares the inputs. Files up to IR version 3 list initializers among them; those are constants here.
    fn inputs(&mut self, proto: &GraphProto) -> Result<(), ReadProblem> {
        let initializers: HashSet<String> = self.ids.keys().cloned().collect();
        for input in &proto.input {
            let name = input.name.clone().unwrap_or_default();
            if name.is_empty() {
                return Err(ReadProblem::Unnamed("an input".into()));
            }
            if initializers.contains(&name) {
                continue;
            }
            self.is_new(&name)?;
            let (dtype, shape) = interface::input_type(&name, input, &mut self.symbols)
                .map_err(|problem| ReadProblem::Interface { kind: "input", name: name.clone(), problem })?;
            let id = self.graph.add_input(name.clone(), dtype, shape);
            self.ids.insert(name, id);
        }
        Ok(())
    }

    /// Names every node and declares the values that it produces.
    fn declare(&mut self, protos: Vec<NodeProto>) -> Result<Vec<Declared>, ReadProblem> {
        let mut nodes = Vec::with_capacity(protos.len());
        for mut proto in protos {
            let op = proto.op_type.as_deref().unwrap_or("");
            let base = match proto.name.as_deref().unwrap_or("") {
                "" => format!("{op}_{}", proto.output.first().map_or("", String::as_str)),
                name => name.to_owned(),
            };
            let name = self.node_names.fresh(&base);
            while proto.output.last().is_some_and(String::is_empty) {
                proto.output.pop();
            }
            let mut outputs = Vec::with_capacity(proto.output.len());
            for (i, output) in proto.output.iter().enumerate() {
                // An output that is left out before one that is not still needs a place.
                let output = if output.is_empty() {
                    self.value_names.fresh(&format!("{name}.{i}"))
                } else {
                    output.clone()
                };
                self.is_new(&output)?;
                let id = self.graph.add_edge(output.clone());
                self.ids.insert(output, id);
                outputs.push(id);
            }
            if outputs.is_empty() {
                return Err(ReadProblem::Node {
                    op: op.to_owned(),
                    node: name,
                    problem: "there is no output".into(),
                });
            }
            nodes.push(Declared { name, proto, outputs });
        }
        Ok(nodes)
    }

    /// Refuses the file if any operator is unknown, naming all of them at once.
    fn refuse_unsupported(&self, model: &ModelProto, nodes: &[Declared]) -> Result<(), ReadProblem> {
        let functions: HashSet<(&str, &str)> = model
            .functions
            .iter()
            .map(|f| (opset::domain(f.domain.as_deref().unwrap_or("")), f.name.as_deref().unwrap_or("")))
            .collect();
        let mut unsupported = Vec::new();
        for node in nodes {
            let key @ (domain, op) = (node.domain(), node.op());
            let is_function = functions.contains(&key);
            if !is_function && (key == ("", "Constant") || upgrade::is_supported(domain, op)) {
                continue;
            }
            let note = match op {
                _ if is_function => "a function of the model: inline it first",
                "If" | "Loop" | "Scan" if domain.is_empty() => "control flow",
                _ => "",
            };
            unsupported.push(UnsupportedNode {
                node: node.name.clone(),
                op: op.to_owned(),
                domain: domain.to_owned(),
                version: opset::imported(model, domain),
                note,
            });
        }
        if unsupported.is_empty() { Ok(()) } else { Err(ReadProblem::Unsupported(unsupported)) }
    }

    /// Turns `Constant` nodes into constants and returns the others.
    fn constants(&mut self, nodes: Vec<Declared>) -> Result<Vec<Declared>, ReadProblem> {
        let (constants, others): (Vec<_>, Vec<_>) =
            nodes.into_iter().partition(|n| (n.domain(), n.op()) == ("", "Constant"));
        for node in constants {
            let fail = |e: UpgradeError| e.at(node.name.clone(), "Constant");
            let attributes = attributes::read(node.proto.attribute).map_err(|e| fail(e.into()))?;
            let value = upgrade::constant_value(attributes).map_err(fail)?;
            self.graph.set_constant(node.outputs[0], value);
        }
        Ok(others)
    }

    fn outputs(&mut self, proto: &GraphProto) -> Result<(), ReadProblem> {
        for output in &proto.output {
            let name = output.name.as_deref().unwrap_or("");
            let id = *self.ids.get(name).ok_or_else(|| ReadProblem::NoProducer(name.to_owned()))?;
            let (dtype, shape) =
                interface::output_type(name, output, &mut self.symbols).map_err(|problem| {
                    ReadProblem::Interface { kind: "output", name: name.to_owned(), problem }
                })?;
            let value = &mut self.graph.values[id.0];
            value.dtype = value.dtype.or(dtype);
            value.shape = value.shape.take().or(shape);
            self.graph.outputs.push(id);
        }
        Ok(())
    }

    /// Brings the nodes into canonical form and adds them.
    fn nodes(&mut self, nodes: Vec<Declared>) -> Result<(), ReadProblem> {
        let mut drafts = Vec::with_capacity(nodes.len());
        for node in nodes {
            drafts.push(self.draft(node)?);
        }
        let makers: HashMap<ValueId, Maker> = drafts
            .iter()
            .flat_map(|d| {
                d.outputs.iter().map(|&o| (o, Maker { op: d.op.clone(), inputs: d.inputs.clone() }))
            })
            .collect();
        let mut read: HashSet<ValueId> =
            drafts.iter().flat_map(|d| d.inputs.iter().copied().flatten()).collect();
        read.extend(&self.graph.outputs);
        for mut draft in drafts {
            let mut scope = Scope {
                graph: &mut self.graph,
                value_names: &mut self.value_names,
                node_names: &mut self.node_names,
                opset: self.opset,
                makers: &makers,
                read: &read,
                before: Vec::new(),
            };
            let (name, op) = (draft.name.clone(), draft.op.clone());
            upgrade::upgrade(&mut draft, &mut scope).map_err(|e| e.at(name.clone(), &op))?;
            for draft in std::mem::take(&mut scope.before).into_iter().chain([draft]) {
                self.graph.nodes.push(finish(draft).map_err(|e| e.at(name.clone(), &op))?);
            }
        }
        Ok(())
    }

    fn draft(&self, node: Declared) -> Result<Draft, ReadProblem> {
        let (domain, op) = (node.domain().to_owned(), node.op().to_owned());
        let input = |name: &String| match self.ids.get(name) {
            _ if name.is_empty() => Ok(None),
            Some(&id) => Ok(Some(id)),
            None => Err(UpgradeError::Other(format!("reads `{name}`, which nothing produces"))),
        };
        let resolved: Result<(Vec<_>, _), UpgradeError> = (|| {
            let inputs = node.proto.input.iter().map(input).collect::<Result<_, _>>()?;
            Ok((inputs, attributes::read(node.proto.attribute)?))
        })();
        let (inputs, attributes) = resolved.map_err(|e| e.at(node.name.clone(), &op))?;
        let mut draft = Draft { name: node.name, domain, op, inputs, outputs: node.outputs, attributes };
        draft.trim_inputs();
        Ok(draft)
    }
}

fn finish(draft: Draft) -> Result<Node, UpgradeError> {
    let op = Op::read(&draft.domain, &draft.op, draft.attributes)
        .ok_or_else(|| UpgradeError::Other(format!("`{}` is not supported", draft.op)))??;
    Ok(Node { name: draft.name, op, inputs: draft.inputs, outputs: draft.outputs })
}

impl UpgradeError {
    /// The error of a node.
    fn at(self, node: String, op: &str) -> ReadProblem {
        let op = op.to_owned();
        match self {
            UpgradeError::Attribute(source) => ReadProblem::Attribute { node, op, source },
            UpgradeError::Other(problem) => ReadProblem::Node { node, op, problem },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::{AttributeProto, FunctionProto, TypeValue, attribute_type};
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
