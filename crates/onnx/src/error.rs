//! What can be wrong with a file, said with the file and the place in it.

use crate::tensor::TensorProblem;
use lowbit_graph::{AttributeError, GraphError};
use std::error::Error;
use std::fmt;
use std::path::PathBuf;

/// A model that was refused: the file, if it came from one, and why.
#[derive(Debug)]
pub struct ReadError {
    /// The model's file; `None` when it was read from memory.
    pub file: Option<PathBuf>,
    /// What is wrong.
    pub problem: Box<ReadProblem>,
}

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.file {
            Some(file) => write!(f, "{}: {}", file.display(), self.problem),
            None => self.problem.fmt(f),
        }
    }
}

impl Error for ReadError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        // The problem is part of the message already.
        self.problem.source()
    }
}

impl From<ReadProblem> for ReadError {
    fn from(problem: ReadProblem) -> ReadError {
        ReadError { file: None, problem: Box::new(problem) }
    }
}

/// What is wrong with a model, and where in it.
#[derive(Debug, thiserror::Error)]
pub enum ReadProblem {
    /// The file could not be read.
    #[error("{0}")]
    File(std::io::Error),
    /// The bytes are not the protobuf form of a model.
    #[error("not an ONNX model: {0}")]
    Protobuf(prost::DecodeError),
    /// A protobuf message without a graph: most often another kind of file.
    #[error("not an ONNX model: there is no graph in it")]
    NoGraph,
    /// A file version outside what is understood.
    #[error("IR version {found} is not supported (accepted: {} to {})", .accepted[0], .accepted[1])]
    IrVersion {
        /// Version in the file.
        found: i64,
        /// Oldest and newest accepted.
        accepted: [i64; 2],
    },
    /// The default operator set is not imported.
    #[error("no version of the default operator set is imported")]
    NoOpset,
    /// A version of the default operator set outside what is understood.
    #[error("opset {found} is not supported (accepted: {} to {})", .accepted[0], .accepted[1])]
    Opset {
        /// Version in the file.
        found: i64,
        /// Oldest and newest accepted.
        accepted: [i64; 2],
    },
    /// A graph input or output whose type cannot be used.
    #[error("{kind} `{name}`: {problem}")]
    Interface {
        /// `input` or `output`.
        kind: &'static str,
        /// Name of the value.
        name: String,
        /// What is wrong with it.
        problem: String,
    },
    /// A constant whose elements could not be read.
    #[error("initializer `{name}`: {source}")]
    Initializer {
        /// Name of the value.
        name: String,
        /// What is wrong with it.
        source: TensorProblem,
    },
    /// Initializers in the sparse form.
    #[error("sparse initializers are not supported: {0}")]
    Sparse(String),
    /// Something without a name that must have one.
    #[error("{0} has no name")]
    Unnamed(String),
    /// Operators that are not known, all of them.
    #[error("{}", unsupported(.0))]
    Unsupported(Vec<UnsupportedNode>),
    /// A node whose attributes its operator refuses.
    #[error("node `{node}` ({op}): {source}")]
    Attribute {
        /// Name of the node.
        node: String,
        /// Its operator.
        op: String,
        /// What is wrong with the attributes.
        source: AttributeError,
    },
    /// A node that cannot be brought into canonical form.
    #[error("node `{node}` ({op}): {problem}")]
    Node {
        /// Name of the node.
        node: String,
        /// Its operator.
        op: String,
        /// What is wrong with it.
        problem: String,
    },
    /// A graph output that nothing produces.
    #[error("nothing produces the output `{0}`")]
    NoProducer(String),
    /// A graph that breaks its own rules.
    #[error("{0}")]
    Graph(GraphError),
    /// A constant that holds NaN, or infinity where none can be meant.
    #[error("constant `{name}`: element {index} is {value}")]
    NotFinite {
        /// Name of the value.
        name: String,
        /// Position in row-major order, of the first such element.
        index: usize,
        /// The element.
        value: f64,
    },
}

/// A node whose operator is not known here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnsupportedNode {
    /// Name of the node.
    pub node: String,
    /// Operator.
    pub op: String,
    /// Its domain; empty for the default one.
    pub domain: String,
    /// Version of the domain that the file imports, if it does.
    pub version: Option<i64>,
    /// What is behind the name, where that helps: a function of the model, or control flow.
    pub note: &'static str,
}

impl fmt::Display for UnsupportedNode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let domain = if self.domain.is_empty() { "ai.onnx" } else { &self.domain };
        write!(f, "`{}` ({}, {domain}", self.node, self.op)?;
        if let Some(version) = self.version {
            write!(f, " {version}")?;
        }
        let comma = if self.note.is_empty() { "" } else { ", " };
        write!(f, "{comma}{})", self.note)
    }
}

fn unsupported(nodes: &[UnsupportedNode]) -> String {
    let list: Vec<String> = nodes.iter().map(ToString::to_string).collect();
    let (nodes, s) = if nodes.len() == 1 { ("node", "s") } else { ("nodes", "") };
    format!("{} {nodes} need{s} an operator that is not supported: {}", list.len(), list.join(", "))
}
