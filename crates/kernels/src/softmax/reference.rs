//! The plain twin, in f64.

/// Softmax of one row.
pub fn softmax(row: &[f32]) -> Vec<f32> {
    let max = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let powers: Vec<f64> = row.iter().map(|&x| (f64::from(x) - f64::from(max)).exp()).collect();
    let sum: f64 = powers.iter().sum();
    powers.into_iter().map(|power| (power / sum) as f32).collect()
}

/// Gradient of the inputs of one row, from the inputs and the gradient of the outputs.
pub fn softmax_backward(row: &[f32], dy: &[f32]) -> Vec<f32> {
    let y = softmax(row);
    let sum: f64 = y.iter().zip(dy).map(|(&y, &dy)| f64::from(y) * f64::from(dy)).sum();
    y.iter().zip(dy).map(|(&y, &dy)| (f64::from(y) * (f64::from(dy) - sum)) as f32).collect()
}
