//! Biases as integer runtimes hold them: int32 on the accumulator's grid, input scale × weight scale.
//!
//! Where a channel's weights are tiny beside its bias (a channel of zeros with a bias, at the extreme), that grid would be
//! too fine for 32 bits and the bias would saturate. [`make_room`] coarsens such weights instead.

use crate::plan::Plan;
use crate::site::Sites;
use lowbit_graph::{Graph, Op};
use lowbit_tensor::number::{decode, encode};
use lowbit_tensor::{Code, Tensor, Uniform};

/// Largest code of a bias; half of int32 is left to the products.
const MOST: f32 = (1 << 30) as f32;

/// A bias under a plan.
#[derive(Clone, Debug, PartialEq)]
pub struct Bias {
    /// Codes, if the layer runs on integers; `[out]`.
    pub codes: Option<Vec<i32>>,
    /// Real units per step, `[out]`, or one for all; empty without codes.
    pub scale: Vec<f32>,
    /// `[out]`, or where a `Gemm` adds a matrix `[m, out]`.
    pub shape: Vec<usize>,
    /// Decoded values.
    pub values: Vec<f32>,
}

/// The bias of the layer of weight `i`, with its shift, on the grid of input scale × weight scale where both are
/// uniform and the input has one scale; `None` where the bias stays as it was trained or there is none.
pub fn rounded(graph: &Graph, sites: &Sites, plan: &Plan, i: usize) -> Option<Bias> {
    let (shape, values) = shifted(graph, sites, plan, i)?;
    let Some((input, weight)) = grid(sites, plan, i).filter(|_| shape.len() == 1) else {
        return Some(Bias { codes: None, scale: Vec::new(), shape, values });
    };
    let step = |c: usize| weight.scale[c % weight.scale.len()] * input;
    // Grouped transposed convolutions have fewer weight channels than outputs: scales repeat.
    let scale: Vec<f32> = match weight.scale.len() {
        1 => vec![step(0)],
        _ => (0..values.len()).map(step).collect(),
    };
    let range = [i32::MIN, i32::MAX];
    let codes: Vec<i32> = values.iter().enumerate().map(|(c, &b)| encode(b, step(c), 0, range)).collect();
    let values = codes.iter().enumerate().map(|(c, &q)| decode(q, step(c), 0)).collect();
    Some(Bias { codes: Some(codes), scale, shape, values })
}

/// Raises the weight scales under which a bias would not fit its 32 bits.
pub fn make_room(graph: &Graph, sites: &Sites, plan: &mut Plan) {
    for i in 0..sites.weights.len() {
        let Some((shape, values)) = shifted(graph, sites, plan, i) else { continue };
        let Some((input, _)) = grid(sites, plan, i).filter(|_| shape.len() == 1) else { continue };
        let Some(weight) = plan.weights[i].code.as_mut().and_then(Code::integer_mut) else { continue };
        let channels = weight.scale.len();
        for (c, bias) in values.iter().enumerate() {
            let least = bias.abs() / MOST / input;
            let scale = &mut weight.scale[c % channels];
            if least.is_finite() {
                *scale = scale.max(least);
            }
        }
    }
}

/// Scale of the input and code of weight `i`, where the layer accumulates integers of one grid per channel.
fn grid<'a>(sites: &Sites, plan: &'a Plan, i: usize) -> Option<(f32, &'a Uniform)> {
    let input = plan.activations[sites.weights[i].reads?].code.as_ref()?.integer()?;
    let weight = plan.weights[i].code.as_ref()?.integer()?;
    (input.axis.is_none() && weight.shift.is_none()).then(|| (input.scale[0], weight))
}

/// Shape and values of the trained bias plus its shift: `[out]` wherever one number per output channel says it. `None` where
/// there is neither.
pub(crate) fn shifted(graph: &Graph, sites: &Sites, plan: &Plan, i: usize) -> Option<(Vec<usize>, Vec<f32>)> {
    let node = &graph.nodes[sites.weights[i].node.0];
    let weight = graph.constant(sites.weights[i].value)?.shape();
    let outputs = match &node.op {
        Op::Conv(_) => *weight.first()?,
        Op::ConvTranspose(op) => weight.get(1)? * op.group,
        Op::Gemm(_) => weight[sites.weights[i].channel_axis?],
        _ => return None,
    };
    let shift = plan.bias_shift.get(&i);
    let trained: Option<&Tensor> = match node.input(2) {
        Some(bias) => Some(graph.constant(bias)?.as_ref()),
        None => None,
    };
    let (shape, mut values) = match trained {
        None => (vec![outputs], shift.map(|_| vec![0.0; outputs])?),
        Some(t) if t.len() == 1 => (vec![outputs], vec![t.to_f32()[0]; outputs]),
        Some(t) if t.len() == outputs && t.shape().last() == Some(&outputs) => (vec![outputs], t.to_f32()),
        // A row of its own for each row of the product: beyond integer runtimes, and left alone if it can be.
        Some(t) => {
            let (shift, values) = (shift?, t.to_f32());
            let (rows, columns) = (*t.shape().first()?, t.len() / t.shape()[0].max(1));
            let at = |i: usize| values[i / outputs * columns + if columns == 1 { 0 } else { i % outputs }];
            let sums = (0..rows * outputs).map(|i| at(i) + shift[i % outputs]);
            return Some((vec![rows, outputs], sums.collect()));
        }
    };
    if let Some(shift) = shift {
        values.iter_mut().zip(shift).for_each(|(b, s)| *b += s);
    }
    Some((shape, values))
}
