//! Weights as integers: which constants of a network lie on a grid, and their codes.
//!
//! Files write weights in many ways (int8, packed nibbles, bit planes, indices into level tables, sums of points), but all end in one
//! node that scales integers. That node's numbers are kept before constants are folded, and the codes are found
//! from the folded values again, which is exact.

use lowbit_graph::{Graph, Op, ValueId};
use lowbit_tensor::Tensor;
use std::collections::HashMap;

/// The scales of a constant that was integers before it was folded.
#[derive(Clone, Debug)]
pub(crate) struct Scales {
    /// Axis of the scales, as the node has it; negative counts from the end. Of no meaning for one scale.
    axis: i64,
    scale: Vec<f32>,
}

/// Of each value that a node makes by scaling integers, its scales.
pub(crate) fn scales(graph: &Graph) -> HashMap<ValueId, Scales> {
    let floats = |node, i| graph.constant_input(node, i).map(|t| t.to_f32());
    let mut found = HashMap::new();
    for node in &graph.nodes {
        let scales = match &node.op {
            Op::DequantizeLinear(op) if op.block_size == 0 => {
                floats(node, 1).map(|scale| Scales { axis: op.axis, scale })
            }
            Op::FakeQuantize(op) if op.code.shift.is_none() => {
                let axis = op.code.axis.map_or(0, |a| a as i64);
                Some(Scales { axis, scale: op.code.scale.clone() })
            }
            Op::IntQuant(_) | Op::BipolarQuant(_) => {
                broadcast(graph.constant_input(node, 1).map(AsRef::as_ref))
            }
            _ => None,
        };
        if let (Some(scales), Some(&output)) = (scales, node.outputs.first()) {
            found.insert(output, scales);
        }
    }
    found
}

/// Scales shaped to broadcast, as QONNX has them.
fn broadcast(scale: Option<&Tensor>) -> Option<Scales> {
    let scale = scale?;
    let varying: Vec<usize> = (0..scale.shape().len()).filter(|&i| scale.shape()[i] > 1).collect();
    match varying.as_slice() {
        [] => Some(Scales { axis: 0, scale: scale.to_f32() }),
        // Counted from the end: the value may have more axes.
        [axis] => Some(Scales { axis: *axis as i64 - scale.shape().len() as i64, scale: scale.to_f32() }),
        _ => None,
    }
}

/// Integer weights, output channel by output channel.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Codes {
    /// In the order of the tensor.
    pub(crate) codes: Vec<i8>,
    /// One scale per index of the channel axis.
    pub(crate) scale: Vec<f32>,
}

/// The codes of a constant whose output channels lie along `channels`.
///
/// # Errors
/// Why it has none, as the end of a sentence about the weight.
pub(crate) fn weights(tensor: &Tensor, scales: &Scales, channels: usize) -> Result<Codes, String> {
    let (shape, values) = (tensor.shape(), tensor.to_f32());
    let rank = shape.len();
    let &count = shape.get(channels).ok_or("has no output channels")?;
    let scale = match scales.scale.as_slice() {
        &[one] => vec![one; count],
        many => {
            let axis = if scales.axis < 0 { scales.axis + rank as i64 } else { scales.axis };
            if axis != channels as i64 || many.len() != count {
                return Err(format!("has {} scales, not one per output channel", many.len()));
            }
            many.to_vec()
        }
    };
    if scale.iter().any(|s| !s.is_finite() || *s <= 0.0) {
        return Err("has a scale that is no positive number".into());
    }
    let run: usize = shape[channels + 1..].iter().product();
    let mut codes = Vec::with_capacity(values.len());
    for (i, &value) in values.iter().enumerate() {
        let step = scale[i / run % count];
        let code = (value / step).round_ties_even();
        if code * step != value {
            return Err("is not on the grid of its scale".into());
        }
        if !(-128.0..=127.0).contains(&code) {
            return Err("has codes further than 8 bits from its zero point".into());
        }
        codes.push(code as i8);
    }
    Ok(Codes { codes, scale })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_come_back_from_values() {
        let scales = Scales { axis: 0, scale: vec![0.1, 0.3] };
        let codes = [-128i8, 127, 3, -7, 0, 1];
        let values = codes.iter().enumerate().map(|(i, &q)| f32::from(q) * scales.scale[i / 3]).collect();
        let found = weights(&Tensor::from_f32([2, 3], values), &scales, 0).unwrap();
        assert_eq!(found, Codes { codes: codes.to_vec(), scale: vec![0.1, 0.3] });
    }

    #[test]
    fn what_is_no_code_is_refused_with_the_reason() {
        let of = |values: Vec<f32>, axis| {
            let scales = Scales { axis, scale: vec![0.5, 0.5] };
            weights(&Tensor::from_f32([2, 1], values), &scales, 0).unwrap_err()
        };
        assert_eq!(of(vec![0.5, 0.3], 0), "is not on the grid of its scale");
        assert_eq!(of(vec![0.5, 64.0], 0), "has codes further than 8 bits from its zero point");
        assert_eq!(of(vec![0.5, 0.5], 1), "has 2 scales, not one per output channel");
    }
}
