//! ACIQ: the clip that is best for a Laplace or a Gaussian row of this spread (Banner et al. 2019, arXiv:1810.05723).
//!
//! Of the two the one with the smaller error on the row is taken. On rows of a few dozen values it seldom clips at all.

use super::{Entry, Kind, Method};
use crate::numbers::{extremes, levels, squared_error};

pub(super) const ENTRY: Entry = Entry {
    method: Method::Aciq,
    name: "aciq",
    summary: "analytic clip of a Laplace or Gaussian row: for comparison",
    kind: Kind::Range(range),
};

/// Best clips for 2, 4 and 8 bits: of a Laplace row in mean absolute deviations, of a Gaussian one in standard deviations.
fn clips(bits: u32) -> [f64; 2] {
    match bits {
        2 => [2.83, 1.71],
        4 => [5.03, 2.55],
        _ => [9.89, 3.92],
    }
}

/// `[max(min, mean − clip), min(max, mean + clip)]`.
fn range(row: &[f32], bits: u32) -> [f64; 2] {
    let [low, high] = extremes(row);
    let n = row.len() as f64;
    let values = || row.iter().map(|&x| f64::from(x));
    let mean = values().sum::<f64>() / n;
    let absolute = values().map(|x| (x - mean).abs()).sum::<f64>() / n;
    let deviation = (values().map(|x| (x - mean).powi(2)).sum::<f64>() / n).sqrt();
    let [laplace, gauss] = clips(bits);
    let candidates =
        [laplace * absolute, gauss * deviation].map(|clip| [(mean - clip).max(low), (mean + clip).min(high)]);
    let [a, b] = candidates.map(|range| squared_error(row, range, levels(bits)));
    candidates[usize::from(b < a)]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::numbers::testing::{A, loss, near};

    #[test]
    fn the_worked_example_is_not_clipped() {
        near(loss(&A, range(&A, 4), 4), 0.068_842_8, 1e-6);
    }

    #[test]
    fn far_values_are_clipped() {
        let mut row = [0.1f32, -0.1].repeat(64);
        row[0] = 5.0;
        assert!(range(&row, 4)[1] < 5.0);
    }
}
