//! What a method may look at while it works.

use crate::method::MethodError;
use crate::observe::Observations;
use crate::recipe::Recipe;
use crate::run::Run;
use crate::site::{Sites, WeightSite};
use crate::target::Target;
use lowbit_graph::{Graph, TensorType};
use lowbit_tensor::{Moments, Tensor};
use std::borrow::Cow;

/// The float network, its sites, what calibration saw, and what long work is lent.
#[derive(Clone, Copy, Debug)]
pub struct Workbench<'a> {
    /// The prepared float network.
    pub graph: &'a Graph,
    /// Types of its values at a batch of one, by value id.
    pub types: &'a [Option<TensorType>],
    /// Where quantizers may sit.
    pub sites: &'a Sites,
    /// Calibration statistics, by activation site.
    pub seen: &'a Observations,
    /// The recipe being run.
    pub recipe: &'a Recipe,
    /// The target.
    pub target: &'a Target,
    /// Samples, memory, seed, effort, and who is told.
    pub run: &'a Run<'a>,
}

impl Workbench<'_> {
    /// Checks that calibration saw every edge, and saw numbers.
    ///
    /// # Errors
    /// When it did not; the message names the edge.
    pub fn check(&self) -> Result<(), MethodError> {
        let (expected, found, samples) =
            (self.sites.activations.len(), self.seen.edges.len(), self.seen.samples);
        if found != expected || self.seen.before.len() != expected || (expected > 0 && samples == 0) {
            return Err(MethodError::NothingSeen { found, expected, samples });
        }
        // The mean too: extremes ignore NaN.
        let finite = |m: &Moments| m.min.is_finite() && m.max.is_finite() && m.mean().is_finite();
        match self.seen.edges.iter().position(|edge| !finite(&edge.tensor)) {
            Some(i) => Err(MethodError::NotFinite(self.sites.activations[i].name.clone())),
            None => Ok(()),
        }
    }

    /// The weight of a site and its values.
    pub fn weight(&self, site: &WeightSite) -> (&Tensor, Cow<'_, [f32]>) {
        let tensor = self.graph.constant(site.value).expect("weight sites are constants");
        let values = tensor.as_f32().map_or_else(|| Cow::Owned(tensor.to_f32()), Cow::Borrowed);
        (tensor, values)
    }
}

/// The elements of channel `c` along `axis` of a row-major tensor.
pub fn channel<'a>(
    values: &'a [f32],
    shape: &[usize],
    axis: usize,
    c: usize,
) -> impl Iterator<Item = f32> + Clone + 'a {
    let run: usize = shape[axis + 1..].iter().product();
    let period = run * shape[axis];
    (0..values.len() / period.max(1)).flat_map(move |block| {
        let start = block * period + c * run;
        values[start..start + run].iter().copied()
    })
}
