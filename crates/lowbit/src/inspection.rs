//! What is known about a network before anything is done to it: the data of `lowbit inspect`.

use lowbit_quantize::report::Model;
use serde::{Deserialize, Serialize};

/// A network as read and prepared, and where fewer bits are possible.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Inspection {
    /// Name, edges, parameters, multiply-accumulates, size.
    pub model: Model,
    /// One entry per layer, in network order.
    pub layers: Vec<LayerInspection>,
    /// What reconstruction fits one at a time, in network order; a recipe may cut otherwise.
    pub blocks: Vec<BlockInspection>,
    /// How often each operator occurs, most frequent first.
    pub ops: Vec<OpCount>,
}

/// One node, with what is fused to it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct LayerInspection {
    /// Name of the node.
    pub name: String,
    /// Operators in it, such as `Conv + Add + Relu`.
    pub op: String,
    /// Output shape for one sample.
    pub output_shape: Vec<usize>,
    /// Trained parameters.
    pub parameters: u64,
    /// Multiply-accumulates per sample.
    pub macs: u64,
    /// What can be quantized here, such as `weight, activation`; empty where nothing can.
    pub sites: String,
    /// Why something stays float, in plain words; `None` where nothing does.
    pub kept_float: Option<String>,
}

/// A block of layers.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct BlockInspection {
    /// What the names of its layers begin with, or the name of the first.
    pub name: String,
    /// What it is, such as `residual`.
    pub kind: String,
    /// Names of its layers with weights: those of their modules where the file tells them.
    pub layers: Vec<String>,
    /// Names of all its nodes.
    pub nodes: Vec<String>,
    /// Trained parameters.
    pub parameters: u64,
    /// Multiply-accumulates per sample.
    pub macs: u64,
    /// Shapes for one sample of the edges that it reads.
    pub input_shapes: Vec<Vec<usize>>,
    /// Shapes for one sample of the edges that others read, and of results.
    pub output_shapes: Vec<Vec<usize>>,
}

/// An operator and the number of its nodes.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct OpCount {
    /// Name in the ONNX specification.
    pub op: String,
    /// Nodes.
    pub count: usize,
}
