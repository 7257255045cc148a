//! Brings mean and spread of convolutions' outputs back to those of the float network, layer by layer.
//!
//! What estimating batch normalization again does to a network whose normalization is folded: with `(m, s)` mean and
//! deviation of a channel in the float network and `(mq, sq)` in the simulated one, `y' = (y − mq)·s/sq + m`. The factor
//! goes into the weight's scale (codes stay), the rest into the bias. Layers come in network order, as each is measured
//! behind the corrected ones before it; what lies before a layer runs once.

use super::ENTRY;
use crate::bias;
use crate::method::MethodError;
use crate::methods::lapq::cuts::{Cuts, rows_fixed};
use crate::methods::lapq::variables::Variable;
use crate::methods::range::rescaled;
use crate::plan::Plan;
use crate::run::Samples;
use crate::simulate::simulate;
use crate::workbench::Workbench;
use lowbit_engine::Network;
use lowbit_graph::{Graph, Op, ValueId};
use lowbit_tensor::{Code, Tensor};

/// Samples run at once.
const BATCH: usize = 128;

/// Corrects every quantized convolution of the plan, on the first `most` samples.
///
/// # Errors
/// When there are no samples, the network has not one input, or it cannot be run.
pub(super) fn recalibrate(plan: &mut Plan, bench: &Workbench<'_>, most: usize) -> Result<(), MethodError> {
    let graph = bench.graph;
    if graph.inputs.len() != 1 || graph.outputs.is_empty() {
        let message = "needs a network of one input; recalibrate = false goes without".to_owned();
        return Err(MethodError::Needs { step: ENTRY.id, message });
    }
    let unit = rows_fixed(graph).unwrap_or(1);
    let found = bench.run.samples.map_or(0, Samples::len);
    let count = found.min(most.max(unit)) / unit * unit;
    let Some(samples) = bench.run.samples.filter(|_| count > 0) else {
        return Err(MethodError::TooFewSamples { step: ENTRY.id, found, needed: unit });
    };
    let layers: Vec<usize> = (0..plan.weights.len()).filter(|&i| is_corrected(plan, bench, i)).collect();
    bench.run.watch.stage(ENTRY.id, Some(layers.len() as u64));
    // A bias everywhere from the start: cuts hold as long as no plan adds one.
    for &i in &layers {
        let outputs = bench.graph.constant(bench.sites.weights[i].value).map_or(0, |w| w.shape()[0]);
        plan.bias_shift.entry(i).or_insert_with(|| vec![0.0; outputs]);
    }
    let edges: Vec<ValueId> = layers.iter().map(|&i| output(bench, i)).collect();
    let wanted = of_float(graph, &edges, samples, count, unit)?;
    let variables: Vec<Variable> = layers.iter().map(|&i| Variable::Weight(i)).collect();
    let (cuts, placed) = Cuts::new(*bench, samples, &simulated(plan, bench), &variables);
    let mut prefix = cuts.input(0..count);
    for (variable, cut) in placed {
        let Variable::Weight(i) = variable else { continue };
        let at = layers.iter().position(|&l| l == i).expect("a layer of the list");
        let network = simulated(plan, bench);
        prefix = cuts.advance(&network, prefix, cut)?;
        let shape = bench.types[edges[at].0].as_ref().map_or(&[][..], |ty| &ty.shape);
        let mut seen = Spread::new(wanted[at].sums.len());
        let inner = shape.get(2..).map_or(1, |s| s.iter().product());
        cuts.values(&network, &prefix, edges[at], |values| seen.add(values, inner))?;
        correct(plan, bench, i, &wanted[at], &seen);
        bench.run.watch.advance(1);
    }
    Ok(())
}

/// Whether a layer's outputs are restored: those after which networks normalize, of codes.
fn is_corrected(plan: &Plan, bench: &Workbench<'_>, i: usize) -> bool {
    let site = &bench.sites.weights[i];
    let conv = matches!(bench.graph.nodes[site.node.0].op, Op::Conv(_)) && site.input == 1;
    conv && plan.weights[i].code.is_some() && site.reads.is_some()
}

/// What the layer of weight `i` gives, before anything that follows.
fn output(bench: &Workbench<'_>, i: usize) -> ValueId {
    bench.graph.nodes[bench.sites.weights[i].node.0].outputs[0]
}

/// The network under the plan as the recipe would leave it.
fn simulated(plan: &Plan, bench: &Workbench<'_>) -> Graph {
    let mut plan = plan.clone();
    plan.follow(bench.sites);
    bias::make_room(bench.graph, bench.sites, &mut plan);
    simulate(bench.graph, bench.sites, &plan)
}

/// Mean and deviation of each channel of a population.
#[derive(Clone, Debug, Default)]
struct Spread {
    /// Values of one channel seen.
    count: usize,
    sums: Vec<f64>,
    squares: Vec<f64>,
}

impl Spread {
    fn new(channels: usize) -> Spread {
        Spread { count: 0, sums: vec![0.0; channels], squares: vec![0.0; channels] }
    }

    /// Adds whole images: element `i` belongs to channel `i / inner % channels`.
    fn add(&mut self, values: &[f32], inner: usize) {
        let channels = self.sums.len();
        self.count += values.len() / channels.max(1);
        if inner == 1 {
            for pixel in values.chunks_exact(channels) {
                let sums = self.sums.iter_mut().zip(&mut self.squares).zip(pixel);
                sums.for_each(|((sum, square), &x)| {
                    *sum += f64::from(x);
                    *square += f64::from(x) * f64::from(x);
                });
            }
            return;
        }
        for (i, run) in values.chunks_exact(inner).enumerate() {
            self.sums[i % channels] += run.iter().map(|&x| f64::from(x)).sum::<f64>();
            self.squares[i % channels] += run.iter().map(|&x| f64::from(x) * f64::from(x)).sum::<f64>();
        }
    }

    fn merge(&mut self, other: &Spread) {
        self.count += other.count;
        self.sums.iter_mut().zip(&other.sums).for_each(|(a, b)| *a += b);
        self.squares.iter_mut().zip(&other.squares).for_each(|(a, b)| *a += b);
    }

    /// Mean and standard deviation (divisor `n`) of channel `c`.
    fn of(&self, c: usize) -> [f64; 2] {
        let n = self.count.max(1) as f64;
        let mean = self.sums[c] / n;
        [mean, (self.squares[c] / n - mean * mean).max(0.0).sqrt()]
    }
}

/// Spread of some edges of the float network over `count` samples.
fn of_float(
    graph: &Graph,
    edges: &[ValueId],
    samples: &Samples,
    count: usize,
    unit: usize,
) -> Result<Vec<Spread>, MethodError> {
    let mut taps = edges.to_vec();
    taps.sort_unstable();
    taps.dedup();
    let network = Network::with_taps(graph, &taps)?;
    let mut all = vec![Spread::default(); taps.len()];
    let batch = unit * (BATCH / unit).max(1);
    for first in (0..count).step_by(batch) {
        let rows = first..(first + batch).min(count);
        let mut values = vec![0.0; rows.len() * samples.inputs.row_len()];
        samples.inputs.read(rows.clone(), &mut values)?;
        let shape = [&[rows.len()], samples.shape.as_slice()].concat();
        let (_, chunks) = network.observe(&[Tensor::from_f32(shape, values)], |views, _| {
            let of = |view: &lowbit_engine::View<'_>| {
                let (channels, inner) = view.channel_of();
                let mut spread = Spread::new(channels);
                spread.add(view.data, inner);
                spread
            };
            views.iter().map(of).collect::<Vec<Spread>>()
        })?;
        for chunk in chunks {
            for (all, spread) in all.iter_mut().zip(chunk) {
                if all.sums.is_empty() { *all = spread } else { all.merge(&spread) }
            }
        }
    }
    let of = |edge| all[taps.binary_search(edge).expect("every edge is tapped")].clone();
    Ok(edges.iter().map(of).collect())
}

/// Changes scale and bias of weight `i` so that its outputs, of spread `seen`, get the spread `wanted`.
fn correct(plan: &mut Plan, bench: &Workbench<'_>, i: usize, wanted: &Spread, seen: &Spread) {
    let Some((_, biases)) = bias::shifted(bench.graph, bench.sites, plan, i) else { return };
    let site = &bench.sites.weights[i];
    let (tensor, float) = bench.weight(site);
    let setting = &mut plan.weights[i];
    let mut factors = vec![1.0; biases.len()];
    if let (Some(Code::Uniform(code)), Some(axis)) = (&setting.code, site.channel_axis) {
        for (c, factor) in factors.iter_mut().enumerate() {
            let ([_, wanted], [_, seen]) = (wanted.of(c), seen.of(c));
            // A channel that never changes has no spread to restore.
            if wanted > 0.0 && seen > 0.0 {
                *factor = wanted / seen;
            }
        }
        let values = setting.values.as_deref().unwrap_or(&float);
        let single: Vec<f32> = factors.iter().map(|&f| f as f32).collect();
        let (code, values) = rescaled(code, values, tensor.shape(), axis, &single);
        setting.values = Some(values);
        setting.set(Code::Uniform(code), ENTRY.id);
    }
    let shifts = plan.bias_shift.entry(i).or_insert_with(|| vec![0.0; biases.len()]);
    for (c, (shift, bias)) in shifts.iter_mut().zip(biases).enumerate() {
        let ([wanted, _], [seen, _]) = (wanted.of(c), seen.of(c));
        let total = (f64::from(bias) - seen) * factors[c] + wanted;
        *shift += (total - f64::from(bias)) as f32;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layouts_and_parts_give_one_spread() {
        let nhwc = [1.0, 10.0, 2.0, 20.0, 3.0, 60.0, 6.0, 30.0];
        let nchw = [1.0, 2.0, 10.0, 20.0, 3.0, 6.0, 60.0, 30.0];
        let (mut a, mut b, mut rest) = (Spread::new(2), Spread::new(2), Spread::new(2));
        a.add(&nhwc, 1);
        b.add(&nchw[..4], 2);
        rest.add(&nchw[4..], 2);
        b.merge(&rest);
        assert_eq!((a.of(0), a.of(1)), (b.of(0), b.of(1)));
        assert_eq!(a.of(0), [3.0, 3.5f64.sqrt()]);
    }
}
