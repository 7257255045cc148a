//! The few choices of widths that are worth building.
//!
//! Layers changed alone tell too little of what narrower widths lose together, and too much of what wider ones gain: how
//! much differs by network. So the search is asked several times, what a width below the even one loses counted once, twice,
//! four times and so on, until it leaves all layers alike. What comes out lies on a path from the table's own best to
//! the even network, and is judged by building it.
//!
//! That path misses what the table is wrong about. Which layer can spare a bit is what reconstruction changes most, and what
//! that bit buys is most where layers have few weights; so each of the layers that free most by a narrower width is also
//! let pay, alone, for wider codes of others.

use super::limit::Limit;
use super::search::search;
use super::table::{Pair, Table};

/// How often the loss of narrower widths is counted.
const FACTORS: [f64; 6] = [32.0, 16.0, 8.0, 4.0, 2.0, 1.0];

/// How many of the layers that free most are let pay for others.
const PAYERS: usize = 6;

/// The widest choice that all layers may have alike, if any keeps all limits.
pub fn even(choices: usize, layers: usize, limits: &[Limit]) -> Option<usize> {
    (0..choices).rev().find(|&choice| limits.iter().all(|limit| limit.holds(&vec![choice; layers])))
}

/// Choices to build, each once: first all layers alike, then ever further from it, then one layer paying for others.
pub fn shortlist(table: &Table, limits: &[Limit], seed: u64) -> Vec<Vec<usize>> {
    let (layers, choices) = (table.alone.len(), table.alone.first().map_or(1, Vec::len));
    let Some(even) = even(choices, layers, limits) else { return Vec::new() };
    let mut list = vec![vec![even; layers]];
    for factor in FACTORS {
        let found = search(&wary(table, even, factor), limits, seed);
        list.extend(found.filter(|found| !list.contains(found)));
    }
    for payer in payers(limits, even, layers) {
        let paid = paid_by(payer, table, limits, even);
        list.extend(paid.filter(|paid| !list.contains(paid)));
    }
    list
}

/// What the choices of a layer differ by, all limits together, each in shares of its whole.
fn price(limits: &[Limit], layer: usize, [from, to]: [usize; 2]) -> f64 {
    limits.iter().map(|limit| (limit.cost[layer][to] - limit.cost[layer][from]) / limit.most).sum()
}

/// The layers that free most by one width below the even one, most first.
fn payers(limits: &[Limit], even: usize, layers: usize) -> Vec<usize> {
    let Some(narrower) = even.checked_sub(1) else { return Vec::new() };
    let freed = |layer: &usize| price(limits, *layer, [narrower, even]);
    let mut all: Vec<usize> = (0..layers).collect();
    all.sort_by(|a, b| freed(b).total_cmp(&freed(a)));
    all.truncate(PAYERS);
    all
}

/// One layer at one width below the even one, and others one above it: those that gain most for their price, as many as
/// the limits allow. `None` where it pays for none.
fn paid_by(payer: usize, table: &Table, limits: &[Limit], even: usize) -> Option<Vec<usize>> {
    let layers = table.alone.len();
    let wider =
        Some(even + 1).filter(|&wider| table.alone.first().is_some_and(|losses| wider < losses.len()))?;
    let mut chosen = vec![even; layers];
    chosen[payer] = even.checked_sub(1)?;
    let worth = |layer: usize| {
        let gain = table.alone[layer][even] - table.alone[layer][wider];
        gain / price(limits, layer, [even, wider]).max(f64::MIN_POSITIVE)
    };
    let mut others: Vec<(usize, f64)> =
        (0..layers).filter(|&layer| layer != payer).map(|layer| (layer, worth(layer))).collect();
    others.sort_by(|a, b| b.1.total_cmp(&a.1));
    for (layer, _) in others.into_iter().filter(|(_, worth)| *worth > 0.0) {
        chosen[layer] = wider;
        if !limits.iter().all(|limit| limit.holds(&chosen)) {
            chosen[layer] = even;
        }
    }
    chosen.contains(&wider).then_some(chosen)
}

/// The table with what choices below `even` lose beyond it counted `factor` times.
fn wary(table: &Table, even: usize, factor: f64) -> Table {
    let weigh = |losses: &Vec<f64>| -> Vec<f64> {
        let at = |(choice, &loss): (usize, &f64)| {
            let more = loss - losses[even];
            losses[even] + if choice < even { factor * more } else { more }
        };
        losses.iter().enumerate().map(at).collect()
    };
    let pair = |pair: &Pair| {
        let narrow = pair.choices.iter().any(|&choice| choice < even);
        Pair { extra: pair.extra * if narrow { factor } else { 1.0 }, ..*pair }
    };
    Table { alone: table.alone.iter().map(weigh).collect(), pairs: table.pairs.iter().map(pair).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two small layers that gain by a wider code, and two large ones that pay for it.
    fn example() -> (Table, Vec<Limit>) {
        // Loss at 2, 3, 4 bits.
        let alone = vec![vec![9.0, 4.0, 1.0], vec![9.0, 4.0, 2.0], vec![3.0, 2.0, 1.9], vec![2.5, 2.0, 1.9]];
        let sizes = [1.0, 1.0, 2.0, 1.0];
        let cost = sizes.iter().map(|n| [2.0, 3.0, 4.0].map(|b| b * n).to_vec()).collect();
        (
            Table { alone, pairs: Vec::new() },
            vec![Limit { name: "average_bits", cost, fixed: 0.0, most: 15.0 }],
        )
    }

    #[test]
    fn the_worked_example() {
        // Even: 4 + 4 + 2 + 2 = 12, costs 3 × 5 = 15. Layer 3 narrowed pays for layer 0: 12 + 0.5 − 3 = 9.5. Layer 2
        // narrowed pays for both: 12 + 1 − 3 − 2 = 8, the best.
        let (table, limits) = example();
        assert_eq!(table.loss(&[1; 4]), 12.0);
        assert_eq!(search(&table, &limits, 0), Some(vec![2, 2, 0, 1]));
        // Losses counted twice: 12 + 2 − 5 = 9 still ahead of 12 + 1 − 3 = 10; four times: 11 against 11; eight times:
        // 15 against 13 and 12, so nothing moves.
        assert_eq!(search(&wary(&table, 1, 2.0), &limits, 0), Some(vec![2, 2, 0, 1]));
        assert_eq!(search(&wary(&table, 1, 8.0), &limits, 0), Some(vec![1; 4]));
        let list = shortlist(&table, &limits, 0);
        assert_eq!(&list[0], &vec![1; 4]);
        assert!(list.contains(&vec![2, 2, 0, 1]));
        assert!(list.iter().all(|chosen| limits[0].holds(chosen)));
        assert!((1..list.len()).all(|i| !list[..i].contains(&list[i])), "{list:?}");
    }

    #[test]
    fn each_large_layer_is_let_pay_for_what_gains_most_for_its_price() {
        // Layer 2 frees 2, the others 1 each. Gains for a wider code, by price: 3, 2, 0.05 and 0.1.
        let (table, limits) = example();
        assert_eq!(payers(&limits, 1, 4), [2, 0, 1, 3]);
        assert_eq!(paid_by(2, &table, &limits, 1), Some(vec![2, 2, 0, 1]));
        assert_eq!(paid_by(0, &table, &limits, 1), Some(vec![0, 2, 1, 1]));
        assert_eq!(paid_by(3, &table, &limits, 1), Some(vec![2, 1, 1, 0]));
        let list = shortlist(&table, &limits, 0);
        assert!(
            [vec![0, 2, 1, 1], vec![2, 0, 1, 1], vec![2, 1, 1, 0]].iter().all(|paid| list.contains(paid))
        );
        // Nothing is below the narrowest, nothing above the widest.
        assert!(payers(&limits, 0, 4).is_empty());
        assert_eq!(paid_by(2, &table, &limits, 2), None);
    }

    #[test]
    fn even_is_the_widest_that_all_may_have() {
        let (_, mut limits) = example();
        assert_eq!(even(3, 4, &limits), Some(1));
        limits[0].most = 20.0;
        assert_eq!(even(3, 4, &limits), Some(2));
        limits[0].most = 9.0;
        assert_eq!(even(3, 4, &limits), None);
    }
}
