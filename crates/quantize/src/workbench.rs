//! What a method may look at while it works.

use crate::observe::Observations;
use crate::recipe::Recipe;
use crate::site::{Sites, WeightSite};
use crate::target::Target;
use lowbit_graph::Graph;
use lowbit_tensor::Tensor;
use std::borrow::Cow;

/// The float network, its sites, and what calibration saw.
#[derive(Clone, Copy, Debug)]
pub struct Workbench<'a> {
    /// The prepared float network.
    pub graph: &'a Graph,
    /// Where quantizers may sit.
    pub sites: &'a Sites,
    /// Calibration statistics, by activation site.
    pub seen: &'a Observations,
    /// The recipe being run.
    pub recipe: &'a Recipe,
    /// The target.
    pub target: &'a Target,
}

impl Workbench<'_> {
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
