//! Bits for very many units, such as the output channels of a network: where they gain most for their price.
//!
//! With losses that add up, the best that a budget buys is found unit by unit: all start at the narrowest width and climb
//! the lower convex hull of what their widths lose over what they cost, the steepest step of all first. Until a step does
//! not fit, there is no less loss at the same price; from there on, units whose next step fits go on, and what is lost to the
//! best there is, is less than what the step that did not fit would have gained.
//!
//! What narrower codes of a layer cost as measured and what they cost once blocks are learned are not in proportion: a
//! reconstructed block makes up for most of what it loses, the more the more that is. So each layer's losses are scaled as
//! a whole to a power of what it loses per weight: 1 takes them as measured, 0 holds all layers to be alike, and only
//! channels within a layer are told apart.

use super::limit::Limit;
use super::table::Table;

/// The power that is trusted where nothing is built.
pub const POWER: f64 = 0.25;

/// Powers to build.
pub const POWERS: [f64; 4] = [0.0, POWER, 0.5, 1.0];

/// The table with the losses of each layer scaled so that their sum at choice `at`, over its `weights`, is what it was to
/// the power; `units` says how many rows each layer has.
pub fn tempered(table: &Table, units: &[usize], weights: &[usize], at: usize, power: f64) -> Table {
    let mut rest = table.alone.as_slice();
    let mut alone = Vec::with_capacity(table.alone.len());
    for (&units, &weights) in units.iter().zip(weights) {
        let (own, others) = rest.split_at(units);
        rest = others;
        // A layer that loses nothing there is scaled by what it loses at the narrowest; if that is nothing too, it needs none.
        let sum =
            |choice: usize| own.iter().map(|losses| losses[choice]).sum::<f64>() / weights.max(1) as f64;
        let per_weight = [at, 0].map(sum).into_iter().find(|sum| *sum > 0.0);
        let factor = per_weight.map_or(1.0, |sum| libm::pow(sum, power - 1.0));
        alone.extend(own.iter().map(|losses| losses.iter().map(|loss| loss * factor).collect()));
    }
    Table { alone, pairs: Vec::new() }
}

/// One step up for a unit.
struct Step {
    unit: usize,
    to: usize,
    /// Loss less per share of the limits more.
    gain: f64,
}

/// The widths that lose least within all limits; the narrowest everywhere must keep them.
pub fn spend(table: &Table, limits: &[Limit]) -> Vec<usize> {
    let mut steps: Vec<Step> = Vec::new();
    for (unit, losses) in table.alone.iter().enumerate() {
        let price = |choice: usize| limits.iter().map(|limit| limit.cost[unit][choice] / limit.most).sum();
        let prices: Vec<f64> = (0..losses.len()).map(price).collect();
        steps.extend(climb(losses, &prices).into_iter().map(|(to, gain)| Step { unit, to, gain }));
    }
    // Stable: equal gains go to the first unit, and a unit's own steps keep their order.
    steps.sort_by(|a, b| b.gain.total_cmp(&a.gain));
    let mut chosen = vec![0; table.alone.len()];
    let mut open = vec![true; table.alone.len()];
    let mut spent: Vec<f64> = limits.iter().map(|limit| limit.of(&chosen)).collect();
    for Step { unit, to, .. } in steps.into_iter().filter(|step| step.gain > 0.0) {
        if !open[unit] {
            continue;
        }
        let more = |limit: &Limit| limit.cost[unit][to] - limit.cost[unit][chosen[unit]];
        let fits = limits.iter().zip(&spent).all(|(limit, spent)| limit.allows(spent + more(limit)));
        open[unit] = fits;
        if fits {
            spent.iter_mut().zip(limits).for_each(|(spent, limit)| *spent += more(limit));
            chosen[unit] = to;
        }
    }
    chosen
}

/// The corners of the lower convex hull from the first choice on: each a choice, and the loss that it saves for its price
/// from the corner before. Gains fall along it.
fn climb(losses: &[f64], prices: &[f64]) -> Vec<(usize, f64)> {
    let mut corners = Vec::new();
    let mut at = 0;
    loop {
        let gain = |to: usize| (losses[at] - losses[to]) / (prices[to] - prices[at]).max(f64::MIN_POSITIVE);
        let next = (at + 1..losses.len()).map(|to| (to, gain(to))).filter(|(_, gain)| *gain > 0.0);
        // Of equal gains the widest: the others lie on the same edge.
        let Some((to, gain)) = next.max_by(|a, b| a.1.total_cmp(&b.1).then(a.0.cmp(&b.0))) else {
            return corners;
        };
        corners.push((to, gain));
        at = to;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand_chacha::ChaCha8Rng;
    use rand_chacha::rand_core::{Rng, SeedableRng};

    fn average(units: usize, bits: &[f64], most: f64) -> Limit {
        let cost = vec![bits.iter().map(|b| b / units as f64).collect(); units];
        Limit { name: "average_bits", cost, fixed: 0.0, most }
    }

    #[test]
    fn the_worked_example() {
        // 2, 3 and 4 bits. The first unit gains 4 and then 1; the second gains nothing by 3 bits alone, but 6 by both.
        let table = Table { alone: vec![vec![6.0, 2.0, 1.0], vec![9.0, 9.0, 3.0]], pairs: Vec::new() };
        assert_eq!(climb(&table.alone[0], &[2.0, 3.0, 4.0]), [(1, 4.0), (2, 1.0)]);
        assert_eq!(climb(&table.alone[1], &[2.0, 3.0, 4.0]), [(2, 3.0)]);
        let at = |most| spend(&table, &[average(2, &[2.0, 3.0, 4.0], most)]);
        assert_eq!(at(2.0), [0, 0]);
        assert_eq!(at(2.5), [1, 0]);
        // The second unit's step does not fit, the first's last one does.
        assert_eq!(at(3.0), [2, 0]);
        assert_eq!(at(3.5), [1, 2]);
        assert_eq!(at(4.0), [2, 2]);
    }

    #[test]
    fn there_is_no_less_loss_until_a_step_does_not_fit_and_then_less_than_its_gain() {
        let mut rng = ChaCha8Rng::seed_from_u64(3);
        let mut unit = || (rng.next_u64() % 1000) as f64 / 1000.0;
        const BITS: [f64; 4] = [2.0, 3.0, 4.0, 6.0];
        for _ in 0..10 {
            let alone = (0..6).map(|_| {
                let scale = unit().powi(3);
                BITS.map(|b| scale * (-2.0 * b + unit()).exp2()).to_vec()
            });
            let table = Table { alone: alone.collect(), pairs: Vec::new() };
            // The plain twin: every choice there is.
            let all: Vec<Vec<usize>> =
                (0..4usize.pow(6)).map(|n| (0..6).map(|u| n / 4usize.pow(u) % 4).collect()).collect();
            let least = |limit: &Limit| {
                let kept = all.iter().filter(|chosen| limit.holds(chosen));
                kept.map(|chosen| table.loss(chosen)).min_by(f64::total_cmp).unwrap()
            };
            let mut gains: Vec<(f64, f64)> = Vec::new();
            for losses in &table.alone {
                let mut at = 0;
                for (to, gain) in climb(losses, &BITS) {
                    gains.push((gain, BITS[to] - BITS[at]));
                    at = to;
                }
            }
            gains.sort_by(|a, b| b.0.total_cmp(&a.0));
            let mut price = 12.0;
            for (gain, more) in gains {
                let exact = average(6, &BITS, price / 6.0);
                assert!(table.loss(&spend(&table, std::slice::from_ref(&exact))) <= least(&exact) + 1e-12);
                let short = average(6, &BITS, (price + 0.9 * more) / 6.0);
                let found = spend(&table, std::slice::from_ref(&short));
                assert!(short.holds(&found) && table.loss(&found) <= least(&short) + gain * more + 1e-12);
                price += more;
            }
        }
    }

    #[test]
    fn a_power_of_one_changes_nothing_and_of_zero_makes_layers_alike() {
        let table = Table { alone: vec![vec![6.0, 2.0], vec![3.0, 1.0], vec![0.5, 0.25]], pairs: Vec::new() };
        let at = |power| tempered(&table, &[2, 1], &[6, 1], 1, power).alone;
        assert_eq!(at(1.0), table.alone);
        // Layers lose 3 over 6 weights and 1/4 over one: half and a quarter per weight.
        assert_eq!(at(0.0), [[12.0, 4.0], [6.0, 2.0], [2.0, 1.0]]);
        let nothing = Table { alone: vec![vec![0.0, 0.0]], pairs: Vec::new() };
        assert_eq!(tempered(&nothing, &[1], &[5], 1, 0.25), nothing);
        // Nothing at choice 1: by the 8 of choice 0.
        let some = Table { alone: vec![vec![8.0, 0.0]], pairs: Vec::new() };
        assert_eq!(tempered(&some, &[1], &[1], 1, 0.0).alone, [[1.0, 0.0]]);
    }
}
