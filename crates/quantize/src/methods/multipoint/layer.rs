//! One layer: the points that its channels could have, and what the layer's output would lose with each number of them.

use super::inputs::Inputs;
use super::search::{self, Fit};
use super::{ENTRY, First, Multipoint, OutputError};
use crate::method::MethodError;
use crate::plan::{Plan, Setting};
use crate::recipe::Granularity;
use crate::workbench::{Workbench, channel};
use lowbit_graph::Op;
use lowbit_tensor::code::points::{Point, point_bits};
use lowbit_tensor::number::code_range;
use lowbit_tensor::{Code, Points, Uniform};
use rayon::prelude::*;

/// The smallest scale in use: below it, division would leave the normal numbers.
const LEAST_SCALE: f64 = 1e-30;
/// What the highest code of first points may reach, as shares of the largest magnitude: from, to, and how many are tried.
/// Of a tensor as published. A channel is short, and its best spacing of levels may well reach beyond it; clipping it
/// further costs more in the whole network than its own output shows. (Ranges chosen on held-out images.)
const TENSOR_REACH: (f32, f32, usize) = (0.5, 1.0, 5);
const CHANNEL_REACH: (f32, f32, usize) = (0.8, 1.2, 11);

/// A layer with everything that is to be chosen from.
pub(super) struct Layer<'a> {
    /// Its weight site.
    pub(super) site: usize,
    /// Elements of a channel.
    pub(super) len: usize,
    pub(super) channels: Vec<Channel>,
    /// Output of all channels together, measured as errors are.
    pub(super) output: f64,
    shape: &'a [usize],
    axis: usize,
    /// What first points are encoded from.
    values: Vec<f32>,
    /// The code of first points, where it is one for the tensor or was kept.
    first: Option<Uniform>,
    /// Whether sums are rounded to int8.
    integers: bool,
}

/// A channel with 1, 2, … points.
pub(super) struct Channel {
    pub(super) bits: u8,
    /// `[number of points - 1]`: the points.
    sets: Vec<Vec<Fit>>,
    /// Their output errors.
    pub(super) errors: Vec<f64>,
    output: f64,
}

impl<'a> Layer<'a> {
    pub(super) fn new(
        options: &Multipoint,
        plan: &Plan,
        bench: &Workbench<'a>,
        site: usize,
        inputs: &Inputs,
    ) -> Result<Layer<'a>, MethodError> {
        let (place, setting) = (&bench.sites.weights[site], &plan.weights[site]);
        let tensor = bench.graph.constant(place.value).expect("weight sites are constants");
        let float = tensor.to_f32();
        let (shape, axis) = (tensor.shape(), place.channel_axis.expect("layers with a cut have channels"));
        let float: Vec<Vec<f32>> =
            (0..shape[axis]).map(|c| channel(&float, shape, axis, c).collect()).collect();
        let groups = match &bench.graph.nodes[place.node.0].op {
            Op::Conv(op) => op.group,
            _ => 1,
        };
        let reads = place.reads.map(|r| &plan.activations[bench.sites.root(r)]);
        let maker = Maker {
            options,
            inputs,
            per_group: shape[axis] / groups,
            integers: reads.is_some_and(Setting::is_quantized),
        };
        let bits: Vec<u8> = (0..shape[axis]).map(|c| setting.bits_of(c)).collect();
        let values = setting.values.clone().unwrap_or_else(|| tensor.to_f32());
        let first = match options.first {
            First::Kept => Some(kept(&place.name, setting)?),
            First::Weights | First::Outputs if bench.recipe.weights.per == Granularity::Tensor => {
                let channels: Vec<(usize, &[f32])> = float.iter().map(Vec::as_slice).enumerate().collect();
                let scale = maker.first_scale(&channels, bits[0], evenly(TENSOR_REACH));
                Some(Uniform::per_tensor(bits[0], true, scale, 0))
            }
            First::Outputs => {
                let channels = float.par_iter().zip(&bits).enumerate();
                Some(Uniform {
                    axis: Some(axis),
                    bits: bits.clone(),
                    signed: true,
                    scale: channels
                        .map(|(c, (w, &bits))| maker.first_scale(&[(c, w)], bits, evenly(CHANNEL_REACH)))
                        .collect(),
                    zero_point: vec![0; bits.len()],
                    shift: None,
                })
            }
            First::Weights => None,
        };
        let firsts: Vec<Option<Fit>> = match &first {
            None => vec![None; bits.len()],
            Some(code) => {
                let codes = code.codes(&values, shape).into_iter().map(|q| q as f32).collect::<Vec<_>>();
                let of = |c: usize| Fit {
                    step: f64::from(code.scale[if code.scale.len() == 1 { 0 } else { c }]),
                    codes: channel(&codes, shape, axis, c).map(|q| q as i8).collect(),
                };
                (0..bits.len()).map(|c| Some(of(c))).collect()
            }
        };
        let channels: Vec<Channel> = (float.par_iter().zip(firsts).zip(&bits).enumerate())
            .map(|(c, ((w, first), &bits))| maker.channel(c, w, first, bits))
            .collect();
        Ok(Layer {
            site,
            len: shape.iter().product::<usize>() / shape[axis].max(1),
            output: channels.iter().map(|c| c.output).sum(),
            channels,
            shape,
            axis,
            values,
            first,
            integers: maker.integers,
        })
    }

    /// Output of a channel, on average.
    pub(super) fn mean_output(&self) -> f64 {
        self.output / self.channels.len().max(1) as f64
    }

    /// Bits of one more point of a channel.
    pub(super) fn point_bits(&self, channel: &Channel) -> usize {
        point_bits(channel.bits, self.len, self.channels.len())
    }

    /// Sets the code of `counts[c]` points for each channel `c`.
    pub(super) fn write(&self, setting: &mut Setting, counts: &[usize], step: &str) {
        let sets: Vec<&[Fit]> =
            self.channels.iter().zip(counts).map(|(channel, n)| channel.sets[n - 1].as_slice()).collect();
        let mut values = self.values.clone();
        let first = match &self.first {
            Some(code) => code.clone(),
            None => {
                // The first points as levels, so that encoding finds their codes again.
                let run: usize = self.shape[self.axis + 1..].iter().product::<usize>().max(1);
                for (i, chunk) in values.chunks_mut(run).enumerate() {
                    let (block, c) = (i / counts.len(), i % counts.len());
                    match sets[c].first() {
                        None => chunk.fill(0.0),
                        Some(fit) => {
                            let codes = &fit.codes[block * run..][..run];
                            let level = |q: i8| f32::from(q) * scale(fit);
                            chunk.iter_mut().zip(codes).for_each(|(x, &q)| *x = level(q));
                        }
                    }
                }
                Uniform {
                    axis: Some(self.axis),
                    bits: self.channels.iter().map(|c| c.bits).collect(),
                    signed: true,
                    scale: sets.iter().map(|set| set.first().map_or(LEAST_SCALE as f32, scale)).collect(),
                    zero_point: vec![0; counts.len()],
                    shift: None,
                }
            }
        };
        let code = if counts.iter().all(|n| *n == 1) {
            Code::Uniform(first)
        } else {
            let extra = sets.iter().map(|set| set.iter().skip(1).map(point).collect()).collect();
            let points = Points { axis: self.axis, first, extra, grid: None };
            Code::Points(if self.integers { points.on_grid(&values, self.shape) } else { points })
        };
        if self.first.is_none() {
            setting.values = Some(values);
        }
        setting.set(code, step);
    }
}

/// Evenly spaced numbers, both ends among them.
fn evenly((from, to, n): (f32, f32, usize)) -> impl Iterator<Item = f32> {
    (0..n).map(move |i| from + (to - from) * i as f32 / (n - 1) as f32)
}

fn scale(fit: &Fit) -> f32 {
    fit.step.max(LEAST_SCALE) as f32
}

fn point(fit: &Fit) -> Point {
    Point { scale: scale(fit), codes: fit.codes.clone() }
}

/// The code of an earlier step, if more points can be added to it.
fn kept(layer: &str, setting: &Setting) -> Result<Uniform, MethodError> {
    let refuse = |what: &str| {
        let message = format!("the weight of `{layer}` {what}; first = \"outputs\" takes any");
        Err(MethodError::Needs { step: ENTRY.id, message })
    };
    match &setting.code {
        Some(Code::Uniform(code)) if code.signed && code.is_symmetric() && code.shift.is_none() => {
            Ok(code.clone())
        }
        Some(Code::Uniform(_)) => refuse("has no symmetric code, to which points could be added"),
        Some(Code::Points(_)) => refuse("is a sum of points already"),
        Some(Code::Levels(_)) => refuse("has uneven levels, to which no points are added"),
        None => refuse("has no code yet, so that a step such as `mse` must come first"),
    }
}

/// What makes the channels of one layer.
struct Maker<'a> {
    options: &'a Multipoint,
    inputs: &'a Inputs,
    /// Output channels that read the same inputs.
    per_group: usize,
    integers: bool,
}

impl Maker<'_> {
    /// Output error of channel `c` for errors of its weights.
    fn error(&self, c: usize, weights: &[f64]) -> f64 {
        let group = c / self.per_group.max(1);
        match self.options.error {
            OutputError::Square => self.inputs.mean_square(group, weights),
            OutputError::Variance => self.inputs.variance(group, weights),
        }
    }

    fn channel(&self, c: usize, weights: &[f32], first: Option<Fit>, bits: u8) -> Channel {
        let w: Vec<f64> = weights.iter().map(|&x| f64::from(x)).collect();
        let fixed = usize::from(first.is_some());
        let mut points: Vec<Fit> = first.into_iter().collect();
        let most = if bits == 0 { 1 } else { self.options.max_points };
        if bits > 0 {
            search::extend(&w, &mut points, code_range(bits, true), most);
        }
        let sets: Vec<Vec<Fit>> = (1..=points.len().max(1))
            .map(|n| {
                let mut set = points[..n.min(points.len())].to_vec();
                if self.options.refit && n > 1 {
                    search::refit(&w, &mut set, fixed);
                }
                set
            })
            .collect();
        let error = |set: &Vec<Fit>| self.error(c, &self.lost(weights, set, bits));
        Channel { bits, errors: sets.iter().map(error).collect(), output: self.error(c, &w), sets }
    }

    /// What is lost of a channel's weights with some points, as deployed.
    fn lost(&self, weights: &[f32], set: &[Fit], bits: u8) -> Vec<f64> {
        let mut decoded = vec![0.0; weights.len()];
        if let Some((first, more)) = set.split_first() {
            let shape = [1, weights.len()];
            let code = Uniform { axis: Some(0), ..Uniform::per_tensor(bits, true, scale(first), 0) };
            let code =
                Points { axis: 0, first: code, extra: vec![more.iter().map(point).collect()], grid: None };
            decoded = first.codes.iter().map(|&q| f32::from(q) * scale(first)).collect();
            let code = if self.integers { code.on_grid(&decoded, &shape) } else { code };
            code.fake_quantize(&mut decoded, &shape);
        }
        weights.iter().zip(&decoded).map(|(w, q)| f64::from(*w) - f64::from(*q)).collect()
    }

    /// The scale of first points of the channels given, which share it; of those tried, `shares` are what their highest code
    /// reaches of the largest weight.
    fn first_scale(&self, channels: &[(usize, &[f32])], bits: u8, shares: impl Iterator<Item = f32>) -> f32 {
        let [lo, top] = code_range(bits.max(1), true);
        if self.options.first == First::Weights {
            let all: Vec<f64> = channels.iter().flat_map(|(_, w)| w.iter().map(|&x| f64::from(x))).collect();
            return search::best_point(&all, [lo, top]).as_ref().map_or(LEAST_SCALE as f32, scale);
        }
        let largest = channels.iter().flat_map(|(_, w)| w.iter()).fold(0f32, |m, x| m.max(x.abs()));
        let tried = shares.map(|share| (largest * share / top.max(1) as f32).max(LEAST_SCALE as f32));
        let error = |scale: f32| -> f64 {
            let code = Uniform::per_tensor(bits.max(1), true, scale, 0);
            let of = |&(c, w): &(usize, &[f32])| {
                let mut decoded = w.to_vec();
                code.fake_quantize(&mut decoded, &[w.len()]);
                let lost: Vec<f64> =
                    w.iter().zip(&decoded).map(|(w, q)| f64::from(*w) - f64::from(*q)).collect();
                self.error(c, &lost)
            };
            channels.par_iter().map(of).collect::<Vec<_>>().iter().sum()
        };
        let scored = tried.map(|scale| (error(scale), scale));
        scored.min_by(|a, b| a.0.total_cmp(&b.0)).map_or(LEAST_SCALE as f32, |(_, scale)| scale)
    }
}
