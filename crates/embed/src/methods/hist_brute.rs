//! HIST-BRUTE: of all runs of bins of a row's histogram the one with the smallest expected error. Cubic in the bins.

use super::histogram::{BINS, Histogram};
use super::{Entry, Kind, Method};
use crate::numbers::extremes;

pub(super) const ENTRY: Entry = Entry {
    method: Method::HistBrute,
    name: "hist-brute",
    summary: "all sub-ranges of a histogram: for comparison, very slow",
    kind: Kind::Range(range),
};

fn range(row: &[f32], bits: u32) -> [f64; 2] {
    let whole = extremes(row);
    let Some(histogram) = Histogram::new(row, whole) else { return whole };
    let mut best = (f64::INFINITY, 0, BINS);
    for bins in 1..=BINS {
        for start in 0..=BINS - bins {
            let error = histogram.error(start, bins, 1 << bits);
            if error < best.0 {
                best = (error, start, bins);
            }
        }
    }
    histogram.range(best.1, best.2)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::numbers::testing::{A, loss, near};

    #[test]
    fn the_worked_example() {
        let range = range(&A, 4);
        near(range[0], -0.6, 1e-6);
        near(range[1], 0.8625, 1e-6);
        near(loss(&A, range, 4), 0.052_174_3, 1e-6);
    }
}
