//! A range's grid and error in f64: what the methods that only search for a range are written in.

/// Highest code.
pub(crate) fn levels(bits: u32) -> f64 {
    f64::from((1u32 << bits) - 1)
}

/// Squared error of `row` on the grid of `levels + 1` points from `low` to `high`; a grid without a range has step 1.
pub(crate) fn squared_error(row: &[f32], [low, high]: [f64; 2], levels: f64) -> f64 {
    let scale = if high == low { 1.0 } else { (high - low) / levels };
    row.iter()
        .map(|&x| {
            let x = f64::from(x);
            let code = ((x - low) / scale).round_ties_even().clamp(0.0, levels);
            let error = x - (code * scale + low);
            error * error
        })
        .sum()
}

/// Least and greatest value.
pub(crate) fn extremes(row: &[f32]) -> [f64; 2] {
    let [low, high] = lowbit_kernels::embedding::reference::extremes(row);
    [f64::from(low), f64::from(high)]
}

/// Normalised L2 loss: `‖x − x'‖ / ‖x‖` from the sums of squares; 0 for a row of zeros met exactly.
pub(crate) fn normalised(error: f64, norm: f64) -> f64 {
    if error == 0.0 { 0.0 } else { (error / norm).sqrt() }
}

/// What the tests of the methods share: the rows of the worked examples.
#[cfg(test)]
pub(crate) mod testing {
    use super::*;

    pub(crate) const A: [f32; 8] = [0.9, -0.6, 0.1, 0.35, -0.2, 0.75, -0.45, 0.05];

    /// The normalised loss of a range.
    pub(crate) fn loss(row: &[f32], range: [f64; 2], bits: u32) -> f64 {
        let norm = row.iter().map(|&x| f64::from(x).powi(2)).sum();
        normalised(squared_error(row, range, levels(bits)), norm)
    }

    #[track_caller]
    pub(crate) fn near(got: f64, want: f64, tolerance: f64) {
        assert!((got - want).abs() <= tolerance, "{got}, not {want}");
    }
}
