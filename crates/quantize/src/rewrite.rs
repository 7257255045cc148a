//! Rewriting a network for a target whose operators compute in types of their own (Jiang et al. 2021, HAGO): small pure passes
//! from a graph and a target's descriptors to a value, one file each.
//!
//! ```text
//! regions ─▶ limits ─▶ (search over bits per edge) ─▶ types ─▶ scales ─▶ execute, conversions
//! ```
//!
//! Here an edge is one *use* of a value, and edges inside an accumulator have bits too: they are its headroom. [`crate::site`]
//! is the coarser view that plans, methods and files share: a site is a value, and what lies inside an accumulator has none.
//! [`conversions::stored`] of a rewriting is where sites must lie; a test holds the two to each other.

pub mod conversions;
pub mod execute;
pub mod limits;
pub mod quantizer;
pub mod regions;
pub mod scales;
pub mod thresholds;
pub mod types;

use crate::strict::ConfigError;
use lowbit_graph::{Graph, NodeId, Role, ValueId};

/// One use of a value by an operator that could read it as codes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Edge {
    /// The reader.
    pub node: NodeId,
    /// Which of its inputs.
    pub input: usize,
    /// What is read.
    pub value: ValueId,
}

/// Why a network cannot be rewritten as asked.
#[derive(Debug, thiserror::Error)]
pub enum RewriteError {
    /// No way of computing an operator takes its operands.
    #[error("{op} `{node}`: target `{target}` has no form for operands of {bits} bits; it has {accepted}")]
    NoForm {
        /// The operator.
        op: &'static str,
        /// Its node.
        node: String,
        /// The target.
        target: String,
        /// Bits asked for, by operand.
        bits: String,
        /// What there is.
        accepted: String,
    },
    /// A value has no threshold, and an edge needs one.
    #[error("`{0}` has no threshold: calibrate it, or leave its readers in float")]
    NoThreshold(String),
    /// Operands that must share a scale do not.
    #[error("{op} `{node}`: its operands arrive with scales {scales}, and must share one")]
    Scales {
        /// The operator.
        op: &'static str,
        /// Its node.
        node: String,
        /// What they are.
        scales: String,
    },
    /// A node could not be computed.
    #[error("`{node}`: {message}")]
    Evaluation {
        /// Its node.
        node: String,
        /// What it said.
        message: String,
    },
    /// The target's file.
    #[error(transparent)]
    Config(#[from] ConfigError),
}

/// Every edge into a node that is data or a weight, in network order. Biases are not among them: they have the scale of the
/// accumulator.
pub fn edges(graph: &Graph) -> Vec<Edge> {
    let of = |(n, node): (usize, &lowbit_graph::Node)| -> Vec<Edge> {
        let read = node.inputs.iter().enumerate().filter_map(|(i, value)| Some((i, (*value)?)));
        let numbers =
            read.filter(|(i, _)| matches!(node.op.role(*i), Role::Activation | Role::Weight { .. }));
        numbers.map(|(input, value)| Edge { node: NodeId(n), input, value }).collect()
    };
    graph.nodes.iter().enumerate().flat_map(of).collect()
}

/// A network to rewrite in tests: that of the method's worked examples.
#[cfg(test)]
pub(crate) mod example {
    use crate::target::Target;
    use lowbit_graph::ops::{Add, Conv, Flatten, Gemm, GlobalAveragePool, Relu, Window};
    use lowbit_graph::passes::specialize;
    use lowbit_graph::{Dim, Graph, TensorType, ValueId};
    use lowbit_tensor::{DType, Tensor};
    use std::collections::BTreeMap;

    /// The repository's default accelerator: 8-bit products into 32 bits, sums and ReLUs there, everything else in float.
    pub(crate) fn accelerator() -> Target {
        let text = Target::built_in_text("int8-acc16").unwrap().replace("i16", "i32");
        Target::parse("accelerator", &text).unwrap()
    }

    fn conv(g: &mut Graph, name: &str, x: ValueId) -> ValueId {
        let w =
            g.add_constant(format!("w.{name}"), Tensor::from_f32([2, 2, 1, 1], vec![0.5, -0.25, 0.75, 1.0]));
        g.add_node(name, Conv { window: Window::default(), group: 1 }, &[x, w])
    }

    /// data → conv1 → add(b1) → relu → conv2 → add(b2) → add(relu's result) → relu2 → pool → flatten → dense.
    pub(crate) fn network() -> (Graph, Vec<Option<TensorType>>) {
        let mut g = Graph::default();
        let bias =
            |g: &mut Graph, name: &str| g.add_constant(name, Tensor::from_f32([1, 2, 1, 1], vec![0.1, -0.2]));
        let dims = vec![Dim::Symbol("N".into()), Dim::Known(2), Dim::Known(3), Dim::Known(3)];
        let x = g.add_input("data", DType::F32, dims);
        let (b1, b2) = (bias(&mut g, "b1"), bias(&mut g, "b2"));
        let v = conv(&mut g, "conv1", x);
        let v = g.add_node("add_b1", Add, &[v, b1]);
        let relu = g.add_node("relu", Relu, &[v]);
        let v = conv(&mut g, "conv2", relu);
        let v = g.add_node("add_b2", Add, &[v, b2]);
        let v = g.add_node("add_res", Add, &[v, relu]);
        let v = g.add_node("relu2", Relu, &[v]);
        let v = g.add_node("pool", GlobalAveragePool, &[v]);
        let v = g.add_node("flatten", Flatten { axis: 1 }, &[v]);
        let w = g.add_constant("w.dense", Tensor::from_f32([2, 3], vec![1.0, 0.5, -0.5, 0.25, 1.0, -1.0]));
        let dense = Gemm { alpha: 1.0, beta: 1.0, trans_a: false, trans_b: false };
        let v = g.add_node("dense", dense, &[v, w]);
        g.outputs = vec![v];
        let bound = BTreeMap::from([("N".to_owned(), 1)]);
        let (_, types) = specialize(&g, &bound, &lowbit_engine::evaluate_for_pass).unwrap();
        (g, types)
    }
}
