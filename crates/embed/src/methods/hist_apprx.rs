//! HIST-APPRX: the outermost bins of a row's histogram are given up, the side that gives most bins first, until the expected
//! error rises.

use super::histogram::{BINS, Histogram};
use super::{Entry, Kind, Method};
use crate::numbers::extremes;

pub(super) const ENTRY: Entry = Entry {
    method: Method::HistApprx,
    name: "hist-apprx",
    summary: "outer bins of a histogram given up one by one: for comparison",
    kind: Kind::Range(range),
};

/// How much further into the distribution each look goes.
const STEP: f64 = 1e-5;

fn range(row: &[f32], bits: u32) -> [f64; 2] {
    let whole = extremes(row);
    let Some(histogram) = Histogram::new(row, whole) else { return whole };
    let total: f64 = histogram.counts.iter().sum();
    let cumulative: Vec<f64> = histogram
        .counts
        .iter()
        .scan(0.0, |sum, &count| {
            *sum += count;
            Some(*sum)
        })
        .collect();
    let (mut alpha, mut beta) = (0.0, 1.0);
    let (mut first, mut last) = (0, BINS - 1);
    let mut least = f64::INFINITY;
    while alpha < beta {
        let (next_alpha, next_beta) = (alpha + STEP, beta - STEP);
        let mut left = first;
        while left < last && cumulative[left] < next_alpha * total {
            left += 1;
        }
        let mut right = last;
        while right > first && cumulative[right] > next_beta * total {
            right -= 1;
        }
        let (mut next_first, mut next_last) = (first, last);
        if left - first > last - right {
            next_first = left;
            alpha = next_alpha;
        } else {
            next_last = right;
            beta = next_beta;
        }
        if (next_first, next_last) == (first, last) {
            continue;
        }
        let error = histogram.error(next_first, next_last - next_first + 1, 1 << bits);
        if error > least {
            break;
        }
        least = error;
        (first, last) = (next_first, next_last);
    }
    histogram.range(first, last - first + 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::numbers::testing::{A, loss, near};

    #[test]
    fn the_worked_example() {
        let range = range(&A, 4);
        near(range[0], -0.6, 1e-6);
        near(range[1], 0.8925, 1e-6);
        near(loss(&A, range, 4), 0.063_506_3, 1e-6);
    }
}
