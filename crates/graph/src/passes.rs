//! Rewrites of a graph, one per file, each with its reason.
//!
//! [`prepare`] is their sequence for a network just read; [`specialize`] gives every execution its static shapes;
//! [`segment`] cuts a part out; [`groups`] and [`blocks`] only look. None renumbers values (see [`crate::Graph`]); all leave
//! the nodes in topological order.

mod batch_norm;
mod blocks;
mod constants;
mod dead_nodes;
mod error;
mod fake_quantize;
mod groups;
mod identities;
mod prepare;
mod segment;
mod specialize;
#[cfg(test)]
mod testing;

pub use batch_norm::fold_batch_norm;
pub use blocks::{Block, BlockError, BlockKind, LARGEST, blocks, layer_name, layers, regroup, weight_of};
pub use constants::fold_constants;
pub use dead_nodes::dead_nodes;
pub use error::PassError;
pub use fake_quantize::fuse_fake_quantize;
pub use groups::{Group, groups};
pub use identities::identities;
pub use prepare::{prepare, prepare_to_train};
pub use segment::{between, segment};
pub use specialize::specialize;

use crate::Op;
use lowbit_tensor::Tensor;

/// What computes an operator on constants: this crate knows no arithmetic, the engine lends its own. An absent optional
/// input is `None`; the error says why without naming the node.
pub type Evaluate<'a> = &'a dyn Fn(&Op, &[Option<&Tensor>]) -> Result<Vec<Tensor>, String>;
