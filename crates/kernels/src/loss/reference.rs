//! The plain twin, in f64.

/// The sum, and its gradient times `factor`.
pub fn power_error(
    power: f32,
    factor: f32,
    y: &[f32],
    target: &[f32],
    importance: Option<&[f32]>,
) -> (f64, Vec<f32>) {
    let mut sum = 0.0;
    let mut gradient = Vec::with_capacity(y.len());
    for (i, (&y, &target)) in y.iter().zip(target).enumerate() {
        let weight = importance.map_or(1.0, |w| f64::from(w[i]));
        let (difference, power) = (f64::from(y) - f64::from(target), f64::from(power));
        sum += weight * difference.abs().powf(power);
        let slope = weight * power * difference.abs().powf(power - 1.0) * difference.signum();
        gradient.push((f64::from(factor) * slope) as f32);
    }
    (sum, gradient)
}
