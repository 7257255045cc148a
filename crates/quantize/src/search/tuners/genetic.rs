//! The genetic search of BRECQ over sums of what each choice loses alone, for a row of limits on cost; what it finds is measured.

use super::sensitivity::{Alone, measure_alone, path};
use crate::methods::mixed::limit::Limit;
use crate::methods::mixed::search::search;
use crate::methods::mixed::table::Table;
use crate::search::space::Strategy;
use crate::search::tuner::{Problem, Tuner};

/// At most so many limits.
#[derive(Clone, Copy, Debug)]
pub struct Genetic {
    /// Limits, evenly between the least cost and the default's.
    pub trials: usize,
    /// Seed of the populations.
    pub seed: u64,
}

/// The choice per dimension of least summed loss whose cost is at most `most` beyond the default's.
pub fn within(table: &Alone, most: f64, seed: u64) -> Option<Strategy> {
    // The search wants as many choices for each, the cheapest first.
    let count = table.cost.iter().map(Vec::len).max().unwrap_or(0);
    let order: Vec<Vec<usize>> = table
        .cost
        .iter()
        .map(|costs| {
            let mut order: Vec<usize> = (0..costs.len()).collect();
            order.sort_by(|&a, &b| costs[a].total_cmp(&costs[b]).then(a.cmp(&b)));
            let last = order.last().copied().unwrap_or(0);
            order.resize(count, last);
            order
        })
        .collect();
    let sorted = |values: &[Vec<f64>]| -> Vec<Vec<f64>> {
        order.iter().zip(values).map(|(order, values)| order.iter().map(|&c| values[c]).collect()).collect()
    };
    let sums = Table { alone: sorted(&table.loss), pairs: Vec::new() };
    // Costs beyond the default's are negative where something is saved; limits compare sums from zero up.
    let costs = sorted(&table.cost);
    let base: f64 = costs.iter().filter_map(|c| c.first()).sum();
    let limit = Limit {
        name: "cost",
        cost: costs.iter().map(|row| row.iter().map(|c| c - row[0]).collect()).collect(),
        fixed: 0.0,
        most: most - base,
    };
    let found = search(&sums, &[limit], seed)?;
    Some(found.iter().zip(&order).map(|(&c, order)| order[c]).collect())
}

impl Tuner for Genetic {
    fn run<P: Problem>(&self, problem: &mut P) -> Result<(), P::Error> {
        let table = measure_alone(problem)?;
        let least = path(&table, false).pop().map_or(0.0, |strategy| {
            strategy.iter().zip(&table.cost).map(|(&c, costs)| costs[c]).sum::<f64>()
        });
        let count = self.trials.max(2);
        let mut found: Vec<Strategy> = Vec::new();
        for i in 0..count {
            let most = least * (1.0 - i as f64 / (count - 1) as f64);
            found.extend(within(&table, most, self.seed));
        }
        found.dedup();
        for strategy in found {
            problem.measure(&[strategy])?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_least_loss_within_a_limit_is_found_with_unequal_numbers_of_choices() {
        let table = Alone {
            loss: vec![vec![0.0, 1.0, 3.0], vec![0.0, 0.5], vec![0.0]],
            cost: vec![vec![0.0, -4.0, -6.0], vec![0.0, -3.0], vec![0.0]],
        };
        for (most, expected) in
            [(0.0, [0, 0, 0]), (-3.0, [0, 1, 0]), (-4.0, [1, 0, 0]), (-7.0, [1, 1, 0]), (-9.0, [2, 1, 0])]
        {
            assert_eq!(within(&table, most, 1).unwrap(), expected, "{most}");
        }
        assert_eq!(within(&table, -10.0, 1), None);
    }
}
