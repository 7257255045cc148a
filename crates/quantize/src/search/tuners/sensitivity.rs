//! Each choice alone, then down the path of most saved per loss.
//!
//! Every choice of every dimension is measured with all others at their defaults. What these lose is taken to add up; from the
//! default, the move that saves most cost per loss is made again and again until nothing can be saved, and from it upward the
//! move that wins back most. Strategies along that path are then measured for real: the path is the first guess of a frontier.

use crate::search::space::Strategy;
use crate::search::tuner::{Problem, Tuner};

/// Loss below which a choice counts as free: differences of it are noise.
const FREE: f64 = 1e-9;

/// At most so many trials along the path.
#[derive(Clone, Copy, Debug)]
pub struct Sensitivity {
    /// Most trials along the path; those alone are as many as there are choices.
    pub trials: usize,
}

/// The default, then every other choice alone.
pub fn alone(sizes: &[usize]) -> Vec<Strategy> {
    let mut all = vec![vec![0; sizes.len()]];
    for (dimension, &size) in sizes.iter().enumerate() {
        for choice in 1..size {
            let mut strategy = vec![0; sizes.len()];
            strategy[dimension] = choice;
            all.push(strategy);
        }
    }
    all
}

/// Losses and costs of each choice alone, beyond the default's.
#[derive(Clone, Debug, PartialEq)]
pub struct Alone {
    /// `[dimension][choice]`
    pub loss: Vec<Vec<f64>>,
    /// `[dimension][choice]`
    pub cost: Vec<Vec<f64>>,
}

/// Measures them.
///
/// # Errors
/// Those of measuring.
pub fn measure_alone<P: Problem>(problem: &mut P) -> Result<Alone, P::Error> {
    let sizes = problem.sizes();
    let all = alone(&sizes);
    let scores = problem.measure(&all)?;
    let (loss, cost) = (scores[0].loss, problem.cost(&all[0]));
    let mut table = Alone {
        loss: sizes.iter().map(|&n| vec![0.0; n]).collect(),
        cost: sizes.iter().map(|&n| vec![0.0; n]).collect(),
    };
    for (strategy, score) in all.iter().zip(&scores).skip(1) {
        if let Some(dimension) = strategy.iter().position(|&c| c > 0) {
            table.loss[dimension][strategy[dimension]] = score.loss - loss;
            table.cost[dimension][strategy[dimension]] = problem.cost(strategy) - cost;
        }
    }
    Ok(table)
}

/// Strategies from the default on, each one move from the last: downward in cost, or with `up` downward in loss.
pub fn path(table: &Alone, up: bool) -> Vec<Strategy> {
    let (gain, pain) = if up { (&table.loss, &table.cost) } else { (&table.cost, &table.loss) };
    let mut at = vec![0; table.loss.len()];
    let mut path = vec![at.clone()];
    loop {
        let moves = at.iter().enumerate().flat_map(|(d, &now)| {
            (0..gain[d].len()).filter_map(move |c| {
                let (won, lost) = (gain[d][now] - gain[d][c], pain[d][c] - pain[d][now]);
                // A move that wins and loses nothing comes first, the largest such before others.
                let ratio = if lost <= FREE { f64::MAX.min(won * 1e300) } else { won / lost };
                (won > FREE).then_some((ratio, d, c))
            })
        });
        let Some((_, d, c)) =
            moves.max_by(|a, b| a.0.total_cmp(&b.0).then(b.1.cmp(&a.1)).then(b.2.cmp(&a.2)))
        else {
            return path;
        };
        at[d] = c;
        path.push(at.clone());
    }
}

/// About `count` of a path, its ends among them.
fn thinned(path: Vec<Strategy>, count: usize) -> Vec<Strategy> {
    let (last, count) = (path.len().saturating_sub(1), count.max(2));
    if path.len() <= count {
        return path;
    }
    (0..count).map(|i| path[i * last / (count - 1)].clone()).collect()
}

impl Tuner for Sensitivity {
    fn run<P: Problem>(&self, problem: &mut P) -> Result<(), P::Error> {
        let table = measure_alone(problem)?;
        let mut along = thinned(path(&table, false), self.trials);
        along.extend(thinned(path(&table, true), self.trials / 4));
        for strategy in along {
            problem.measure(&[strategy])?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::tuner::testing::Asked;
    use super::*;

    #[test]
    fn the_path_takes_what_saves_most_per_loss_first() {
        // Dimension 1 saves as much as dimension 0 at a tenth of the loss; narrower choices of both come last.
        let (loss, cost) = ([[0.0, 1.0, 4.0], [0.0, 0.1, 8.0]], [[9.0, 5.0, 3.0], [9.0, 5.0, 3.0]]);
        let sum = |t: &[[f64; 3]; 2], s: &[usize]| t[0][s[0]] + t[1][s[1]];
        let mut asked = Asked::new(&[3, 3], |s| (sum(&loss, s), sum(&cost, s)));
        Sensitivity { trials: 100 }.run(&mut asked).unwrap();
        let walked = &asked.log[5..];
        assert_eq!(walked[..5], [[0, 0], [0, 1], [1, 1], [2, 1], [2, 2]]);
    }

    #[test]
    fn a_long_path_is_thinned_to_its_ends_and_some_between() {
        let path: Vec<Strategy> = (0..100).map(|i| vec![i]).collect();
        assert_eq!(thinned(path.clone(), 4), [[0], [33], [66], [99]]);
        assert_eq!(thinned(path[..3].to_vec(), 4).len(), 3);
    }
}
