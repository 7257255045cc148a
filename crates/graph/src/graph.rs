//! The network as a plain value: nodes in topological order over an arena of values.
//!
//! Ids are indices and stay valid through every pass: a pass removes nodes and turns values into constants, but never
//! renumbers, so that a plan made for one form of a graph still names the same edges in the next.

use crate::ops::Op;
use lowbit_tensor::{DType, Tensor};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

/// Index of a [`Value`] in [`Graph::values`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ValueId(pub usize);

/// Position of a [`Node`] in [`Graph::nodes`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NodeId(pub usize);

/// One declared extent of a graph input or output.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Dim {
    /// A number.
    Known(usize),
    /// A name, such as the batch `N`; equal names mean equal extents. Unnamed unknowns get a name of their own.
    Symbol(String),
}

/// An edge of the network.
#[derive(Clone, Debug, PartialEq)]
pub struct Value {
    /// Name, unique in the graph.
    pub name: String,
    /// Declared element type: always known for graph inputs and constants.
    pub dtype: Option<DType>,
    /// Declared extents: always known for graph inputs and constants.
    pub shape: Option<Vec<Dim>>,
    /// Its value, if it is the same in every run.
    pub constant: Option<Arc<Tensor>>,
}

/// An operator applied to values.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    /// Name, for messages and reports; unique in the graph.
    pub name: String,
    /// Operator with its attributes.
    pub op: Op,
    /// Inputs in the operator's order; `None` for an optional one that is absent.
    pub inputs: Vec<Option<ValueId>>,
    /// Outputs in the operator's order.
    pub outputs: Vec<ValueId>,
}

impl Node {
    /// Input `i`, if present.
    pub fn input(&self, i: usize) -> Option<ValueId> {
        self.inputs.get(i).copied().flatten()
    }
}

/// A network. Nodes are in topological order; every value is produced by at most one node.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Graph {
    /// Name from the file.
    pub name: String,
    /// All edges; [`ValueId`] indexes it.
    pub values: Vec<Value>,
    /// All nodes, in topological order.
    pub nodes: Vec<Node>,
    /// Inputs fed by the caller (constants are not among them).
    pub inputs: Vec<ValueId>,
    /// Results.
    pub outputs: Vec<ValueId>,
    /// Key-value pairs carried by the file.
    pub metadata: BTreeMap<String, String>,
}

/// A graph that breaks its own rules.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum GraphError {
    /// A cycle, or a value that nothing produces.
    #[error("the graph is not acyclic, or reads values that nothing produces: {0}")]
    Unordered(String),
    /// Two nodes produce one value.
    #[error("value `{0}` is produced twice")]
    ProducedTwice(String),
}

impl Graph {
    /// Adds a value and returns its id.
    pub fn add_value(&mut self, value: Value) -> ValueId {
        self.values.push(value);
        ValueId(self.values.len() - 1)
    }

    /// Adds a computed edge named `name`, of unknown type.
    pub fn add_edge(&mut self, name: impl Into<String>) -> ValueId {
        self.add_value(Value { name: name.into(), dtype: None, shape: None, constant: None })
    }

    /// Adds a graph input.
    pub fn add_input(&mut self, name: impl Into<String>, dtype: DType, shape: Vec<Dim>) -> ValueId {
        let id = self.add_value(Value {
            name: name.into(),
            dtype: Some(dtype),
            shape: Some(shape),
            constant: None,
        });
        self.inputs.push(id);
        id
    }

    /// Adds a constant.
    pub fn add_constant(&mut self, name: impl Into<String>, tensor: Tensor) -> ValueId {
        let id = self.add_edge(name);
        self.set_constant(id, Arc::new(tensor));
        id
    }

    /// Makes `id` a constant (its producer, if any, becomes dead).
    pub fn set_constant(&mut self, id: ValueId, tensor: Arc<Tensor>) {
        let value = &mut self.values[id.0];
        value.dtype = Some(tensor.dtype());
        value.shape = Some(tensor.shape().iter().map(|&d| Dim::Known(d)).collect());
        value.constant = Some(tensor);
    }

    /// Appends a node with one output, whose edge takes the node's name; inputs must exist already.
    pub fn add_node(&mut self, name: impl Into<String>, op: impl Into<Op>, inputs: &[ValueId]) -> ValueId {
        let name = name.into();
        let output = self.add_edge(name.clone());
        let inputs = inputs.iter().copied().map(Some).collect();
        self.nodes.push(Node { name, op: op.into(), inputs, outputs: vec![output] });
        output
    }

    /// The value behind an id.
    pub fn value(&self, id: ValueId) -> &Value {
        &self.values[id.0]
    }

    /// The constant behind an id, if it is one.
    pub fn constant(&self, id: ValueId) -> Option<&Arc<Tensor>> {
        self.values[id.0].constant.as_ref()
    }

    /// The constant at input `i` of a node, if present and constant.
    pub fn constant_input(&self, node: &Node, i: usize) -> Option<&Arc<Tensor>> {
        self.constant(node.input(i)?)
    }

    /// The value of that name.
    pub fn find(&self, name: &str) -> Option<ValueId> {
        self.values.iter().position(|v| v.name == name).map(ValueId)
    }

    /// A name not in use, made from `base`.
    pub fn fresh_name(&self, base: &str) -> String {
        let taken: HashSet<&str> = self.values.iter().map(|v| v.name.as_str()).collect();
        if !taken.contains(base) {
            return base.to_owned();
        }
        (1..)
            .map(|i| format!("{base}_{i}"))
            .find(|n| !taken.contains(n.as_str()))
            .expect("names do not run out")
    }

    /// Producer of each computed value.
    pub fn producers(&self) -> HashMap<ValueId, NodeId> {
        let pairs =
            |(i, node): (usize, &Node)| node.outputs.iter().map(move |&o| (o, NodeId(i))).collect::<Vec<_>>();
        self.nodes.iter().enumerate().flat_map(pairs).collect()
    }

    /// Readers of each value, as (node, input index), in node order.
    pub fn consumers(&self) -> HashMap<ValueId, Vec<(NodeId, usize)>> {
        let mut readers: HashMap<ValueId, Vec<(NodeId, usize)>> = HashMap::new();
        for (n, node) in self.nodes.iter().enumerate() {
            for (i, input) in node.inputs.iter().enumerate() {
                if let Some(id) = input {
                    readers.entry(*id).or_default().push((NodeId(n), i));
                }
            }
        }
        readers
    }

    /// Makes every reader of `from` (and the graph's outputs) read `to`.
    pub fn replace_uses(&mut self, from: ValueId, to: ValueId) {
        for input in self.nodes.iter_mut().flat_map(|n| &mut n.inputs) {
            if *input == Some(from) {
                *input = Some(to);
            }
        }
        for output in &mut self.outputs {
            if *output == from {
                *output = to;
            }
        }
    }

    /// Sorts the nodes topologically, stably (a node keeps its place unless it must move).
    ///
    /// # Errors
    /// On a cycle, a value that nothing produces, or one produced twice; the message names them.
    pub fn sort(&mut self) -> Result<(), GraphError> {
        let mut ready: HashSet<ValueId> = self.inputs.iter().copied().collect();
        ready.extend((0..self.values.len()).map(ValueId).filter(|&v| self.constant(v).is_some()));
        let mut producer: HashMap<ValueId, usize> = HashMap::new();
        for (i, node) in self.nodes.iter().enumerate() {
            for &output in &node.outputs {
                if producer.insert(output, i).is_some() {
                    return Err(GraphError::ProducedTwice(self.value(output).name.clone()));
                }
            }
        }
        // Depth first with an explicit stack: a hostile file may be a chain of a million nodes.
        let mut order = Vec::with_capacity(self.nodes.len());
        let mut state = vec![0u8; self.nodes.len()]; // 0 new, 1 open, 2 done
        for root in 0..self.nodes.len() {
            let mut stack = vec![root];
            while let Some(&n) = stack.last() {
                if state[n] == 2 {
                    stack.pop();
                    continue;
                }
                state[n] = 1;
                let mut blocked = false;
                for input in self.nodes[n].inputs.iter().flatten().filter(|v| !ready.contains(v)) {
                    match producer.get(input) {
                        Some(&p) if state[p] == 0 => {
                            stack.push(p);
                            blocked = true;
                        }
                        Some(&p) if state[p] == 2 => {}
                        _ => return Err(GraphError::Unordered(format!("`{}`", self.value(*input).name))),
                    }
                }
                if !blocked {
                    state[n] = 2;
                    order.push(n);
                    stack.pop();
                }
            }
        }
        for output in &self.outputs {
            if !ready.contains(output) && !producer.contains_key(output) {
                return Err(GraphError::Unordered(format!("output `{}`", self.value(*output).name)));
            }
        }
        let mut nodes: Vec<Option<Node>> = std::mem::take(&mut self.nodes).into_iter().map(Some).collect();
        self.nodes = order.into_iter().filter_map(|n| nodes[n].take()).collect();
        Ok(())
    }
}
