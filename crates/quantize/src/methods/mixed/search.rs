//! The search for the widths of least predicted loss within limits: a genetic algorithm over table look-ups, as in the
//! paper (population 50, 100 generations, mutation probability 0.1, the best kept, children only if feasible).
//!
//! What it finds is then improved by single and double exchanges until none helps: crossing over seldom lands on the last
//! exchange of a bit here for a bit there, and trying them all takes milliseconds.

use super::limit::Limit;
use super::table::Table;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

const POPULATION: usize = 50;
const GENERATIONS: usize = 100;
/// One choice in ten is drawn anew.
const MUTATION: u64 = 10;
/// How often a feasible child may be tried for before a generation goes on with fewer.
const PATIENCE: usize = 20;
/// Rounds of exchanges; each ends a long way before.
const ROUNDS: usize = 100;

/// A choice per layer of least predicted loss that keeps all limits; never worse than any feasible one with the same width
/// everywhere. `None` if not even the narrowest everywhere is feasible.
pub fn search(table: &Table, limits: &[Limit], seed: u64) -> Option<Vec<usize>> {
    let layers = table.alone.len();
    let choices = table.alone.first().map_or(1, Vec::len);
    let feasible = |chosen: &[usize]| limits.iter().all(|limit| limit.holds(chosen));
    if !feasible(&vec![0; layers]) {
        return None;
    }
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    // The bias of the remainder is far below any difference it could make.
    let mut draw = |n: usize| (rng.next_u64() % n as u64) as usize;
    let scored = |chosen: Vec<usize>| (table.loss(&chosen), chosen);
    let even = (0..choices).map(|choice| vec![choice; layers]).filter(|chosen| feasible(chosen));
    let mut population: Vec<(f64, Vec<usize>)> = even.map(scored).collect();
    while population.len() < POPULATION {
        let mut chosen: Vec<usize> = (0..layers).map(|_| draw(choices)).collect();
        while !feasible(&chosen) {
            let layer = draw(layers);
            chosen[layer] = chosen[layer].saturating_sub(1);
        }
        population.push(scored(chosen));
    }
    for _ in 0..GENERATIONS {
        population.sort_by(|a, b| a.0.total_cmp(&b.0));
        population.dedup_by(|a, b| a.1 == b.1);
        population.truncate(POPULATION / 2);
        let parents = population.len();
        for _ in 0..POPULATION * PATIENCE {
            if population.len() == POPULATION {
                break;
            }
            let [mother, father] = [draw(parents), draw(parents)];
            let gene = |layer: usize| match (draw(MUTATION as usize), draw(2)) {
                (0, _) => draw(choices),
                (_, 0) => population[mother].1[layer],
                _ => population[father].1[layer],
            };
            let child: Vec<usize> = (0..layers).map(gene).collect();
            if feasible(&child) {
                population.push(scored(child));
            }
        }
    }
    let best = population.into_iter().min_by(|a, b| a.0.total_cmp(&b.0))?;
    Some(exchanged(best, choices, table, &feasible))
}

/// The best choice that changes of up to two layers at a time lead to.
fn exchanged(
    mut best: (f64, Vec<usize>),
    choices: usize,
    table: &Table,
    feasible: &impl Fn(&[usize]) -> bool,
) -> Vec<usize> {
    let layers = best.1.len();
    for _ in 0..ROUNDS {
        let before = best.0;
        for (i, j) in (0..layers).flat_map(|i| (i..layers).map(move |j| (i, j))) {
            for (a, b) in (0..choices).flat_map(|a| (0..choices).map(move |b| (a, b))) {
                let mut chosen = best.1.clone();
                (chosen[i], chosen[j]) = (a, b);
                let loss = table.loss(&chosen);
                if loss < best.0 && feasible(&chosen) {
                    best = (loss, chosen);
                }
            }
        }
        if best.0 >= before {
            break;
        }
    }
    best.1
}

#[cfg(test)]
mod tests {
    use super::super::table::Pair;
    use super::*;

    /// The plain twin: every choice there is.
    fn exhaustive(table: &Table, limits: &[Limit]) -> Option<f64> {
        let (layers, choices) = (table.alone.len(), table.alone[0].len());
        let all = (0..choices.pow(layers as u32))
            .map(|n| (0..layers).map(|l| n / choices.pow(l as u32) % choices).collect::<Vec<usize>>());
        all.filter(|chosen| limits.iter().all(|limit| limit.holds(chosen)))
            .map(|chosen| table.loss(&chosen))
            .min_by(f64::total_cmp)
    }

    /// Losses that fall as widths grow, layers of many sizes, and pairs that repel or attract.
    fn example(layers: usize, seed: u64) -> (Table, Vec<Limit>) {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut unit = || (rng.next_u64() % 1000) as f64 / 1000.0;
        let bits = [2.0, 3.0, 4.0, 8.0];
        let alone: Vec<Vec<f64>> = (0..layers)
            .map(|_| {
                let scale = unit().powi(3);
                bits.map(|b: f64| scale * (-b).exp2()).to_vec()
            })
            .collect();
        let pairs = (0..layers / 2)
            .flat_map(|i| [[0, 0], [0, 1], [1, 0]].map(|choices| ([2 * i, 2 * i + 1], choices)))
            .map(|(layers, choices)| Pair { layers, choices, extra: 0.05 * (unit() - 0.3) })
            .collect();
        let sizes: Vec<f64> = (0..layers).map(|i| 10.0 * (1 << (i % 4)) as f64).collect();
        let cost = sizes.iter().map(|n| bits.map(|b| b * n).to_vec()).collect();
        let size =
            Limit { name: "average_bits", cost, fixed: 5.0, most: 5.0 + 3.0 * sizes.iter().sum::<f64>() };
        let cost = (0..layers).map(|_| vec![1.0, 1.0, 1.0, 2.0]).collect();
        let time = Limit { name: "max_latency_ms", cost, fixed: 0.0, most: layers as f64 + 1.0 };
        (Table { alone, pairs }, vec![size, time])
    }

    #[test]
    fn the_search_finds_what_trying_everything_does() {
        for seed in 0..12 {
            let (table, limits) = example(7, seed);
            let found = search(&table, &limits, seed).unwrap();
            assert!(limits.iter().all(|limit| limit.holds(&found)));
            let best = exhaustive(&table, &limits).unwrap();
            assert!(table.loss(&found) <= best + 1e-12, "seed {seed}: {} {best}", table.loss(&found));
        }
    }

    #[test]
    fn a_seed_gives_one_answer_and_even_widths_are_never_better() {
        let (table, limits) = example(40, 5);
        let found = search(&table, &limits, 1).unwrap();
        assert_eq!(found, search(&table, &limits, 1).unwrap());
        assert!(table.loss(&found) <= table.loss(&[1; 40]));
    }

    #[test]
    fn a_limit_below_the_narrowest_has_no_answer() {
        let (table, mut limits) = example(4, 0);
        limits[0].most = 1.0;
        assert_eq!(search(&table, &limits, 0), None);
        assert_eq!(exhaustive(&table, &limits), None);
    }
}
