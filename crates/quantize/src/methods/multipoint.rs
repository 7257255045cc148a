//! `multipoint`: several low-bit vectors for the channels that need them (Liu et al. 2021, arXiv:2002.09049).
//!
//! A channel is approximated by `a₁v₁ + … + aₙvₙ`, every `vᵢ` of the same few bits: each further point is the best one for
//! what the others left over ([`search`]). Channels that disturb their layer's output most get more points ([`count`]),
//! judged by what the float layer reads on calibration samples ([`inputs`]); most keep the one they have.
//! Three ways to say how many: a budget of average bits over all layers (the default: points are bought where a bit
//! reduces most error, each layer's measured against its output), or a threshold of output error, absolute or
//! relative to the layer's mean output.
//!
//! The first point is the code that an earlier step chose (`first = "kept"`), the best single point for the weights
//! (`"weights"`), or that of the best of a few scales for the layer's output (`"outputs"`, the default); with one scale per
//! tensor only further points have scales of their own. Where a layer runs on integers, its sums are rounded to one int8 grid
//! per channel, as kernels hold them, and errors are measured with that.
//!
//! Layers of more than four bits (the first and last, usually) and those whose output is no product of patches and rows
//! of the weight (transposed convolutions) are left alone.

pub mod count;
pub mod inputs;
mod layer;
pub mod search;

use crate::method::{Entry, Method, MethodError};
use crate::observe::Needs;
use crate::plan::Plan;
use crate::workbench::Workbench;
use count::Candidate;
use inputs::Cut;
use layer::Layer;
use serde::Deserialize;

pub(super) const ENTRY: Entry = Entry::new::<Multipoint>(
    "multipoint",
    "several low-bit vectors for the channels whose rounding disturbs the output most",
    &[
        (
            "average_bits",
            "budget: average bits of a weight, further points with scale and index (default: half a bit more)",
        ),
        ("max_error", "instead: add points while a channel's output error is above this"),
        ("max_relative_error", "the same as a share of the layer's output, measured alike"),
        ("error", "of outputs: square (default), its mean | variance: without what bias-correction returns"),
        ("max_points", "most points of a channel, 1 to 8 (default 4)"),
        (
            "first",
            "kept: the first point is the code of an earlier step | weights: the best for the weights | outputs: of a few \
             scales the best for the layer's output",
        ),
        ("refit", "scales of all points of a channel by least squares at the end (default false)"),
        ("samples", "calibration samples used (default 256)"),
    ],
);

/// Where first points come from. Their scales are per channel or per tensor as the recipe says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum First {
    /// The code that an earlier step chose.
    Kept,
    /// The scale and codes of least error of the weights.
    Weights,
    /// Of a few scales from half of the largest weight up to it the one of least output error.
    #[default]
    Outputs,
}

/// How an output error is measured, over the patches of calibration samples.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OutputError {
    /// Its mean square.
    #[default]
    Square,
    /// Its variance: for recipes in which `bias-correction` follows, which takes care of the mean.
    Variance,
}

/// Options.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Multipoint {
    /// Average bits of the weights acted on: codes of all points, scales and channel indices of those after the first.
    pub average_bits: Option<f64>,
    /// Output error above which a channel gets points.
    pub max_error: Option<f64>,
    /// The same as a share of the layer's output, averaged over its channels and measured as errors are.
    pub max_relative_error: Option<f64>,
    /// How errors are measured.
    pub error: OutputError,
    /// Most points of a channel.
    pub max_points: usize,
    /// Where first points come from.
    pub first: First,
    /// Whether scales are fitted together at the end.
    pub refit: bool,
    /// Calibration samples used.
    pub samples: usize,
}

impl Default for Multipoint {
    fn default() -> Multipoint {
        Multipoint {
            average_bits: None,
            max_error: None,
            max_relative_error: None,
            error: OutputError::default(),
            max_points: 4,
            first: First::default(),
            refit: false,
            samples: 256,
        }
    }
}

/// Wider codes gain nothing worth a second point.
const WIDEST: u8 = 4;
/// Bits of the default budget beyond those of the first points.
const MORE_BITS: f64 = 0.5;
/// Memory for what is kept of the layers' inputs at one time; more layers take more passes over the samples.
const KEPT_BYTES: usize = 256 << 20;

impl Method for Multipoint {
    fn refine(&self, mut plan: Plan, bench: &Workbench<'_>) -> Result<Plan, MethodError> {
        self.check()?;
        let (cuts, sites) = self.sites(&plan, bench);
        let samples = bench.run.samples.filter(|s| !s.is_empty());
        let found = samples.map_or(0, |s| s.len());
        let multiple = inputs::rows_at_once(bench.graph, bench.types);
        let count = found.min(self.samples.max(multiple)) / multiple * multiple;
        let Some(samples) = samples.filter(|_| count > 0) else {
            return Err(MethodError::TooFewSamples { step: ENTRY.id, found, needed: multiple });
        };
        bench.run.watch.stage(ENTRY.id, Some(sites.len() as u64));
        let mut layers = Vec::with_capacity(sites.len());
        let mut start = 0;
        while start < cuts.len() {
            let sum = |bytes: &mut usize, cut: &Cut| {
                *bytes += cut.bytes(count);
                Some(*bytes)
            };
            let fit = cuts[start..].iter().scan(0, sum).take_while(|bytes| *bytes <= KEPT_BYTES).count();
            let some = start..start + fit.max(1);
            start = some.end;
            let some_cuts = &cuts[some.clone()];
            let inputs = inputs::collect(bench.graph, some_cuts, samples, count, multiple, bench.run.seed)?;
            for (&site, inputs) in sites[some].iter().zip(&inputs) {
                layers.push(Layer::new(self, &plan, bench, site, inputs)?);
                bench.run.watch.advance(1);
            }
        }
        let points = self.points(&layers);
        bench.run.watch.note(summary(&layers, &points));
        let mut points = points.into_iter();
        for layer in layers {
            let counts: Vec<usize> = points.by_ref().take(layer.channels.len()).collect();
            layer.write(&mut plan.weights[layer.site], &counts, ENTRY.id);
        }
        Ok(plan)
    }

    fn needs(&self) -> Needs {
        Needs { samples: true, ..Needs::default() }
    }
}

impl Multipoint {
    fn check(&self) -> Result<(), MethodError> {
        let refuse = |message: String| Err(MethodError::Needs { step: ENTRY.id, message });
        let positive = |x: Option<f64>| x.is_none_or(|x| x >= 0.0 && x.is_finite());
        let ways = [self.average_bits, self.max_error, self.max_relative_error];
        if ways.iter().flatten().count() > 1 {
            return refuse("give one of average_bits, max_error and max_relative_error".into());
        }
        if !ways.into_iter().all(positive) {
            return refuse(format!(
                "{:?}: average_bits and errors are numbers from 0",
                ways.iter().flatten().next()
            ));
        }
        if !(1..=8).contains(&self.max_points) {
            return refuse(format!("max_points is {}; accepted: 1 to 8", self.max_points));
        }
        Ok(())
    }

    /// The layers acted on, with how their inputs are cut.
    fn sites(&self, plan: &Plan, bench: &Workbench<'_>) -> (Vec<Cut>, Vec<usize>) {
        let narrow = |i: usize| {
            let bits = &plan.weights[i].bits;
            !bits.is_empty() && bits.iter().all(|b| *b <= WIDEST)
        };
        let sites = bench.sites.weights.iter().enumerate().filter(|(i, _)| narrow(*i));
        sites.filter_map(|(i, site)| Some((Cut::new(bench.graph, bench.types, site)?, i))).unzip()
    }

    /// Points of every channel of every layer.
    fn points(&self, layers: &[Layer<'_>]) -> Vec<usize> {
        let channels = || layers.iter().flat_map(|layer| layer.channels.iter().map(move |c| (layer, c)));
        if let Some(most) = self.max_error {
            return channels().map(|(_, channel)| count::until(&channel.errors, most)).collect();
        }
        if let Some(share) = self.max_relative_error {
            return channels()
                .map(|(layer, channel)| count::until(&channel.errors, share * layer.mean_output()))
                .collect();
        }
        let candidate = |(layer, channel): (&Layer<'_>, &layer::Channel)| {
            // Errors of a layer count as shares of all of its output.
            let unit = layer.output.max(f64::MIN_POSITIVE);
            Candidate {
                errors: channel.errors.iter().map(|e| e / unit).collect(),
                bits: layer.point_bits(channel),
            }
        };
        let candidates: Vec<Candidate> = channels().map(candidate).collect();
        let (weights, bits) = size(layers, &vec![1; candidates.len()]);
        let average = self.average_bits.unwrap_or(bits / weights.max(1.0) + MORE_BITS);
        count::within(&candidates, (average * weights - bits).max(0.0) as usize)
    }
}

/// Weights in all layers, and the bits they take with so many points per channel: codes, and the scales and indices of
/// points after the first.
fn size(layers: &[Layer<'_>], points: &[usize]) -> (f64, f64) {
    let channels = layers.iter().flat_map(|layer| layer.channels.iter().map(move |c| (layer, c)));
    channels.zip(points).fold((0.0, 0.0), |(weights, bits), ((layer, channel), n)| {
        let codes = layer.len * usize::from(channel.bits);
        (weights + layer.len as f64, bits + (codes + (n - 1) * layer.point_bits(channel)) as f64)
    })
}

fn summary(layers: &[Layer<'_>], points: &[usize]) -> String {
    let (weights, bits) = size(layers, points);
    let more = points.iter().filter(|n| **n > 1).count();
    let extra = points.iter().map(|n| n - 1).sum::<usize>();
    format!(
        "multipoint: {extra} further points in {more} of {} channels of {} layers; {:.3} bits per weight of these with their \
         scales and indices",
        points.len(),
        layers.len(),
        bits / weights.max(1.0)
    )
}
