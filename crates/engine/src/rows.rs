//! Whether each row along axis 0 is computed from that row of the inputs alone, so that a batch may be cut.
//!
//! Shapes tell most: at two batch sizes, every value must either not change or grow along axis 0 only, in proportion.
//! What mixes rows without changing shapes (a softmax over axis 0, say) is named here, and constants must not depend
//! on the batch.

use crate::ops::evaluate_for_pass;
use lowbit_graph::passes::specialize;
use lowbit_graph::{Graph, Input, Node, Op, TensorType, ValueId};
use lowbit_tensor::Tensor;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Which values grow with the extent `batch`, by value, if rows are independent and every output grows; `None` if not.
///
/// `others` binds all other symbols.
pub(crate) fn independent(graph: &Graph, batch: &str, others: &BTreeMap<String, usize>) -> Option<Vec<bool>> {
    let at = |n: usize| {
        let mut bound = others.clone();
        bound.insert(batch.to_owned(), n);
        specialize(graph, &bound, &evaluate_for_pass).ok()
    };
    let (two, three) = (at(2)?, at(3)?);
    let grows: Vec<bool> = two.1.iter().zip(&three.1).map(|(a, b)| a != b).collect();
    let rows = Rows { two: &two.0, graph: &three.0, types: &three.1, grows: &grows };
    // Values that became constants are not computed, and may grow as they like.
    let live = |id: &ValueId| three.0.constant(*id).is_none();
    let computed =
        three.0.inputs.iter().chain(three.0.nodes.iter().flat_map(|n| &n.outputs)).filter(|id| live(id));
    let proportional = computed.copied().all(|ValueId(i)| match (&two.1[i], &three.1[i]) {
        (Some(a), Some(b)) => a == b || in_proportion(&a.shape, &b.shape),
        _ => false,
    });
    let outputs = three.0.outputs.iter().all(|o| grows[o.0] && live(o));
    (proportional && outputs && three.0.nodes.iter().all(|node| rows.keeps(node))).then_some(grows)
}

/// Whether axis 0 alone differs, as 2 : 3.
fn in_proportion(two: &[usize], three: &[usize]) -> bool {
    match (two, three) {
        ([a, x @ ..], [b, y @ ..]) => x == y && a % 2 == 0 && b % 3 == 0 && a / 2 == b / 3,
        _ => false,
    }
}

/// The network at two and at three rows.
struct Rows<'a> {
    two: &'a Graph,
    graph: &'a Graph,
    types: &'a [Option<TensorType>],
    grows: &'a [bool],
}

impl Rows<'_> {
    /// Whether a node computes each row from the same row.
    fn keeps(&self, node: &Node) -> bool {
        let computed = |v: &ValueId| self.graph.constant(*v).is_none();
        let inputs = || node.inputs.iter().flatten().copied();
        let Some(data) = inputs().filter(computed).find(|v| self.grows[v.0]) else { return true };
        let constants = node.inputs.iter().enumerate().filter_map(|(i, v)| Some((i, (*v)?)));
        if constants.filter(|(_, v)| !computed(v)).any(|(i, v)| !self.is_constant_anyhow(node, i, v)) {
            return false;
        }
        let rank = self.types[data.0].as_ref().map_or(0, |ty| ty.shape.len());
        let on_rows = |axis: i64| axis == 0 || axis == -(rank as i64);
        let described = self.described(node);
        let mixes = match &node.op {
            Op::Softmax(op) => on_rows(op.axis),
            Op::LayerNormalization(op) => on_rows(op.axis),
            Op::Concat(op) => on_rows(op.axis),
            Op::Split(op) => on_rows(op.axis),
            Op::Gather(op) => on_rows(op.axis) && node.input(0) == Some(data),
            Op::Slice(op) => op.ranges(&described).map_or(true, |ranges| {
                let whole = self.types[data.0].as_ref().and_then(|ty| ty.shape.first());
                ranges.first().is_none_or(|r| r.start != 0 || r.step != 1 || Some(&r.len) != whole)
            }),
            Op::Pad(op) => op.pads(&described).map_or(true, |pads| pads.first() != Some(&[0, 0])),
            Op::Resize(op) => {
                op.resolve(&described).map_or(true, |r| r.first().is_none_or(|r| r.scale != 1.0))
            }
            Op::MatMul(_) => {
                let right = node.input(1).filter(|v| computed(v) && self.grows[v.0]);
                right.and_then(|v| self.types[v.0].as_ref()).is_some_and(|ty| ty.shape.len() <= 2)
            }
            _ => false,
        };
        !mixes && node.outputs.iter().all(|o| self.grows[o.0])
    }

    /// Whether a constant says the same whatever the batch: it is the same, it is a shape that the shape rules have
    /// already compared, or it has a row for each image and all rows are alike.
    fn is_constant_anyhow(&self, node: &Node, input: usize, id: ValueId) -> bool {
        let (Some(two), Some(three)) = (self.two.constant(id), self.graph.constant(id)) else { return false };
        let shape = match node.op {
            Op::Reshape(_) | Op::Expand(_) => input == 1,
            Op::Resize(_) => input == 3,
            _ => false,
        };
        Arc::ptr_eq(two, three)
            || two == three
            || shape
            || (in_proportion(two.shape(), three.shape()) && rows_are_alike(two, three))
    }

    fn described(&self, node: &Node) -> Vec<Option<Input<'_>>> {
        let input = |id: ValueId| {
            let value = self.graph.constant(id).map(|t| t.as_ref());
            self.types[id.0].clone().map(|ty| Input { ty, value })
        };
        node.inputs.iter().map(|id| id.and_then(input)).collect()
    }
}

/// Whether all rows (of axis 0, or as many equal stretches of it) hold the same: two in one, three in the other.
fn rows_are_alike(two: &Tensor, three: &Tensor) -> bool {
    let row = |tensor: &Tensor, i: usize| {
        let len = three.len() / 3;
        tensor.data().take(i * len..(i + 1) * len)
    };
    let first = row(three, 0);
    [row(three, 1), row(three, 2), row(two, 0), row(two, 1)].iter().all(|row| *row == first)
}
