//! KMEANS: each row has values of its own for its codes, by Lloyd's algorithm from the ASYM grid.
//!
//! Rows of hundreds of columns with far values leave that start with empty cells, so the grid that GREEDY finds is a second one,
//! and the better end is kept: no row is worse than GREEDY's. Values are sorted once; cells are then runs of them.

use lowbit_kernels::embedding::reference::round_half;

use super::{Entry, Kind, Method};

pub(super) const ENTRY: Entry = Entry {
    method: Method::Kmeans,
    name: "kmeans",
    summary: "codebook per row (2^bits half-precision values): least error, larger rows",
    kind: Kind::Rows,
};

/// Rounds of Lloyd's algorithm, if it does not come to rest before.
const ROUNDS: usize = 100;

/// A row's values and which of them each column has.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Codebook {
    /// Values of the codes, of half precision, ascending.
    pub centres: Vec<f32>,
    /// Code of each column.
    pub codes: Vec<u8>,
}

impl Codebook {
    /// The codebook of a row of at least one value, as published: from the ASYM grid.
    pub fn new(row: &[f32], bits: u32) -> Codebook {
        Codebook::start(row, bits, None)
    }

    /// The better of that and the one that starts at `bias + scale·code`.
    pub fn with_grid(row: &[f32], bits: u32, [bias, scale]: [f32; 2]) -> Codebook {
        let centres: Vec<f64> =
            (0..1u32 << bits).map(|code| f64::from(bias) + f64::from(scale) * f64::from(code)).collect();
        let [plain, other] = [None, Some(centres)].map(|from| Codebook::start(row, bits, from));
        if other.squared_error(row) < plain.squared_error(row) { other } else { plain }
    }

    fn squared_error(&self, row: &[f32]) -> f64 {
        let errors =
            row.iter().zip(&self.codes).map(|(x, &code)| f64::from(x - self.centres[usize::from(code)]));
        errors.map(|error| error * error).sum()
    }

    fn start(row: &[f32], bits: u32, from: Option<Vec<f64>>) -> Codebook {
        let count = 1usize << bits;
        let mut sorted: Vec<f32> = row.to_vec();
        sorted.sort_by(f32::total_cmp);
        let mut distinct = sorted.clone();
        distinct.dedup();
        let centres: Vec<f64> = if distinct.len() <= count {
            let last = distinct[distinct.len() - 1];
            distinct.resize(count, last);
            distinct.iter().map(|&x| f64::from(x)).collect()
        } else {
            let values: Vec<f64> = sorted.iter().map(|&x| f64::from(x)).collect();
            let weights = vec![1.0; values.len()];
            match from {
                Some(centres) => lloyd_from(&values, &weights, centres),
                None => lloyd(&values, &weights, count),
            }
        };
        let codes = row.iter().map(|&x| nearest(&centres, f64::from(x)) as u8).collect();
        Codebook { centres: centres.into_iter().map(|c| round_half(c as f32)).collect(), codes }
    }
}

/// Means of `count` cells of ascending `values` (f64, at least one) with `weights`, starting from evenly spaced ones; empty
/// cells keep their place. Ascending.
pub fn lloyd(values: &[f64], weights: &[f64], count: usize) -> Vec<f64> {
    let (low, high) = (values[0], values[values.len() - 1]);
    let start = (0..count).map(|j| low + j as f64 * (high - low) / (count - 1) as f64).collect();
    lloyd_from(values, weights, start)
}

/// The same from given centres, ascending.
fn lloyd_from(values: &[f64], weights: &[f64], mut centres: Vec<f64>) -> Vec<f64> {
    let count = centres.len();
    for _ in 0..ROUNDS {
        let mut sums = vec![[0.0f64; 2]; count];
        let mut cell = 0;
        for (&x, &weight) in values.iter().zip(weights) {
            while cell + 1 < count && (x - centres[cell + 1]).abs() < (x - centres[cell]).abs() {
                cell += 1;
            }
            sums[cell][0] += weight * x;
            sums[cell][1] += weight;
        }
        let next: Vec<f64> = sums
            .iter()
            .zip(&centres)
            .map(|(&[sum, weight], &centre)| if weight > 0.0 { sum / weight } else { centre })
            .collect();
        if next == centres {
            break;
        }
        centres = next;
    }
    centres
}

/// The nearest of ascending centres, the lower of two equally near.
pub(crate) fn nearest(centres: &[f64], x: f64) -> usize {
    let above = centres.partition_point(|&c| c < x);
    if above == 0 {
        return 0;
    }
    // Equal centres: the first of them.
    let below = centres.partition_point(|&c| c < centres[above - 1]);
    if above < centres.len() && centres[above] - x < x - centres[below] { above } else { below }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::numbers::testing::near;

    fn loss(row: &[f32], book: &Codebook) -> f64 {
        let square = |x: f32| f64::from(x).powi(2);
        let error: f64 =
            row.iter().zip(&book.codes).map(|(&x, &code)| square(x - book.centres[usize::from(code)])).sum();
        (error / row.iter().map(|&x| square(x)).sum::<f64>()).sqrt()
    }

    #[test]
    fn four_centres_of_the_worked_example() {
        let row = [0.0, 0.1, 0.9, 1.0, 2.0, 2.1, 2.9, 3.3];
        let book = Codebook::new(&row, 2);
        assert_eq!(book.codes, [0, 0, 1, 1, 2, 2, 3, 3]);
        for (got, want) in book.centres.iter().zip([0.05, 0.95, 2.05, 3.1]) {
            near(f64::from(*got), want, 1e-3);
        }
        near(loss(&row, &book), 0.056_719_2, 2e-5);
    }

    #[test]
    fn sixteen_centres_of_the_worked_example() {
        let row = [
            -0.8, -1.32, -0.25, 0.42, 1.14, 0.11, -0.55, -0.78, 0.75, 1.63, 0.27, -1.23, -0.96, 1.6, 0.2,
            -1.73, -0.08, -1.16, -0.63, -0.49,
        ];
        let book = Codebook::new(&row, 4);
        assert_eq!(book.codes, [4, 2, 7, 10, 13, 8, 5, 4, 11, 15, 9, 2, 3, 15, 9, 0, 7, 3, 5, 6]);
        near(loss(&row, &book), 0.049_679_3, 2e-6);
    }

    #[test]
    fn few_values_are_met_exactly() {
        let row = [0.5, -0.25, 0.5, 1.0, -0.25];
        let book = Codebook::new(&row, 4);
        assert_eq!(loss(&row, &book), 0.0);
        assert_eq!(book.codes, [1, 0, 1, 2, 0]);
    }

    #[test]
    fn the_nearest_is_found_among_equal_centres() {
        let centres = [0.0, 1.0, 1.0, 2.0];
        for (x, want) in [(-1.0, 0), (0.5, 0), (0.6, 1), (1.0, 1), (1.4, 1), (1.5, 1), (1.6, 3), (9.0, 3)] {
            assert_eq!(nearest(&centres, x), want, "{x}");
        }
    }
}
