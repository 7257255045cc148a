//! A node on its way from the file to the graph, and what an upgrade may ask and add.

use crate::names::Names;
use lowbit_graph::{Attribute, AttributeError, Attributes, Graph, ValueId};
use lowbit_tensor::{DType, Tensor};
use std::collections::{HashMap, HashSet};
use std::rc::Rc;

/// A node with its values resolved and its attributes still in neutral form.
#[derive(Clone, Debug)]
pub(crate) struct Draft {
    pub(crate) name: String,
    /// As [`crate::opset::domain`] gives it.
    pub(crate) domain: String,
    pub(crate) op: String,
    pub(crate) inputs: Vec<Option<ValueId>>,
    pub(crate) outputs: Vec<ValueId>,
    pub(crate) attributes: Attributes,
}

impl Draft {
    /// Input `i`, if present.
    pub(crate) fn input(&self, i: usize) -> Option<ValueId> {
        self.inputs.get(i).copied().flatten()
    }

    /// Sets input `i`, growing the list.
    pub(crate) fn set_input(&mut self, i: usize, value: Option<ValueId>) {
        if self.inputs.len() <= i {
            self.inputs.resize(i + 1, None);
        }
        self.inputs[i] = value;
    }

    /// Drops absent inputs at the end.
    pub(crate) fn trim_inputs(&mut self) {
        while let Some(None) = self.inputs.last() {
            self.inputs.pop();
        }
    }
}

/// Why a node cannot be brought into canonical form.
pub(crate) enum UpgradeError {
    Attribute(AttributeError),
    Other(String),
}

impl From<AttributeError> for UpgradeError {
    fn from(error: AttributeError) -> UpgradeError {
        UpgradeError::Attribute(error)
    }
}

impl From<String> for UpgradeError {
    fn from(problem: String) -> UpgradeError {
        UpgradeError::Other(problem)
    }
}

/// How a value is made, as far as the file says.
#[derive(Clone, Debug)]
pub(crate) struct Maker {
    pub(crate) op: String,
    pub(crate) inputs: Vec<Option<ValueId>>,
}

/// The network around a draft.
pub(crate) struct Scope<'a> {
    pub(crate) graph: &'a mut Graph,
    pub(crate) value_names: &'a mut Names,
    pub(crate) node_names: &'a mut Names,
    /// Version of the default operator set.
    pub(crate) opset: u64,
    /// Nodes of the file by output.
    pub(crate) makers: &'a HashMap<ValueId, Rc<Maker>>,
    /// Values that a node or the caller reads.
    pub(crate) read: &'a HashSet<ValueId>,
    /// Nodes that an upgrade adds before the current one.
    pub(crate) before: Vec<Draft>,
}

impl Scope<'_> {
    /// Adds a constant named after a node and the role it plays there.
    pub(crate) fn constant(&mut self, node: &str, role: &str, tensor: Tensor) -> ValueId {
        let name = self.value_names.fresh(&format!("{node}.{role}"));
        self.graph.add_constant(name, tensor)
    }

    /// Adds a float scalar of the element type of `like`, or of float32 where that is not declared.
    pub(crate) fn scalar(&mut self, node: &str, role: &str, value: f32, like: Option<ValueId>) -> ValueId {
        let declared = like.and_then(|v| self.graph.value(v).dtype).filter(|d| d.is_float());
        self.constant(node, role, Tensor::scalar(value).cast(declared.unwrap_or(DType::F32)))
    }

    /// Adds a node with one output before the current one, and returns the output.
    pub(crate) fn insert(
        &mut self,
        name: &str,
        op: &str,
        inputs: &[Option<ValueId>],
        attributes: Attributes,
    ) -> ValueId {
        let output = self.graph.add_edge(self.value_names.fresh(name));
        self.before.push(Draft {
            name: self.node_names.fresh(name),
            domain: String::new(),
            op: op.to_owned(),
            inputs: inputs.to_vec(),
            outputs: vec![output],
            attributes,
        });
        output
    }

    /// Rank of a value where the file settles it: declared, or by operators that keep or fix the rank.
    pub(crate) fn rank(&self, value: ValueId) -> Option<usize> {
        let mut value = value;
        // Bounded: the graph may still have cycles, and a hostile one long chains before every node that asks.
        for _ in 0..100 {
            let Some(maker) = self.makers.get(&value) else {
                return self.graph.value(value).shape.as_ref().map(Vec::len);
            };
            match maker.op.as_str() {
                "Gemm" | "Flatten" => return Some(2),
                "Reshape" => {
                    let shape = maker.inputs.get(1).copied().flatten()?;
                    return self.graph.constant(shape).map(|shape| shape.len());
                }
                "Relu" | "LeakyRelu" | "Sigmoid" | "Tanh" | "Clip" | "Dropout" | "Identity" | "Transpose"
                | "BatchNormalization" | "Conv" | "MaxPool" | "AveragePool" | "GlobalAveragePool" => {
                    value = maker.inputs.first().copied().flatten()?;
                }
                _ => return None,
            }
        }
        None
    }
}

/// Turns list attribute `attribute`, if there, into the int64 input `input`.
pub(super) fn ints_to_input(
    draft: &mut Draft,
    scope: &mut Scope<'_>,
    attribute: &'static str,
    input: usize,
) -> Result<(), UpgradeError> {
    if let Some(values) = draft.attributes.ints(attribute)? {
        let constant = scope.constant(&draft.name, attribute, Tensor::from_i64s(&values));
        draft.set_input(input, Some(constant));
    }
    Ok(())
}

/// The attribute map with one integer.
pub(super) fn int(name: &str, value: i64) -> Attributes {
    Attributes::new().with(name, Attribute::Int(value))
}
