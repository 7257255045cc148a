//! Folds a scale and shift per channel into the layer before it.
//!
//! At inference batch normalization is affine per channel, and so is what exporters leave of it (`Mul` and `Add` by
//! `[1, C, 1, 1]`). Inside weight and bias it costs nothing, and the weights that get quantized are those that run.

use crate::ops::{ConvTranspose, Gemm};
use crate::{Graph, Node, Op, ValueId};
use lowbit_tensor::{Data, Tensor};
use std::collections::HashSet;

/// y = `scale` · x + `shift`, one entry per channel.
struct Affine {
    scale: Vec<f64>,
    shift: Vec<f64>,
}

/// Folds each `BatchNormalization`, and each `Mul`, `Add`, `Sub`, `Div` by constants per channel, into the `Conv`,
/// `ConvTranspose` or `Gemm` before it, if that has constant weights and no other reader.
///
/// Computed in f64 and rounded once to the weight's type. Weights and biases are new constants with names of their own;
/// the output keeps the name of the node that went. What would not stay finite is left alone.
pub fn fold_batch_norm(graph: &mut Graph) {
    let consumers = graph.consumers();
    let outputs: HashSet<ValueId> = graph.outputs.iter().copied().collect();
    let mut gone = vec![false; graph.nodes.len()];
    for n in 0..graph.nodes.len() {
        while let Some(&output) = graph.nodes[n].outputs.first() {
            let Some(&[(next, input)]) = consumers.get(&output).map(Vec::as_slice) else { break };
            if outputs.contains(&output) || !fold(graph, n, next.0, input) {
                break;
            }
            gone[next.0] = true;
        }
    }
    let mut gone = gone.into_iter();
    graph.nodes.retain(|_| !gone.next().unwrap_or(false));
}

/// Folds node `next`, which reads node `n` at `input`; `false`, and nothing changed, if it cannot be done.
fn fold(graph: &mut Graph, n: usize, next: usize, input: usize) -> bool {
    let (layer, follower) = (&graph.nodes[n], &graph.nodes[next]);
    let Some(folded) = folded(graph, layer, follower, input) else { return false };
    let Some(weight) = layer.input(1) else { return false };
    let bias_name = match layer.input(2) {
        Some(bias) => graph.value(bias).name.clone(),
        None => format!("{}.bias", layer.name),
    };
    let output = follower.outputs[0];
    let weight_name = graph.fresh_name(&format!("{}.folded", graph.value(weight).name));
    let weight = graph.add_constant(weight_name, folded.weight);
    let bias = folded.bias.map(|tensor| {
        let name = graph.fresh_name(&format!("{bias_name}.folded"));
        graph.add_constant(name, tensor)
    });
    let layer = &mut graph.nodes[n];
    layer.op = folded.op;
    layer.inputs.truncate(2);
    layer.inputs[1] = Some(weight);
    layer.inputs.extend(bias.map(Some));
    layer.outputs = vec![output];
    true
}

struct Folded {
    op: Op,
    weight: Tensor,
    bias: Option<Tensor>,
}

fn folded(graph: &Graph, layer: &Node, follower: &Node, input: usize) -> Option<Folded> {
    let weight = graph.constant_input(layer, 1).filter(|w| w.dtype().is_float() && !w.is_empty())?;
    let bias = match layer.input(2) {
        Some(id) => Some(graph.constant(id)?),
        None => None,
    };
    let lying = Channels::of(&layer.op, weight.shape())?;
    let channels = lying.count;
    // Rank of the layer's output, whose channels are axis 1.
    let rank = weight.shape().len();
    let affine = affine(graph, follower, input, rank, channels)?;
    let old_bias = match bias {
        Some(b) if matches!(layer.op, Op::Gemm(_)) => per_channel(b, rank, 1, channels)?,
        Some(b) if b.shape() == [channels] => b.to_f64(),
        Some(_) => return None,
        None => vec![0.0; channels],
    };
    // A product's addend carries a factor of its own, which goes into the new one.
    let (op, beta) = match &layer.op {
        Op::Gemm(op) => (Op::Gemm(Gemm { beta: 1.0, ..op.clone() }), f64::from(op.beta)),
        op => (op.clone(), 1.0),
    };
    let scaled = weight.to_f64().into_iter().enumerate().map(|(i, w)| w * affine.scale[lying.channel(i)]);
    let shifted: Vec<f64> =
        (0..channels).map(|c| affine.scale[c] * beta * old_bias[c] + affine.shift[c]).collect();
    let tensor =
        |shape: Vec<usize>, values| Some(Tensor::new(shape, Data::F64(values)).ok()?.cast(weight.dtype()));
    let needed = bias.is_some() || shifted.iter().any(|&b| b != 0.0);
    let folded = Folded {
        op,
        weight: tensor(weight.shape().to_vec(), scaled.collect())?,
        bias: if needed { Some(tensor(vec![channels], shifted)?) } else { None },
    };
    let finite = |t: &Tensor| t.to_f64().iter().all(|v| v.is_finite());
    (finite(&folded.weight) && folded.bias.as_ref().is_none_or(finite)).then_some(folded)
}

/// Where the output channels of a layer lie in its flat weight.
struct Channels {
    /// Output channels of the layer.
    count: usize,
    /// Output channels of one group, and elements of its weight; other layers are one group.
    per_group: usize,
    group_len: usize,
    /// Elements before the next channel of the group.
    run: usize,
}

impl Channels {
    fn of(op: &Op, weight: &[usize]) -> Option<Channels> {
        let len: usize = weight.iter().product();
        let one_group = |count, run| Some(Channels { count, per_group: count, group_len: len, run });
        match (op, weight) {
            (Op::Conv(_), &[m, _, _, ..]) => one_group(m, len / m),
            (Op::Gemm(Gemm { trans_b: true, .. }), &[n, k]) => one_group(n, k),
            (Op::Gemm(Gemm { trans_b: false, .. }), &[_, n]) => one_group(n, 1),
            // `[c, m/group, …]`: each group of input channels has its own output channels.
            (Op::ConvTranspose(ConvTranspose { group, .. }), &[c, per_group, _, ..])
                if c.is_multiple_of(*group) =>
            {
                let (group_len, run) = (len.checked_div(*group)?, weight[2..].iter().product());
                Some(Channels { count: per_group.checked_mul(*group)?, per_group, group_len, run })
            }
            _ => None,
        }
    }

    /// Output channel of flat element `i`.
    fn channel(&self, i: usize) -> usize {
        i / self.group_len * self.per_group + i / self.run % self.per_group
    }
}

/// What a node does to its operand `input`, of `rank` axes and `channels` along axis 1, if that is affine.
fn affine(graph: &Graph, node: &Node, input: usize, rank: usize, channels: usize) -> Option<Affine> {
    if node.outputs.len() != 1 {
        return None;
    }
    if let Op::BatchNormalization(op) = &node.op {
        let statistic =
            |i| graph.constant_input(node, i).filter(|t| t.shape() == [channels]).map(|t| t.to_f64());
        let ([gamma, beta], [mean, var]) = ([statistic(1)?, statistic(2)?], [statistic(3)?, statistic(4)?]);
        let scale: Vec<f64> =
            (0..channels).map(|c| gamma[c] / (var[c] + f64::from(op.epsilon)).sqrt()).collect();
        let shift = (0..channels).map(|c| beta[c] - mean[c] * scale[c]).collect();
        return (input == 0).then_some(Affine { scale, shift });
    }
    let constant = || per_channel(graph.constant_input(node, 1 - input)?, rank, 1, channels);
    let scaled = |scale| Affine { scale, shift: vec![0.0; channels] };
    let shifted = |shift| Affine { scale: vec![1.0; channels], shift };
    match node.op {
        Op::Mul(_) => constant().map(scaled),
        Op::Add(_) => constant().map(shifted),
        Op::Sub(_) if input == 0 => constant().map(|c| shifted(c.into_iter().map(|c| -c).collect())),
        Op::Div(_) if input == 0 => constant().map(|c| scaled(c.into_iter().map(f64::recip).collect())),
        _ => None,
    }
}

/// The entries of a constant that broadcasts to a tensor of `rank` with one number per index of `axis` (of `channels`),
/// or one for all; `None` when it varies along another axis, or would add axes.
pub(super) fn per_channel(constant: &Tensor, rank: usize, axis: usize, channels: usize) -> Option<Vec<f64>> {
    let lacking = rank.checked_sub(constant.shape().len())?;
    let fits = |(i, &d): (usize, &usize)| d == 1 || (i + lacking == axis && d == channels);
    let values = constant.shape().iter().enumerate().all(fits).then(|| constant.to_f64())?;
    Some(if values.len() == 1 { vec![values[0]; channels] } else { values })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::{Add, BatchNormalization, Conv, Mul, Relu, Sub};
    use crate::passes::testing::names;
    use lowbit_tensor::DType;

    fn add_constant(graph: &mut Graph, shape: &[usize], values: &[f32]) -> ValueId {
        let name = graph.fresh_name("c");
        graph.add_constant(name, Tensor::from_f32(shape, values.to_vec()))
    }

    fn conv() -> Conv {
        Conv { window: Default::default(), group: 1 }
    }

    /// x → layer → batch norm with scale 2·[1, 3], shift [1, -1] → y.
    fn normalized(layer: impl Into<Op>, weight: &[usize], bias: Option<&[usize]>) -> Graph {
        let mut graph = Graph::default();
        let x = graph.add_input("x", DType::F32, vec![]);
        let count: usize = weight.iter().product();
        let mut inputs =
            vec![x, add_constant(&mut graph, weight, &(1..=count).map(|i| i as f32).collect::<Vec<_>>())];
        inputs.extend(bias.map(|shape| add_constant(&mut graph, shape, &[10.0, 20.0])));
        let v = graph.add_node("layer", layer, &inputs);
        let statistics = [[2.0, 6.0], [1.0, -1.0], [0.0, 0.0], [0.75, 0.75]];
        let mut inputs = vec![v];
        inputs.extend(statistics.map(|s| add_constant(&mut graph, &[2], &s)));
        let y = graph.add_node("y", BatchNormalization { epsilon: 0.25 }, &inputs);
        graph.outputs = vec![y];
        graph
    }

    fn constant(graph: &Graph, input: usize) -> Vec<f32> {
        graph.constant_input(&graph.nodes[0], input).unwrap().to_f32()
    }

    #[test]
    fn convolutions_scale_by_output_channel() {
        let mut graph = normalized(conv(), &[2, 1, 2], None);
        fold_batch_norm(&mut graph);
        assert_eq!(names(&graph), ["layer"]);
        assert_eq!(graph.nodes[0].outputs, graph.outputs);
        assert_eq!(constant(&graph, 1), [2., 4., 18., 24.]);
        assert_eq!(constant(&graph, 2), [1., -1.]);
        let mut graph = normalized(conv(), &[2, 1, 1], Some(&[2]));
        fold_batch_norm(&mut graph);
        assert_eq!(constant(&graph, 2), [21., 119.]);
    }

    #[test]
    fn transposed_convolutions_store_output_channels_second() {
        let op = |group| ConvTranspose {
            window: Default::default(),
            group,
            output_padding: vec![],
            output_shape: vec![],
        };
        let mut graph = normalized(op(1), &[2, 2, 1], None);
        fold_batch_norm(&mut graph);
        assert_eq!(constant(&graph, 1), [2., 12., 6., 24.]);
        // Two groups of two inputs and one output each.
        let mut graph = normalized(op(2), &[4, 1, 1], None);
        fold_batch_norm(&mut graph);
        assert_eq!(constant(&graph, 1), [2., 4., 18., 24.]);
    }

    #[test]
    fn products_keep_alpha_and_absorb_beta() {
        for (trans_b, scaled) in [(false, [2., 12., 6., 24.]), (true, [2., 4., 18., 24.])] {
            let op = Gemm { alpha: 0.5, beta: 0.1, trans_a: false, trans_b };
            let mut graph = normalized(op.clone(), &[2, 2], Some(&[1, 2]));
            fold_batch_norm(&mut graph);
            assert_eq!(constant(&graph, 1), scaled);
            assert_eq!(constant(&graph, 2), [3., 11.]);
            assert_eq!(graph.nodes[0].op, Op::Gemm(Gemm { beta: 1.0, ..op }));
        }
    }

    #[test]
    fn factors_and_addends_per_channel_fold_too() {
        let mut graph = Graph::default();
        let x = graph.add_input("x", DType::F32, vec![]);
        let w = add_constant(&mut graph, &[2, 1, 1, 1], &[1., 2.]);
        let scale = add_constant(&mut graph, &[1, 2, 1, 1], &[3., 5.]);
        let shift = add_constant(&mut graph, &[2, 1, 1], &[7., 9.]);
        let one = add_constant(&mut graph, &[], &[1.]);
        let v = graph.add_node("conv", conv(), &[x, w]);
        let v = graph.add_node("scale", Mul, &[scale, v]);
        let v = graph.add_node("shift", Add, &[v, shift]);
        let v = graph.add_node("y", Sub, &[v, one]);
        graph.outputs = vec![v];
        fold_batch_norm(&mut graph);
        assert_eq!(names(&graph), ["conv"]);
        assert_eq!((constant(&graph, 1), constant(&graph, 2)), (vec![3., 10.], vec![6., 8.]));
    }

    #[test]
    fn what_others_read_or_varies_in_space_stays() {
        let mut graph = normalized(conv(), &[2, 1, 1], None);
        let inner = graph.nodes[0].outputs[0];
        let other = graph.add_node("other", Relu, &[inner]);
        graph.outputs.push(other);
        fold_batch_norm(&mut graph);
        assert_eq!(names(&graph), ["layer", "y", "other"]);

        let mut graph = Graph::default();
        let x = graph.add_input("x", DType::F32, vec![]);
        let w = add_constant(&mut graph, &[2, 1, 1, 1], &[1., 2.]);
        let row = add_constant(&mut graph, &[2], &[3., 5.]);
        let v = graph.add_node("conv", conv(), &[x, w]);
        let y = graph.add_node("y", Mul, &[v, row]);
        graph.outputs = vec![y];
        fold_batch_norm(&mut graph);
        assert_eq!(names(&graph), ["conv", "y"]);
    }

    #[test]
    fn a_negative_variance_is_left_to_fail_in_the_open() {
        let mut graph = normalized(conv(), &[2, 1, 1], None);
        let var = graph.nodes[1].input(4).unwrap();
        graph.set_constant(var, std::sync::Arc::new(Tensor::from_f32([2], vec![-1.0; 2])));
        fold_batch_norm(&mut graph);
        assert_eq!(names(&graph), ["layer", "y"]);
    }
}
