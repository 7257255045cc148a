//! What a choice of widths may take: bytes or time, a sum over layers.

use super::{Mixed, needs};
use crate::describe;
use crate::method::MethodError;
use crate::plan::Plan;
use crate::recipe::Granularity;
use crate::workbench::Workbench;

/// One limit on all layers together.
#[derive(Clone, Debug, PartialEq)]
pub struct Limit {
    /// The option that set it.
    pub name: &'static str,
    /// `[unit][choice]`, in the unit of the option.
    pub cost: Vec<Vec<f64>>,
    /// What the layers that are not chosen take.
    pub fixed: f64,
    /// Most that all may take.
    pub most: f64,
}

impl Limit {
    /// What a choice takes.
    pub fn of(&self, chosen: &[usize]) -> f64 {
        self.fixed + self.cost.iter().zip(chosen).map(|(costs, &c)| costs[c]).sum::<f64>()
    }

    /// Whether so much keeps the limit; a last digit does not decide it.
    pub fn allows(&self, amount: f64) -> bool {
        amount <= self.most * (1.0 + 1e-9)
    }

    /// Whether a choice keeps the limit.
    pub fn holds(&self, chosen: &[usize]) -> bool {
        self.allows(self.of(chosen))
    }
}

/// All limits that options set, at least one: without any, the average is the `nominal` width. `layers` are those chosen for,
/// of so many `units` each; other layers are as in the plan.
pub(super) fn all(
    options: &Mixed,
    (plan, nominal): (&Plan, u8),
    bench: &Workbench<'_>,
    [layers, units]: [&[usize]; 2],
    bits: &[u8],
) -> Result<Vec<Limit>, MethodError> {
    let count = |i: usize| bench.weight(&bench.sites.weights[i]).1.len() as f64;
    let width = |i: usize| plan.weights[i].bits.iter().copied().max().unwrap_or(0);
    let others =
        || (0..plan.weights.len()).filter(|i| plan.weights[*i].is_quantized() && !layers.contains(i));
    // Units of a layer are alike.
    let table = |cost: &dyn Fn(usize, u8) -> f64| -> Vec<Vec<f64>> {
        let of = |(&i, &n): (&usize, &usize)| {
            let unit: Vec<f64> = bits.iter().map(|&b| cost(i, b) / n as f64).collect();
            std::iter::repeat_n(unit, n)
        };
        layers.iter().zip(units).flat_map(of).collect()
    };
    let mut limits = Vec::new();
    let unlimited = options.max_bytes.is_none() && options.max_latency_ms.is_none();
    if let Some(most) = options.average_bits.or(unlimited.then_some(f64::from(nominal))) {
        let total: f64 = layers.iter().map(|&i| count(i)).sum();
        let cost = table(&|i, b| count(i) * f64::from(b) / total);
        limits.push(Limit { name: "average_bits", cost, fixed: 0.0, most });
    }
    if let Some(most) = options.max_bytes {
        // As reports count them: each channel begins a byte.
        let bytes = |i: usize, b: u8| {
            let (site, len) = (&bench.sites.weights[i], count(i));
            let axis = site.channel_axis.filter(|_| bench.recipe.weights.per == Granularity::Channel);
            let channels = axis.map_or(1.0, |axis| bench.weight(site).0.shape()[axis] as f64);
            channels * (len / channels * f64::from(b) / 8.0).ceil()
        };
        let fixed = others().map(|i| bytes(i, width(i))).sum();
        limits.push(Limit { name: "max_bytes", cost: table(&bytes), fixed, most: most as f64 });
    }
    if let Some(most) = options.max_latency_ms {
        let all = bits.iter().copied().chain(others().map(width));
        if let Some(unknown) = all.into_iter().find(|&b| bench.target.ns_per_mac(b).is_none()) {
            return Err(needs(format!(
                "max_latency_ms needs what {unknown}-bit weights take on target `{}`; add a [[latency]] entry with bits \
                 and ns_per_mac to its file",
                bench.target.name
            )));
        }
        let macs = |i: usize| describe::macs(bench.graph, bench.types, bench.sites.weights[i].node) as f64;
        let ms = |i: usize, b: u8| macs(i) * bench.target.ns_per_mac(b).unwrap_or(0.0) * 1e-6;
        let fixed = others().map(|i| ms(i, width(i))).sum();
        limits.push(Limit { name: "max_latency_ms", cost: table(&ms), fixed, most });
    }
    Ok(limits)
}
