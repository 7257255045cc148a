//! Gradients of fake quantization by the straight-through rule: rounding passes gradients on as they are, clamping
//! stops them.
//!
//! With `code = round(x / scale) + zero_point` before it is clamped, a value is *inside* if `lo <= code <= hi`, both
//! ends included. Inside, `dx = dy` and the scale receives `dy·(round(x / scale) - x / scale)`; outside, `dx = 0`
//! and the scale receives `dy·(lo - zero_point)` below and `dy·(hi - zero_point)` above. No further factor (LSQ's
//! gradient scale) is applied. A NaN makes the gradient of the scale NaN.

use super::FakeQuant;
use crate::Isa;
use crate::simd::{Kernel, Simd};

/// From the inputs `x` and the gradient of the outputs `dy`: writes the gradient of the inputs to `dx`, or with
/// `accumulate` adds it, and returns the gradient of the scale.
///
/// # Panics
/// The lengths differ.
pub fn backward(isa: Isa, quant: &FakeQuant, x: &[f32], dy: &[f32], dx: &mut [f32], accumulate: bool) -> f64 {
    assert_eq!([x.len(), dy.len()], [dx.len(); 2], "lengths of input and gradients");
    isa.run(Backward::<false> { quant, x, dy: Some(dy), dx, accumulate })
}

/// As [`backward`], turning `dy` into the gradient of the inputs in place.
///
/// # Panics
/// The lengths differ.
pub fn backward_in_place(isa: Isa, quant: &FakeQuant, x: &[f32], dy: &mut [f32]) -> f64 {
    assert_eq!(x.len(), dy.len(), "lengths of input and gradient");
    isa.run(Backward::<false> { quant, x, dy: None, dx: dy, accumulate: false })
}

/// As [`backward_in_place`] by the rule of learned step sizes (LSQ): a value is inside if `x / scale` lies strictly between
/// the ends, before it is rounded.
///
/// # Panics
/// The lengths differ.
pub fn clipped_backward_in_place(isa: Isa, quant: &FakeQuant, x: &[f32], dy: &mut [f32]) -> f64 {
    assert_eq!(x.len(), dy.len(), "lengths of input and gradient");
    isa.run(Backward::<true> { quant, x, dy: None, dx: dy, accumulate: false })
}

/// As [`backward_in_place`] for weights `x: [channels, ..]` with a scale and a zero point per channel and one range
/// of codes `[lo, hi]`; the gradients of the scales are written to `d_scales: [channels]`.
///
/// # Panics
/// `scales` is empty, differs in length from `zero_points` or `d_scales`, or does not divide the length of `x`, or
/// `x` and `dy` differ in length.
pub fn backward_rows_in_place(
    isa: Isa,
    scales: &[f32],
    zero_points: &[i32],
    [lo, hi]: [i32; 2],
    x: &[f32],
    dy: &mut [f32],
    d_scales: &mut [f32],
) {
    assert!(!scales.is_empty() && x.len().is_multiple_of(scales.len()), "{} channels", scales.len());
    assert_eq!([zero_points.len(), d_scales.len()], [scales.len(); 2], "scales, zero points and gradients");
    assert_eq!(x.len(), dy.len(), "lengths of input and gradient");
    let row_len = x.len() / scales.len();
    for (channel, d_scale) in d_scales.iter_mut().enumerate() {
        let quant = FakeQuant { scale: scales[channel], zero_point: zero_points[channel], lo, hi };
        let row = channel * row_len..(channel + 1) * row_len;
        *d_scale = backward_in_place(isa, &quant, &x[row.clone()], &mut dy[row]) as f32;
    }
}

/// `CLIPPED`: whether values are told inside before they are rounded.
struct Backward<'a, const CLIPPED: bool> {
    quant: &'a FakeQuant,
    x: &'a [f32],
    /// None: it is in `dx`.
    dy: Option<&'a [f32]>,
    dx: &'a mut [f32],
    accumulate: bool,
}

/// Values whose gradient is summed in f32, per lane, before it joins the f64 sum.
const PIECE: usize = 1024;

impl<const CLIPPED: bool> Kernel for Backward<'_, CLIPPED> {
    type Output = f64;

    #[inline(always)]
    fn run<S: Simd>(self, s: S) -> f64 {
        let scale = s.splat(self.quant.scale);
        let ends = self.quant.steps();
        let ends = [s.splat(ends[0]), s.splat(ends[1])];
        let mut total = 0.0;
        for first in (0..self.x.len()).step_by(PIECE) {
            let mut sum = s.splat(0.0);
            let end = (first + PIECE).min(self.x.len());
            for at in (first..end).step_by(S::LANES) {
                let to = &mut self.dx[at..end];
                let dy = s.read(self.dy.map_or(&*to, |dy| &dy[at..end]));
                let (passed, term) =
                    straight_through::<S, CLIPPED>(s, s.read(&self.x[at..end]), dy, scale, ends);
                sum = s.add(sum, term);
                let passed = if self.accumulate { s.add(s.read(to), passed) } else { passed };
                s.write(to, passed);
            }
            let mut lanes = [0.0; 16];
            s.write(&mut lanes[..S::LANES], sum);
            total += lanes.iter().map(|&lane| f64::from(lane)).sum::<f64>();
        }
        total
    }
}

/// The gradient of the input, and the term of the gradient of the scale. Lanes past the end, all zero, give 0 as
/// their `dy` is 0.
#[inline(always)]
fn straight_through<S: Simd, const CLIPPED: bool>(
    s: S,
    x: S::V,
    dy: S::V,
    scale: S::V,
    [lo, hi]: [S::V; 2],
) -> (S::V, S::V) {
    let zero = s.splat(0.0);
    let steps = s.div(x, scale);
    let code = s.round(steps);
    if CLIPPED {
        let inside =
            |yes: S::V, low: S::V, high: S::V| s.select_lt(lo, steps, s.select_lt(steps, hi, yes, high), low);
        let passed = inside(dy, zero, zero);
        return (passed, s.mul(dy, inside(s.sub(code, steps), lo, hi)));
    }
    let passed = s.select_lt(code, lo, zero, s.select_lt(hi, code, zero, dy));
    let slope = s.select_lt(code, lo, lo, s.select_lt(hi, code, hi, s.sub(code, steps)));
    (passed, s.mul(dy, slope))
}
