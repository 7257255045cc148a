//! What methods that choose scales share: from a clip per population to a code per site, and codes whose scales change.

use crate::plan::Plan;
use crate::recipe::Granularity;
use crate::site::ActivationSite;
use crate::workbench::{Workbench, channel};
use lowbit_tensor::number::{code_range, decode};
use lowbit_tensor::{Code, Moments, Statistics, Uniform};
use rayon::prelude::*;
use serde::Deserialize;

/// What a step acts on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum On {
    /// Weights only.
    Weights,
    /// Activations only.
    Activations,
    /// Both.
    #[default]
    Both,
}

impl On {
    /// Whether weights are meant.
    pub(super) fn weights(self) -> bool {
        self != On::Activations
    }

    /// Whether activations are meant.
    pub(super) fn activations(self) -> bool {
        self != On::Weights
    }
}

/// The smallest scale in use: below it, division would leave the normal numbers.
pub(super) const LEAST_SCALE: f32 = 1e-30;

/// Scale of a symmetric signed code that reaches `clip` at its highest code.
pub(super) fn symmetric_scale(clip: f32, bits: u8) -> f32 {
    (clip / code_range(bits, true)[1].max(1) as f32).max(LEAST_SCALE)
}

/// The code with one entry per channel: a correction is a channel's own.
pub(super) fn per_channel(code: &Uniform, shape: &[usize], axis: usize) -> Uniform {
    if code.axis.is_some() {
        return code.clone();
    }
    let n = shape[axis];
    Uniform {
        axis: Some(axis),
        bits: vec![code.bits[0]; n],
        scale: vec![code.scale[0]; n],
        zero_point: vec![code.zero_point[0]; n],
        ..code.clone()
    }
}

/// The code with the scale of each channel of `axis` multiplied by its factor, and the values that this code encodes as the
/// given one encodes `values`.
pub(super) fn rescaled(
    code: &Uniform,
    values: &[f32],
    shape: &[usize],
    axis: usize,
    factors: &[f32],
) -> (Uniform, Vec<f32>) {
    let mut code = per_channel(code, shape, axis);
    let codes = code.codes(values, shape);
    code.scale
        .iter_mut()
        .zip(factors)
        .for_each(|(scale, factor)| *scale = (*scale * factor).max(LEAST_SCALE));
    let run: usize = shape[axis + 1..].iter().product::<usize>().max(1);
    // Without the shift, which plays no part in choosing codes.
    let level = |(i, &q): (usize, &i32)| {
        let c = i / run % shape[axis];
        decode(q, code.scale[c], code.zero_point[c])
    };
    let values = codes.iter().enumerate().map(level).collect();
    (code, values)
}

/// Fits every quantized weight: `fit(values, bits, symmetric)` gives the real range `[lo, hi]` that the codes of one
/// population (a channel, or the tensor) should cover; symmetric ones use the larger magnitude.
pub(super) fn fit_weights(
    plan: &mut Plan,
    bench: &Workbench<'_>,
    step: &str,
    fit: impl Fn(&[f32], u8, bool) -> [f32; 2] + Sync,
) {
    let options = &bench.recipe.weights;
    let codes: Vec<Option<Uniform>> = bench
        .sites
        .weights
        .par_iter()
        .zip(&plan.weights)
        .map(|(site, setting)| {
            if !setting.is_quantized() {
                return None;
            }
            let (tensor, values) = bench.weight(site);
            let axis = site.channel_axis.filter(|_| options.per == Granularity::Channel);
            let channels = axis.map_or(1, |a| tensor.shape()[a]);
            let mut code = Uniform {
                axis,
                bits: (0..channels).map(|c| setting.bits_of(c)).collect(),
                signed: options.symmetric,
                scale: Vec::with_capacity(channels),
                zero_point: Vec::with_capacity(channels),
                shift: None,
            };
            for c in 0..channels {
                let population: Vec<f32> = match axis {
                    Some(axis) => channel(&values, tensor.shape(), axis, c).collect(),
                    None => values.to_vec(),
                };
                let bits = code.bits[c];
                // A channel of no bits is the constant zero (its mean returns through bias correction).
                let [lo, hi] = if bits == 0 { [0.0; 2] } else { fit(&population, bits, options.symmetric) };
                if options.symmetric {
                    code.scale.push(symmetric_scale(hi.abs().max(lo.abs()), bits.max(1)));
                    code.zero_point.push(0);
                } else {
                    let affine = Uniform::covering(lo, hi, bits.max(1));
                    code.scale.push(affine.scale[0]);
                    code.zero_point.push(affine.zero_point[0]);
                }
            }
            Some(code)
        })
        .collect();
    for (setting, code) in plan.weights.iter_mut().zip(codes) {
        if let Some(code) = code {
            setting.set(Code::Uniform(code), step);
        }
    }
}

/// One population of an edge as a method sees it. Histograms are kept of whole edges only: per channel, what reads them
/// sees all channels as one.
pub(super) struct Edge<'a> {
    /// The site.
    pub(super) site: &'a ActivationSite,
    /// Moments of the edge (of a channel if per channel).
    pub(super) moments: &'a Moments,
    /// Moments before the folded activation, if there is one.
    pub(super) before: Option<&'a Moments>,
    /// Statistics of the whole edge.
    pub(super) whole: &'a Statistics,
    /// Bits asked for.
    pub(super) bits: u8,
}

impl Edge<'_> {
    /// Observed range, within the bounds of the folded activation, with zero.
    pub(super) fn observed(&self) -> [f32; 2] {
        let [lo, hi] = self.site.bounds;
        [self.moments.min.max(lo).min(0.0), self.moments.max.min(hi).max(0.0)]
    }
}

/// Scale and zero point of the code of an edge that covers `[lo, hi]`, as far as its folded activation reaches.
pub(super) fn cover(site: &ActivationSite, symmetric: bool, [lo, hi]: [f32; 2], bits: u8) -> (f32, i32) {
    let ends = [site.bounds[0].max(lo), site.bounds[1].min(hi)];
    if symmetric && ends[0] < 0.0 {
        // Codes from 0 with the zero point in the middle: signed codes under another name.
        let reach = ends[1].abs().max(ends[0].abs());
        return (symmetric_scale(reach, bits), 1 << (bits - 1));
    }
    let code = Uniform::covering(ends[0], ends[1], bits);
    (code.scale[0], code.zero_point[0])
}

/// Fits every quantized edge that follows no other: `fit` gives the real range `[lo, hi]` that its codes should cover, or
/// `None` to leave it as it is.
pub(super) fn fit_activations(
    plan: &mut Plan,
    bench: &Workbench<'_>,
    step: &str,
    fit: impl Fn(&Edge<'_>) -> Option<[f32; 2]> + Sync,
) {
    let options = &bench.recipe.activations;
    let codes: Vec<Option<Uniform>> = (0..plan.activations.len())
        .into_par_iter()
        .map(|i| {
            let (site, setting) = (&bench.sites.activations[i], &plan.activations[i]);
            if !setting.is_quantized() || site.follows.is_some() {
                return None;
            }
            let (whole, before) = (&bench.seen.edges[i], bench.seen.before[i].as_ref());
            let cover = |range: [f32; 2], bits: u8| cover(site, options.symmetric, range, bits);
            if options.per == Granularity::Tensor || site.rank < 2 {
                let bits = setting.bits_of(0);
                let edge =
                    Edge { site, moments: &whole.tensor, before: before.map(|b| &b.tensor), whole, bits };
                let (scale, zero_point) = cover(fit(&edge)?, bits);
                return Some(Uniform::per_tensor(bits, false, scale, zero_point));
            }
            let channels = whole.channels.len();
            let mut code = Uniform {
                axis: Some(1),
                bits: (0..channels).map(|c| setting.bits_of(c)).collect(),
                signed: false,
                scale: Vec::new(),
                zero_point: Vec::new(),
                shift: None,
            };
            for (c, moments) in whole.channels.iter().enumerate() {
                let bits = code.bits[c];
                let edge = Edge { site, moments, before: before.map(|b| &b.channels[c]), whole, bits };
                let (scale, zero_point) = if bits == 0 { (1.0, 0) } else { cover(fit(&edge)?, bits) };
                code.scale.push(scale);
                code.zero_point.push(zero_point);
            }
            Some(code)
        })
        .collect();
    for (setting, code) in plan.activations.iter_mut().zip(codes) {
        if let Some(code) = code {
            setting.set(Code::Uniform(code), step);
        }
    }
}
