//! `bit-allocation`: bits per channel under an average budget (Banner et al. 2019, step B).
//!
//! Minimises `Σ αᵢ²/Bᵢ²` with `Σ Bᵢ` fixed, so `Bᵢ ∝ αᵢ^(2/3)` and `Mᵢ = round(log₂ Bᵢ)`. `αᵢ` is the channel's standard
//! deviation. Rounding makes the average drift, so the target is moved until the average returns to the goal.
//!
//! The paper's code returns its last iteration, which can lie over the budget or well under it. This keeps
//! the best allocation at or under the budget, then spends what is left where `αᵢ²/Bᵢ²` falls most.
//!
//! Sets bits only: a range step must follow, to fit each channel to its width.

use super::range::On;
use crate::method::{Entry, Method, MethodError};
use crate::observe::Needs;
use crate::plan::{Plan, Setting};
use crate::recipe::Granularity;
use crate::workbench::{Workbench, channel};
use serde::Deserialize;

pub(super) const ENTRY: Entry = Entry::new::<BitAllocation>(
    "bit-allocation",
    "bits per channel from its spread, under an average budget",
    &[
        ("on", "weights (default) | activations | both; activations need per = \"channel\""),
        ("average", "average bits, min_bits to max_bits (default: the bits asked for)"),
        ("min_bits", "fewest bits of a channel, 0 to 8 (default 2)"),
        ("max_bits", "most bits of a channel, 1 to 8 (default 8)"),
    ],
);

/// Options.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct BitAllocation {
    /// What the step acts on.
    pub on: On,
    /// Average bits; the bits asked for if absent.
    pub average: Option<f64>,
    /// Fewest bits of a channel.
    pub min_bits: u8,
    /// Most bits of a channel.
    pub max_bits: u8,
}

impl Default for BitAllocation {
    fn default() -> BitAllocation {
        BitAllocation { on: On::Weights, average: None, min_bits: 2, max_bits: 8 }
    }
}

/// Above this nominal width the paper leaves a tensor alone.
const WIDEST: u8 = 4;

impl Method for BitAllocation {
    fn refine(&self, mut plan: Plan, bench: &Workbench<'_>) -> Result<Plan, MethodError> {
        let needs = |message: String| Err(MethodError::Needs { step: ENTRY.id, message });
        let [least, most] = [self.min_bits, self.max_bits];
        if !(1..=8).contains(&most) || least > most {
            return needs(format!("min_bits {least} and max_bits {most}; accepted: 0 to 8, in order"));
        }
        let limits = f64::from(least)..=f64::from(most);
        if let Some(average) = self.average.filter(|a| !limits.contains(a)) {
            return needs(format!(
                "average {average}; accepted: {least} to {most}, as min_bits and max_bits say"
            ));
        }
        if self.on.weights() {
            if bench.recipe.weights.per != Granularity::Channel {
                return needs("bits per channel need weights.per = \"channel\"".into());
            }
            for (site, setting) in bench.sites.weights.iter().zip(&mut plan.weights) {
                let Some(axis) = site.channel_axis else { continue };
                let (tensor, values) = bench.weight(site);
                let (shape, values) = (tensor.shape(), &values);
                self.set(setting, (0..shape[axis]).map(|c| std(channel(values, shape, axis, c))).collect());
            }
        }
        if self.on.activations() {
            if bench.recipe.activations.per != Granularity::Channel {
                return needs("bits per channel need activations.per = \"channel\"".into());
            }
            for (i, setting) in plan.activations.iter_mut().enumerate() {
                // A vector has no channels; what follows an edge has its bits.
                if bench.sites.activations[i].rank < 2 || bench.sites.activations[i].follows.is_some() {
                    continue;
                }
                let edge = bench.seen.before[i].as_ref().unwrap_or(&bench.seen.edges[i]);
                self.set(setting, edge.channels.iter().map(|m| m.std()).collect());
            }
        }
        Ok(plan)
    }

    fn needs(&self) -> Needs {
        if self.on.activations() {
            Needs { spread: true, before: true, ..Needs::default() }
        } else {
            Needs::default()
        }
    }
}

impl BitAllocation {
    fn set(&self, setting: &mut Setting, stds: Vec<f64>) {
        let &[nominal] = setting.bits.as_slice() else { return };
        if nominal > WIDEST {
            return;
        }
        let goal = self.average.unwrap_or(f64::from(nominal));
        setting.bits = allocate(&stds, goal, [self.min_bits, self.max_bits]);
        // A code chosen before has other widths.
        setting.code = None;
        setting.set_by.push(ENTRY.id.to_owned());
    }
}

/// Standard deviation with divisor `n − 1`.
fn std(values: impl Iterator<Item = f32> + Clone) -> f64 {
    let n = values.clone().count().max(1) as f64;
    let mean = values.clone().map(f64::from).sum::<f64>() / n;
    (values.map(|x| (f64::from(x) - mean).powi(2)).sum::<f64>() / (n - 1.0).max(1.0)).sqrt()
}

/// Bin counts `Bᵢ` for channels of spread `alphas`, with `ΣBᵢ = n·2^target`.
pub fn bins(alphas: &[f64], target: f64) -> Vec<f64> {
    let powers: Vec<f64> = alphas.iter().map(|a| a.powf(2.0 / 3.0)).collect();
    let total = powers.iter().sum::<f64>();
    let budget = alphas.len() as f64 * target.exp2();
    // Channels without any spread share evenly.
    powers.iter().map(|p| if total > 0.0 { budget * p / total } else { target.exp2() }).collect()
}

/// One pass: `round(log₂ Bᵢ)`, half to even, within `[least, most]`.
pub fn round_bits(alphas: &[f64], target: f64, [least, most]: [u8; 2]) -> Vec<u8> {
    let width = |b: &f64| b.log2().round_ties_even().clamp(f64::from(least), f64::from(most)) as u8;
    bins(alphas, target).iter().map(width).collect()
}

fn mean(bits: &[u8]) -> f64 {
    bits.iter().map(|&b| f64::from(b)).sum::<f64>() / bits.len().max(1) as f64
}

/// The paper's loop: every allocation it passes through, the returned one last.
pub fn iterations(alphas: &[f64], goal: f64, limits: [u8; 2]) -> Vec<Vec<u8>> {
    let (mut target, mut seen) = (goal, Vec::new());
    for _ in 0..10 {
        let bits = round_bits(alphas, target, limits);
        let step = (goal - mean(&bits)) / 2.0;
        seen.push(bits);
        if (2.0 * step).abs() <= 0.01 {
            break;
        }
        target += step;
    }
    seen
}

/// The best allocation at or under the goal: the widest average the loop met, the rest spent greedily.
pub fn allocate(alphas: &[f64], goal: f64, limits: [u8; 2]) -> Vec<u8> {
    let within = iterations(alphas, goal, limits).into_iter().filter(|bits| mean(bits) <= goal + 1e-9);
    let least = vec![limits[0]; alphas.len()];
    let mut bits = within.max_by(|a, b| mean(a).total_cmp(&mean(b))).unwrap_or(least);
    let budget = (goal * alphas.len() as f64 + 1e-9).floor() as usize;
    let error = |alpha: f64, b: u8| alpha * alpha / 4f64.powi(b.into());
    while bits.iter().map(|&b| usize::from(b)).sum::<usize>() < budget {
        let gain = |i: usize| error(alphas[i], bits[i]) - error(alphas[i], bits[i] + 1);
        let open = (0..bits.len()).filter(|&i| bits[i] < limits[1]);
        match open.max_by(|&a, &b| gain(a).total_cmp(&gain(b)).then(b.cmp(&a))) {
            Some(i) => bits[i] += 1,
            None => break,
        }
    }
    bits
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [u8; 2] = [0, 8];

    #[test]
    fn worked_example_a_reaches_the_goal() {
        let stds = [0.1, 0.2, 0.4, 0.8, 1.6, 3.2];
        let expected = [3.759367, 5.967623, 9.473011, 15.037467, 23.870491, 37.892042];
        for (found, expected) in bins(&stds, 4.0).into_iter().zip(expected) {
            assert!((found - expected).abs() < 1e-5, "{found} {expected}");
        }
        let passes = iterations(&stds, 4.0, ALL);
        assert_eq!(passes[0], [2, 3, 3, 4, 5, 5]);
        assert_eq!(passes.last().unwrap(), &[2, 3, 4, 4, 5, 6]);
        assert_eq!(allocate(&stds, 4.0, ALL), [2, 3, 4, 4, 5, 6]);
    }

    #[test]
    fn worked_example_b_oscillates_in_the_papers_loop() {
        let stds = [1.0, 1.0, 1.0, 8.0];
        let passes = iterations(&stds, 4.0, ALL);
        assert_eq!(passes.len(), 10);
        assert!(
            passes.iter().step_by(2).all(|b| b == &[3, 3, 3, 5]) || passes[9] == [3, 3, 3, 5],
            "{passes:?}"
        );
        assert_eq!(passes[9], [3, 3, 3, 5]);
        // Half a bit of budget is left over; the widest channel and one other take it.
        let ours = allocate(&stds, 4.0, ALL);
        assert_eq!(mean(&ours), 4.0);
        assert!(ours[3] >= 6, "{ours:?}");
    }

    #[test]
    fn worked_example_c_converges_after_nine_iterations() {
        let stds = [0.02, 0.5, 0.5, 0.55, 0.6, 0.6, 0.7, 6.0];
        let passes = iterations(&stds, 4.0, ALL);
        assert_eq!(passes[0], [0, 3, 3, 4, 4, 4, 4, 6]);
        assert_eq!((passes.len(), passes.last().unwrap().as_slice()), (9, &[1, 4, 4, 4, 4, 4, 4, 7][..]));
    }

    #[test]
    fn worked_example_d_overshoots_in_the_papers_loop_and_not_here() {
        let stds = [1e-4, 1.0, 1.0, 1.0];
        let passes = iterations(&stds, 4.0, ALL);
        assert_eq!(passes[0], [0, 4, 4, 4]);
        assert_eq!(passes.last().unwrap(), &[0, 6, 6, 6]);
        let ours = allocate(&stds, 4.0, ALL);
        assert!(mean(&ours) <= 4.0 && ours[0] == 0, "{ours:?}");
    }

    #[test]
    fn two_channels_share_bins_by_the_two_thirds_power() {
        let b = bins(&[1.0, 8.0], 4.0);
        assert!((b[0] - 6.4).abs() < 1e-9 && (b[1] - 25.6).abs() < 1e-9);
        // Brute force over real bin counts with the same sum.
        let error = |x: f64| 1.0 / (x * x) + 64.0 / ((32.0 - x) * (32.0 - x));
        let best =
            (1..320).map(|i| f64::from(i) / 10.0).min_by(|a, b| error(*a).total_cmp(&error(*b))).unwrap();
        assert!((best - 6.4).abs() < 0.11);
    }

    #[test]
    fn only_ratios_of_spread_matter_and_equals_get_equals() {
        let stds = [0.3, 0.7, 1.9, 0.1];
        let scaled: Vec<f64> = stds.iter().map(|s| s * 37.0).collect();
        assert_eq!(allocate(&stds, 4.0, ALL), allocate(&scaled, 4.0, ALL));
        assert_eq!(allocate(&[2.0; 5], 4.0, ALL), [4; 5]);
        assert_eq!(allocate(&[0.0; 3], 4.0, ALL), [4; 3]);
        let b = bins(&stds, 4.0);
        assert!((b.iter().sum::<f64>() - 64.0).abs() < 1e-9);
    }
}
