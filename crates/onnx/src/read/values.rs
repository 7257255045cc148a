//! First half of reading: every value of the file gets its id, and every node its name.

use crate::error::ReadProblem;
use crate::names::Names;
use crate::proto::{GraphProto, NodeProto, TensorProto};
use crate::tensor::{self, Folder};
use crate::{interface, opset};
use lowbit_graph::{Graph, GraphError, ValueId};
use std::collections::{HashMap, HashSet};

/// A node whose outputs are declared, with its name settled.
pub(super) struct Declared {
    pub(super) name: String,
    pub(super) proto: NodeProto,
    pub(super) outputs: Vec<ValueId>,
}

impl Declared {
    pub(super) fn domain(&self) -> &str {
        opset::domain(self.proto.domain.as_deref().unwrap_or(""))
    }

    pub(super) fn op(&self) -> &str {
        self.proto.op_type.as_deref().unwrap_or("")
    }
}

/// The graph while it is being built.
pub(super) struct Reader {
    pub(super) graph: Graph,
    pub(super) opset: u64,
    pub(super) ids: HashMap<String, ValueId>,
    pub(super) value_names: Names,
    pub(super) node_names: Names,
    /// Names of symbolic extents.
    pub(super) symbols: Names,
}

impl Reader {
    /// An empty graph. All names of `proto` are taken from the start, so that names made up here meet none of them.
    pub(super) fn new(proto: &GraphProto, opset: u64) -> Reader {
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

    pub(super) fn initializer(
        &mut self,
        proto: &mut TensorProto,
        folder: Option<&Folder>,
    ) -> Result<(), ReadProblem> {
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
    pub(super) fn inputs(&mut self, proto: &GraphProto) -> Result<(), ReadProblem> {
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
    pub(super) fn declare(&mut self, protos: Vec<NodeProto>) -> Result<Vec<Declared>, ReadProblem> {
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

    pub(super) fn outputs(&mut self, proto: &GraphProto) -> Result<(), ReadProblem> {
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
}
