//! A graph that nodes are being added to, with names of their own.

use lowbit_graph::{Graph, Node, Op, ValueId};
use lowbit_tensor::Tensor;
use std::collections::{HashMap, HashSet};

/// A graph being added to: new nodes are collected and put in order at the end.
pub(super) struct Builder {
    pub(super) graph: Graph,
    pub(super) new: Vec<Node>,
    taken: HashSet<String>,
    shared: HashMap<String, ValueId>,
}

impl Builder {
    pub(super) fn new(graph: &Graph) -> Builder {
        let values = graph.values.iter().map(|v| v.name.clone());
        let taken = values.chain(graph.nodes.iter().map(|n| n.name.clone())).collect();
        Builder { graph: graph.clone(), new: Vec::new(), taken, shared: HashMap::new() }
    }

    /// The graph with the new nodes behind the old ones, not yet sorted.
    pub(super) fn into_graph(mut self) -> Graph {
        self.graph.nodes.append(&mut self.new);
        self.graph
    }

    /// A constant of this name, made at its first use.
    pub(super) fn shared(&mut self, name: &str, make: impl FnOnce() -> Tensor) -> ValueId {
        if let Some(&id) = self.shared.get(name) {
            return id;
        }
        let id = self.constant(name.to_owned(), make());
        self.shared.insert(name.to_owned(), id);
        id
    }

    fn fresh(&mut self, name: String) -> String {
        let mut fresh = name.clone();
        let mut i = 1;
        while !self.taken.insert(fresh.clone()) {
            fresh = format!("{name}_{i}");
            i += 1;
        }
        fresh
    }

    pub(super) fn constant(&mut self, name: String, tensor: Tensor) -> ValueId {
        let name = self.fresh(name);
        self.graph.add_constant(name, tensor)
    }

    pub(super) fn node(&mut self, name: String, op: Op, inputs: &[ValueId]) -> ValueId {
        let name = self.fresh(name);
        let output = self.graph.add_edge(name.clone());
        self.new.push(Node {
            name,
            op,
            inputs: inputs.iter().copied().map(Some).collect(),
            outputs: vec![output],
        });
        output
    }

    pub(super) fn scalar(&mut self, name: String, value: f32) -> ValueId {
        self.constant(name, Tensor::scalar(value))
    }
}
