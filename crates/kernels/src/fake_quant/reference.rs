//! The plain twin, with codes as integers.

use super::FakeQuant;

/// The code of `x`.
pub fn encode(quant: &FakeQuant, x: f32) -> i32 {
    // `as` saturates and sends NaN to 0, both wanted here.
    let steps = (x / quant.scale).round_ties_even() as i32;
    steps.saturating_add(quant.zero_point).clamp(quant.lo, quant.hi)
}

/// The value of the code of `x`.
pub fn fake_quant(quant: &FakeQuant, x: f32) -> f32 {
    (encode(quant, x) - quant.zero_point) as f32 * quant.scale
}

/// Straight-through derivatives of the value of `x`: `[by x, by scale]`. The scale's before a factor `dy`, in steps.
pub fn derivatives(quant: &FakeQuant, x: f32) -> [f64; 2] {
    // f32, so that ties fall as in the value.
    let steps = x / quant.scale;
    let code = f64::from(steps.round_ties_even()) + f64::from(quant.zero_point);
    let [lo, hi, zero_point] = [quant.lo, quant.hi, quant.zero_point].map(f64::from);
    if code < lo {
        [0.0, lo - zero_point]
    } else if code > hi {
        [0.0, hi - zero_point]
    } else {
        [1.0, code - zero_point - f64::from(steps)]
    }
}
