//! The plain twins, one weight at a time, in f64.

use super::{END, Regularizer};

/// `h(v)` and its derivative, which is not zero at the ends.
pub fn rectified(v: f32) -> [f64; 2] {
    let sigmoid = 1.0 / (1.0 + (-f64::from(v)).exp());
    let slope = if v.abs() <= END { 1.2 * sigmoid * (1.0 - sigmoid) } else { 0.0 };
    [(1.2 * sigmoid - 0.1).clamp(0.0, 1.0), slope]
}

/// The soft weight and its derivative by `v`, for a weight above the code `floor`.
pub fn soft(scale: f32, zero_point: i32, [lo, hi]: [i32; 2], floor: f32, v: f32) -> [f64; 2] {
    let [h, slope] = rectified(v);
    let [lo, hi, zero_point] = [lo, hi, zero_point].map(f64::from);
    let code = f64::from(floor) + h;
    let inside = f64::from(lo <= code && code <= hi);
    [f64::from(scale) * (code.clamp(lo, hi) - zero_point), f64::from(scale) * slope * inside]
}

/// One weight's part of the regulariser, and its derivative by `v`.
pub fn regularizer(Regularizer { lambda, beta }: Regularizer, v: f32) -> [f64; 2] {
    let [h, slope] = rectified(v);
    let [lambda, beta] = [lambda, beta].map(f64::from);
    let side = 2.0 * h - 1.0;
    let dh = -2.0 * beta * side.abs().powf(beta - 1.0) * side.signum();
    [lambda * (1.0 - side.abs().powf(beta)), lambda * dh * slope]
}
