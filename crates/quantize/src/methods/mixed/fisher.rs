//! What narrower codes of each output channel cost the answers, by the diagonal Fisher information of its weights.
//!
//! Trying thousands of channels alone would take thousands of passes. For small changes `δ` of the weights, the divergence
//! of the answers is `½ δᵀFδ`, and the diagonal of `F` is the mean squared gradient of `log p(y)` by a weight, `y` drawn from
//! the network's own softened answers: one pass forward and back per sample tells of all weights. `δ` is what rounding to
//! nearest changes.
//!
//! A channel that is off in all samples has no gradient, and yet rounding may switch it on; and what few samples say of a
//! weight is uncertain. So each weight is given a share of its layer's average as well.

use super::table::Table;
use super::task::Task;
use super::{ID, needs};
use crate::method::MethodError;
use crate::methods::brecq::walk::Walk;
use crate::methods::lapq::loss::log_probabilities;
use crate::rows::Rows;
use crate::simulate::decoded_weight;
use crate::workbench::channel;
use lowbit_engine::{Differentiable, Parameter};
use lowbit_graph::Graph;
use lowbit_graph::passes::{between, segment};
use lowbit_tensor::Tensor;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use rayon::prelude::*;

/// How much of its layer's average each weight is given. More makes channels alike, less starves those that are off.
const SHARE: f64 = 0.1;

/// Keeps these draws apart from all others of a run.
const STREAM: u64 = 7 << 32;

/// The loss of each unit at each width, in nats: output channels where a layer has so many units.
pub(super) fn table(task: &Task<'_>) -> Result<Table, MethodError> {
    task.bench.run.watch.stage("measure sensitivity", Some(task.samples.len() as u64));
    let widths: Vec<String> = task.bits.iter().map(u8::to_string).collect();
    let names: Vec<&str> = (0..task.layers.len()).map(|l| task.name(l)).collect();
    let key = format!("{ID}/fisher/{}/{}/{}", task.options.temperature, widths.join("-"), names.join("/"));
    let known = task.known::<Vec<Vec<f64>>>(&key);
    let alone = match known.filter(|alone| alone.len() == task.units.iter().sum::<usize>()) {
        Some(alone) => alone,
        None => {
            let alone = losses(task, &squared_gradients(task)?)?;
            task.keep(&key, "sensitivity", &alone)?;
            alone
        }
    };
    Ok(Table { alone, pairs: Vec::new() })
}

/// `½ Σ F δ²` by unit and width.
fn losses(task: &Task<'_>, fisher: &[Vec<f64>]) -> Result<Vec<Vec<f64>>, MethodError> {
    let (bench, units) = (task.bench, task.units.iter().sum());
    let mut alone = vec![Vec::with_capacity(task.bits.len()); units];
    for &bits in task.bits {
        let mut plan = task.float_plan();
        task.layers.iter().for_each(|&i| plan.weights[i].bits = vec![bits]);
        let plan = task.nearest(plan)?;
        let of = |(&i, fisher): (&usize, &Vec<f64>)| -> Vec<f32> {
            let (_, values) = bench.weight(&bench.sites.weights[i]);
            let rounded = decoded_weight(bench.graph, bench.sites, &plan, i).expect("it has a code");
            let each = values.iter().zip(&rounded).zip(fisher);
            each.map(|((w, q), f)| (0.5 * f * f64::from(q - w).powi(2)) as f32).collect()
        };
        let losses = task.layers.par_iter().zip(fisher.par_iter()).map(of).collect::<Vec<_>>();
        let mut unit = 0;
        for ((&i, &units), losses) in task.layers.iter().zip(task.units).zip(&losses) {
            let site = &bench.sites.weights[i];
            let shape = bench.weight(site).0.shape();
            for c in 0..units {
                alone[unit].push(match site.channel_axis.filter(|_| units > 1) {
                    Some(axis) => channel(losses, shape, axis, c).map(f64::from).sum(),
                    None => losses.iter().copied().map(f64::from).sum(),
                });
                unit += 1;
            }
        }
    }
    Ok(alone)
}

/// Mean squared gradient of the log probability of a drawn answer, by layer and weight.
fn squared_gradients(task: &Task<'_>) -> Result<Vec<Vec<f64>>, MethodError> {
    let (bench, count) = (task.bench, task.samples.len());
    let (graph, parameters) = network(task)?;
    // Gradients of samples, not of batches: of one sample at a time.
    let network = Differentiable::new(&graph, 1, &parameters)?;
    let inputs = Walk::new(bench.graph, task.blocks, task.samples, bench.run)?.at(graph.inputs[0]);
    let mut sums: Vec<Vec<f64>> =
        (0..parameters.len()).map(|p| vec![0.0; network.parameter(p).len()]).collect();
    let all: Vec<usize> = (0..count).collect();
    // Added in the order of the samples, whatever the number of threads.
    for some in all.chunks(rayon::current_num_threads()) {
        let one = |&sample: &usize| of_sample(task, &network, &inputs, sample);
        for gradients in some.par_iter().map(one).collect::<Result<Vec<_>, _>>()? {
            for (sums, gradients) in sums.iter_mut().zip(&gradients) {
                let square = |(sum, g): (&mut f64, &f32)| *sum += f64::from(*g).powi(2) / count as f64;
                sums.iter_mut().zip(gradients).for_each(square);
            }
        }
        bench.run.watch.advance(some.len() as u64);
    }
    for sums in &mut sums {
        let average = sums.iter().sum::<f64>() / sums.len() as f64;
        sums.iter_mut().for_each(|sum| *sum += SHARE * average);
    }
    Ok(sums)
}

/// What computes the answers, and no other result, with the weight of each layer as a parameter. Layers that share a weight
/// are rounded apart, so each gets one of its own.
fn network(task: &Task<'_>) -> Result<(Graph, Vec<Parameter>), MethodError> {
    let (bench, outputs) = (task.bench, [task.judge.output]);
    let mut graph = bench.graph.clone();
    let mut parameters = Vec::with_capacity(task.layers.len());
    for &i in task.layers {
        let site = &bench.sites.weights[i];
        let (tensor, values) = bench.weight(site);
        let name = graph.fresh_name(&format!("{}.own", graph.value(site.value).name));
        let own = graph.add_constant(name, Tensor::from_f32(tensor.shape(), values.to_vec()));
        graph.nodes[site.node.0].inputs[site.input] = Some(own);
        parameters.push(Parameter::Constant(own));
    }
    let inputs = &bench.graph.inputs[..1];
    let nodes = between(&graph, inputs, &outputs);
    if let Some(l) =
        (0..task.layers.len()).find(|&l| !nodes.contains(&bench.sites.weights[task.layers[l]].node))
    {
        return Err(needs(format!("the first result of the network does not depend on `{}`", task.name(l))));
    }
    Ok((segment(&graph, bench.types, &nodes, inputs, &outputs), parameters))
}

/// The gradients of one sample, by parameter.
fn of_sample(
    task: &Task<'_>,
    network: &Differentiable,
    inputs: &Rows,
    sample: usize,
) -> Result<Vec<Vec<f32>>, MethodError> {
    let gradients = network.gradients(
        1,
        |_, buffers| Ok(inputs.read(sample..sample + 1, &mut *buffers[0])?),
        |_, outputs, gradients| {
            let mut rng = ChaCha8Rng::seed_from_u64(task.bench.run.seed);
            rng.set_stream(STREAM | sample as u64);
            let (judge, row) = (task.judge, outputs[0]);
            for position in 0..judge.positions(row.len()) {
                let scores = judge.scores(row, position);
                let drawn = score(&scores, task.options.temperature, unit(&mut rng));
                judge.back(row, position, drawn, gradients[0]);
            }
            Ok(0.0)
        },
    )?;
    Ok(gradients.parameters)
}

/// A number from 0 to below 1.
fn unit(rng: &mut ChaCha8Rng) -> f64 {
    (rng.next_u64() >> 11) as f64 / (1u64 << 53) as f64
}

/// The gradient of `log p(y)` by the scores, `y` being drawn from `p = softmax(scores / temperature)` by a number from 0 to
/// 1. A single score is the mean of a normal distribution of that standard deviation, and `y` one deviation above or below it.
fn score(scores: &[f32], temperature: f64, drawn: f64) -> Vec<f32> {
    if scores.len() == 1 {
        return vec![(if drawn < 0.5 { -1.0 } else { 1.0 } / temperature) as f32];
    }
    let p: Vec<f64> = log_probabilities(scores, temperature).into_iter().map(libm::exp).collect();
    let mut below = 0.0;
    let reached = |p: &f64| {
        below += p;
        drawn < below
    };
    // The sum may miss 1 by a last digit.
    let y = p.iter().position(reached).unwrap_or(p.len() - 1);
    let of = |(c, p): (usize, &f64)| ((f64::from(u8::from(c == y)) - p) / temperature) as f32;
    p.iter().enumerate().map(of).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mean_square_of_the_score_is_the_fisher_information_of_a_softmax() {
        // E[g gᵀ] = (diag(p) − p pᵀ) / T².
        let (scores, temperature) = ([0.5f32, -1.0, 2.0], 2.0);
        let p: Vec<f64> = log_probabilities(&scores, temperature).into_iter().map(libm::exp).collect();
        const DRAWS: usize = 3000;
        let mut squares = [0.0; 3];
        for i in 0..DRAWS {
            let gradient = score(&scores, temperature, (i as f64 + 0.5) / DRAWS as f64);
            assert!(gradient.iter().sum::<f32>().abs() < 1e-6);
            squares.iter_mut().zip(gradient).for_each(|(s, g)| *s += f64::from(g).powi(2) / DRAWS as f64);
        }
        for (found, p) in squares.iter().zip(&p) {
            assert!((found - p * (1.0 - p) / temperature.powi(2)).abs() < 1e-3, "{found} {p}");
        }
    }

    #[test]
    fn a_draw_at_the_very_end_is_the_last_class() {
        assert_eq!(score(&[0.0, 0.0], 1.0, 1.0), [-0.5, 0.5]);
    }
}
