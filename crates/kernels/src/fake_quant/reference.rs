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
