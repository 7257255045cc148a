//! Convolutions and matrix products with their bias, residual addition and clip.

use super::{Lower, Want, both, pads};
use crate::Grid;
use crate::ops::Layer;
use crate::program::BufferId;
use crate::weights::{Codes, weights};
use lowbit_graph::passes::Group;
use lowbit_graph::{Node, NodeId, Op, ValueId};
use lowbit_kernels::Conv2d;
use lowbit_kernels::integer::{WeightBits, Weights};

/// The step of the layer whose group ends in `id`, if there is one and it runs on integers. Where the group adds real numbers,
/// the layer alone does, up to the addition.
pub(super) fn lower(lower: &mut Lower, id: ValueId, want: Want) -> Option<BufferId> {
    let group = *lower.groups.get(&id).or_else(|| lower.summands.get(&id))?;
    match plan(lower, &group, want) {
        Ok(plan) => place(lower, &group, plan, id, want),
        Err(reason) => {
            lower.reasons.insert(group.anchor, reason);
            None
        }
    }
}

/// A layer that has an integer form.
struct Plan {
    /// The codes it reads.
    data: ValueId,
    layer: Layer,
    /// What is added, with its grid.
    residual: Option<(ValueId, Grid)>,
}

fn place(lower: &mut Lower, group: &Group, plan: Plan, id: ValueId, want: Want) -> Option<BufferId> {
    let mut reads = vec![lower.codes(plan.data)];
    if let Some((residual, _)) = plan.residual {
        reads.push(lower.codes(residual));
    }
    let y = lower.wanted(id, want)?;
    let name = lower.graph.nodes[group.anchor.0].name.clone();
    Some(lower.step(name, plan.layer, reads, y))
}

/// The layer of a group, or why it has no integer form, as the end of a sentence about the node.
fn plan(lower: &Lower, group: &Group, want: Want) -> Result<Plan, String> {
    let node = &lower.graph.nodes[group.anchor.0];
    let data = node.input(0).ok_or("has no input")?;
    let grid = lower.grid(data).ok_or("reads numbers that are not codes of one scale for the tensor")?;
    let shape = Shape::of(lower, node, data)?;
    let (bounds, residual) = tail(lower, group, want)?;
    let weights = shape.weights(lower, node)?;
    let scale: Vec<f32> = weights.scale.iter().map(|w| grid.scale * w).collect();
    let bias = bias(lower, group, &shape, &scale)?;
    let bits = WeightBits::narrowest(&weights.codes);
    fits(&Weights { codes: &weights.codes, bits, bias: &bias, zero_x: grid.zero, max_x: grid.hi })?;
    let layer = Layer {
        conv: shape.conv,
        linear: shape.linear,
        bits,
        weights: weights.codes,
        bias,
        scale,
        input: grid,
        bounds,
        inner: None,
        residual: residual.map(|(_, grid)| grid),
        levels: None,
    };
    Ok(Plan { data, layer, residual })
}

/// The bounds of the clip at the end, and what is added before it.
#[expect(clippy::type_complexity, reason = "two results of one look")]
fn tail(lower: &Lower, group: &Group, want: Want) -> Result<([f32; 2], Option<(ValueId, Grid)>), String> {
    let bounds = match group.activation {
        None => [f32::NEG_INFINITY, f32::INFINITY],
        Some(node) => lower.bounds(node).ok_or_else(|| {
            format!("is followed by {} before it is rounded", lower.graph.nodes[node.0].op.name())
        })?,
    };
    let Some(residual) = group.residual else { return Ok((bounds, None)) };
    if matches!(want, Want::Float) {
        return Err("is added to before it is rounded".into());
    }
    let grid = lower.grid(residual).ok_or("is added to numbers that are not codes")?;
    if lower.ty(residual).shape != lower.ty(group.output).shape {
        return Err("is added to a tensor of another shape".into());
    }
    Ok((bounds, Some((residual, grid))))
}

impl Lower {
    /// The bounds that a node holds its input to, if that is all it does.
    pub(super) fn bounds(&self, node: NodeId) -> Option<[f32; 2]> {
        let node = &self.graph.nodes[node.0];
        let bound = |i, none: f32| match node.input(i) {
            None => Some(none),
            Some(id) => self.graph.constant(id)?.to_f32().first().copied(),
        };
        match node.op {
            Op::Relu(_) => Some([0.0, f32::INFINITY]),
            Op::Clip(_) => Some([bound(1, f32::NEG_INFINITY)?, bound(2, f32::INFINITY)?]),
            _ => None,
        }
    }
}

/// A layer as the kernels see it.
struct Shape {
    conv: Conv2d,
    linear: bool,
    /// Axis of the weight's output channels.
    channels: usize,
}

impl Shape {
    fn of(lower: &Lower, node: &Node, data: ValueId) -> Result<Shape, String> {
        let weight = node.input(1).and_then(|id| lower.graph.constant(id)).ok_or("has no constant weight")?;
        let (x, w) = (&lower.ty(data).shape, weight.shape());
        match &node.op {
            Op::Conv(op) => {
                let axes = x.len().saturating_sub(2);
                let [in_c, in_h, in_w] =
                    lower.image(data).ok_or_else(|| format!("convolves {axes} axes, not 1 or 2"))?;
                let r = op.resolve(x, w).map_err(|e| e.to_string())?;
                let conv = Conv2d {
                    in_h,
                    in_w,
                    in_c,
                    out_c: w[0],
                    kernel: both(&r.kernel, 1),
                    stride: both(&r.strides, 1),
                    dilation: both(&r.dilations, 1),
                    pads: pads(&r.begins, &r.ends),
                    groups: op.group,
                };
                conv.check().map_err(|e| e.to_string())?;
                if op.group > 1 && !conv.is_depthwise() {
                    return Err(format!("has {} groups, which is neither one nor one per channel", op.group));
                }
                Ok(Shape { conv, linear: false, channels: 0 })
            }
            Op::Gemm(op) => {
                if op.trans_a || op.alpha != 1.0 || op.beta != 1.0 && node.input(2).is_some() {
                    return Err("is a Gemm with a transposed input or factors".into());
                }
                Shape::linear(x, w, usize::from(!op.trans_b))
            }
            Op::MatMul(_) if w.len() == 2 => Shape::linear(x, w, 1),
            op => Err(format!("is a {} of this form", op.name())),
        }
    }

    fn linear(x: &[usize], w: &[usize], channels: usize) -> Result<Shape, String> {
        let (in_c, out_c) = (w[1 - channels], w[channels]);
        if x.last() != Some(&in_c) || !(2..=3).contains(&x.len()) || in_c * out_c == 0 {
            return Err(format!("multiplies {x:?} by {w:?}"));
        }
        let conv = Conv2d::square([1, 1, in_c], out_c, 1, 1, 0);
        Ok(Shape { conv, linear: true, channels })
    }

    /// The weights in the kernels' order, `[out, in/groups, kh, kw]`.
    fn weights(&self, lower: &Lower, node: &Node) -> Result<Codes, String> {
        let id = node.input(1).ok_or("has no weight")?;
        let scales = lower.scales.get(&id).ok_or("has a weight that was not made of integers")?;
        let tensor = lower.graph.constant(id).ok_or("has no constant weight")?;
        let found =
            weights(tensor, scales, self.channels).map_err(|reason| format!("has a weight that {reason}"))?;
        if self.channels == 0 {
            return Ok(found);
        }
        let (inputs, outputs) = (self.conv.in_c, self.conv.out_c);
        let codes = (0..outputs).flat_map(|o| (0..inputs).map(move |i| (o, i)));
        Ok(Codes { codes: codes.map(|(o, i)| found.codes[i * outputs + o]).collect(), ..found })
    }
}

/// The bias on the grid of the sums: that of the node and that of the group.
fn bias(lower: &Lower, group: &Group, shape: &Shape, scale: &[f32]) -> Result<Vec<i32>, String> {
    let anchor = &lower.graph.nodes[group.anchor.0];
    let added = group.bias.and_then(|n| {
        let node = &lower.graph.nodes[n.0];
        (0..2).find_map(|i| lower.graph.constant_input(node, i))
    });
    let own = match anchor.input(2) {
        None => None,
        Some(id) => Some(lower.graph.constant(id).ok_or("has a bias that is not constant")?),
    };
    let mut sums = vec![0.0; shape.conv.out_c];
    for tensor in own.into_iter().chain(added) {
        let values = tensor.to_f64();
        if values.len() != 1 && values.len() != sums.len() {
            return Err(format!("has a bias of {} values", values.len()));
        }
        sums.iter_mut().enumerate().for_each(|(o, sum)| *sum += values[o % values.len()]);
    }
    let code = |(sum, scale): (&f64, &f32)| {
        let code = (sum / f64::from(*scale)).round_ties_even();
        let fits = code.abs() <= f64::from(i32::MAX);
        fits.then_some(code as i32).ok_or_else(|| format!("has a bias of {code} steps, beyond 32 bits"))
    };
    sums.iter().zip(scale).map(code).collect()
}

/// Whether no sum can leave 32 bits: sums may wrap on the way, their end may not.
fn fits(weights: &Weights<'_>) -> Result<(), String> {
    for o in 0..weights.bias.len() {
        let range = weights.sum_range(o);
        if let Some(bound) = [*range.start(), *range.end()].into_iter().find(|&b| i32::try_from(b).is_err()) {
            return Err(format!("has sums up to {bound}, where 32 bits hold {}", i32::MAX));
        }
    }
    Ok(())
}
