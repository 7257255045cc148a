//! What the tests of passes share.

use crate::{Graph, Op};
use lowbit_tensor::{Data, Tensor};

/// Names of the nodes, in order.
pub(super) fn names(graph: &Graph) -> Vec<&str> {
    graph.nodes.iter().map(|n| n.name.as_str()).collect()
}

/// As much arithmetic as the tests of this crate need; the engine's is not visible here.
pub(super) fn evaluate(op: &Op, inputs: &[Option<&Tensor>]) -> Result<Vec<Tensor>, String> {
    let x = inputs.first().copied().flatten().ok_or("input 0 is missing")?;
    let reshaped = |t: &Tensor, shape| t.clone().reshape(shape).map_err(|e| e.to_string());
    match op {
        Op::Relu(_) => Ok(vec![Tensor::from_f32(x.shape(), x.to_f32().iter().map(|v| v.max(0.0)).collect())]),
        Op::Identity(_) => Ok(vec![x.clone()]),
        Op::Cast(op) => Ok(vec![x.cast(op.to)]),
        Op::Unsqueeze(_) => reshaped(x, vec![1; x.shape().len() + 1]).map(|t| vec![t]),
        Op::Gather(_) => {
            let indices = inputs[1].and_then(Tensor::to_i64).ok_or("no indices")?;
            let data = x.data().take(indices.iter().map(|&i| i as usize));
            Tensor::new(inputs[1].map_or(vec![], |i| i.shape().to_vec()), data)
                .map(|t| vec![t])
                .map_err(|e| e.to_string())
        }
        Op::Concat(_) => {
            let mut data = Data::zeros(x.dtype(), 0);
            inputs.iter().flatten().for_each(|t| data.extend_from(t.data(), 0..t.len()));
            Tensor::new(vec![data.len()], data).map(|t| vec![t]).map_err(|e| e.to_string())
        }
        _ => Err(format!("no test arithmetic for {}", op.name())),
    }
}
