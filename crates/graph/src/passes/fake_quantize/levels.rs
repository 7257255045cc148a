//! Codes that go through a table before they are decoded: rounding to a few levels.

use super::{code_type, grid};
use crate::ops::DequantizeLinear;
use crate::{Graph, Node, NodeId, Op, ValueId};
use lowbit_tensor::{DType, Levels};
use std::collections::HashMap;

/// What a chain `QuantizeLinear → Cast → Gather` from a constant table `→ DequantizeLinear`, which is `last`, rounds, and to
/// which levels; `None` where the table is not ascending or moves a level.
pub(super) fn levels(
    graph: &Graph,
    producers: &HashMap<ValueId, NodeId>,
    last: &Node,
    decode: &DequantizeLinear,
) -> Option<(ValueId, Levels)> {
    let before = |node: &Node, input| Some(&graph.nodes[producers.get(&node.input(input)?)?.0]);
    let gather = before(last, 0)?;
    let Op::Gather(look_up) = &gather.op else { return None };
    let wide = before(gather, 1)?;
    let Op::Cast(cast) = &wide.op else { return None };
    let quantize = before(wide, 0)?;
    let Op::QuantizeLinear(encode) = &quantize.op else { return None };
    let table = graph.constant_input(gather, 0)?;
    if look_up.axis != 0 || table.shape() != [256] || !matches!(cast.to, DType::I32 | DType::I64) {
        return None;
    }
    let mut table: Vec<i32> =
        table.to_i64()?.into_iter().map(i32::try_from).collect::<Result<_, _>>().ok()?;
    let range = code_type(graph, quantize, encode)?.integer_range()?;
    // Negative indices count from the end.
    if range[0] < 0 {
        table.rotate_left(128);
    }
    let (x, grid) = grid(graph, producers, [quantize, last], [encode.axis, decode.axis], range)?;
    let plain = encode.block_size == 0 && decode.block_size == 0;
    let levels = Levels::of_table(grid, &table.try_into().ok()?).ok()?;
    (plain && decode.output_dtype.is_none_or(|d| d == DType::F32)).then_some((x, levels))
}
