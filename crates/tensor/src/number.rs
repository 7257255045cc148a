//! Number semantics, defined once: round half to even, divide by the scale, saturate.

/// Real to code, saturating: `round_half_even(x / scale) + zero_point`, clamped to `[lo, hi]`.
///
/// Divides: a reciprocal gives another code near some ties (`4.5 / 0.6`), and ONNX divides. NaN becomes
/// `zero_point` (clamped), infinities the ends. `scale` is positive and finite, in real units per step.
#[inline]
pub fn encode(x: f32, scale: f32, zero_point: i32, [lo, hi]: [i32; 2]) -> i32 {
    let steps = (x / scale).round_ties_even() as i32; // `as` saturates and sends NaN to 0, both wanted here
    steps.saturating_add(zero_point).clamp(lo, hi)
}

/// Code to real: `(code - zero_point) · scale`, in real units.
#[inline]
pub fn decode(code: i32, scale: f32, zero_point: i32) -> f32 {
    (code - zero_point) as f32 * scale
}

/// Smallest and largest code of `bits` (1..=16): two's complement if `signed`, else from zero.
pub fn code_range(bits: u8, signed: bool) -> [i32; 2] {
    if signed { [-(1 << (bits - 1)), (1 << (bits - 1)) - 1] } else { [0, (1 << bits) - 1] }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ties_go_to_even_codes() {
        let codes = [0.5, 1.5, 2.5, -0.5, -1.5].map(|x| encode(x, 1.0, 0, [-8, 7]));
        assert_eq!(codes, [0, 2, 2, 0, -2]);
    }

    #[test]
    fn the_scale_divides() {
        // 4.5 / 0.6 rounds to exactly 7.5 in f32 and ties to 8; 4.5 * (1 / 0.6) is just below or above.
        assert_eq!(encode(4.5, 0.6, 0, [0, 15]), ((4.5f32 / 0.6).round_ties_even()) as i32);
    }

    #[test]
    fn nothing_escapes_the_range() {
        for (x, code) in [(f32::INFINITY, 7), (f32::NEG_INFINITY, -8), (f32::NAN, 1), (3e38, 7)] {
            assert_eq!(encode(x, 1e-6, 1, [-8, 7]), code, "{x}");
        }
    }

    #[test]
    fn real_zero_is_a_code() {
        assert_eq!(decode(encode(0.0, 0.37, 3, [0, 15]), 0.37, 3), 0.0);
    }

    #[test]
    fn ranges_are_twos_complement_or_from_zero() {
        assert_eq!(
            [code_range(4, true), code_range(4, false), code_range(1, true)],
            [[-8, 7], [0, 15], [-1, 0]]
        );
    }
}
