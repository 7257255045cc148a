//! Learned rounding (AdaRound, Nagel et al. 2020, arXiv 2004.10568): each weight is rounded down or up by a variable `v`
//! that gradients can move.
//!
//! `h(v) = clamp(1.2·sigmoid(v) - 0.1, 0, 1)` is added to the code below the weight:
//! `soft = scale·(clamp(floor + h(v), lo, hi) - zero_point)` with `floor = floor(w / scale) + zero_point`. A regulariser
//! `lambda·Σ (1 - |2h - 1|^beta)` drives every `h` to 0 or 1 in the end.
//!
//! Both clamps pass gradients at their ends. Variables start exactly at the ends for weights on the grid, so whether a
//! `v` is past them is decided by `v` itself (`|v| <= ln 11`), not by a rounded `h`.

pub mod reference;
#[cfg(test)]
mod tests;

use crate::simd::{Kernel, Simd};
use crate::{Isa, math};

/// `h` reaches 0 and 1 at ∓ this: ln 11.
const END: f32 = 2.397_895_3;
/// `h` before it is clamped is `STRETCH·sigmoid(v) + OFFSET`.
const STRETCH: f32 = 1.2;
const OFFSET: f32 = -0.1;

/// The grid of a weight tensor `[channels, ..]`.
#[derive(Clone, Copy, Debug)]
pub struct Grid<'a> {
    /// Real units per step; positive and finite. `[channels]`.
    pub scales: &'a [f32],
    /// The codes of real zero. `[channels]`.
    pub zero_points: &'a [i32],
    /// Smallest and largest code.
    pub codes: [i32; 2],
}

/// `lambda·Σ (1 - |2h - 1|^beta)`, a sum over weights.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Regularizer {
    /// Weight of the sum.
    pub lambda: f32,
    /// Exponent, above 1: large lets `h` move freely, 2 pushes everything to an end.
    pub beta: f32,
}

/// The variable at which `h` is `fraction` (`w/scale - floor(w/scale)`, in 0..=1): the soft weight starts as the float
/// weight. Values outside count as the ends.
pub fn initial(fraction: f32) -> f32 {
    let sigmoid = (f64::from(fraction.clamp(0.0, 1.0)) - f64::from(OFFSET)) / f64::from(STRETCH);
    ((sigmoid / (1.0 - sigmoid)).ln() as f32).clamp(-END, END)
}

/// Writes the soft weights. `floor: [channels, ..]` holds whole numbers, codes before clamping.
///
/// # Panics
/// The lengths do not fit together.
pub fn soft(isa: Isa, grid: &Grid<'_>, floor: &[f32], v: &[f32], weights: &mut [f32]) {
    assert_eq!([floor.len(), v.len()], [weights.len(); 2], "codes, variables and weights");
    for (row, lanes) in grid.rows(weights.len()) {
        let (floor, v, weights) = (&floor[lanes.clone()], &v[lanes.clone()], &mut weights[lanes]);
        isa.run(Soft { row, floor, v, weights });
    }
}

/// From `dw`, the gradient of the soft weights, writes that of the variables to `dv`, the regulariser's included, and
/// returns the regulariser's value (0 without one).
///
/// # Panics
/// The lengths do not fit together.
pub fn backward(
    isa: Isa,
    grid: &Grid<'_>,
    floor: &[f32],
    v: &[f32],
    dw: &[f32],
    regularizer: Option<Regularizer>,
    dv: &mut [f32],
) -> f64 {
    assert_eq!([floor.len(), v.len(), dw.len()], [dv.len(); 3], "codes, variables and gradients");
    let mut total = 0.0;
    for (row, lanes) in grid.rows(dv.len()) {
        let [floor, v, dw] = [floor, v, dw].map(|values| &values[lanes.clone()]);
        total += isa.run(Backward { row, floor, v, dw, regularizer, dv: &mut dv[lanes] });
    }
    regularizer.map_or(0.0, |regularizer| f64::from(regularizer.lambda) * total)
}

/// The grid of one channel.
#[derive(Clone, Copy)]
struct Row {
    scale: f32,
    zero_point: f32,
    codes: [f32; 2],
}

impl Grid<'_> {
    /// Each channel's grid and values, of `len` in all.
    fn rows(&self, len: usize) -> impl Iterator<Item = (Row, std::ops::Range<usize>)> {
        let channels = self.scales.len();
        assert!(channels > 0 && len.is_multiple_of(channels), "{channels} channels for {len} weights");
        assert_eq!(self.zero_points.len(), channels, "scales and zero points");
        let (row_len, codes) = (len / channels, self.codes.map(|code| code as f32));
        self.scales.iter().zip(self.zero_points).enumerate().map(move |(channel, (&scale, &zero_point))| {
            let row = Row { scale, zero_point: zero_point as f32, codes };
            (row, channel * row_len..(channel + 1) * row_len)
        })
    }
}

/// `h(v)`, and the sigmoid it comes from.
#[inline(always)]
fn rectified<S: Simd>(s: S, v: S::V) -> (S::V, S::V) {
    let sigmoid = math::sigmoid(s, v);
    let stretched = s.fma(sigmoid, s.splat(STRETCH), s.splat(OFFSET));
    (s.clamp(stretched, s.splat(0.0), s.splat(1.0)), sigmoid)
}

struct Soft<'a> {
    row: Row,
    floor: &'a [f32],
    v: &'a [f32],
    weights: &'a mut [f32],
}

impl Kernel for Soft<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let (scale, zero_point) = (s.splat(self.row.scale), s.splat(self.row.zero_point));
        let [lo, hi] = self.row.codes.map(|code| s.splat(code));
        let values = self.floor.chunks(S::LANES).zip(self.v.chunks(S::LANES));
        for (to, (floor, v)) in self.weights.chunks_mut(S::LANES).zip(values) {
            let floor = s.read(floor);
            let (h, _) = rectified(s, s.read(v));
            // Differences of codes are exact: only one sum is rounded.
            let up = s.clamp(h, s.sub(lo, floor), s.sub(hi, floor));
            s.write(to, s.mul(s.add(up, s.sub(floor, zero_point)), scale));
        }
    }
}

struct Backward<'a> {
    row: Row,
    floor: &'a [f32],
    v: &'a [f32],
    dw: &'a [f32],
    regularizer: Option<Regularizer>,
    dv: &'a mut [f32],
}

/// Values whose regulariser is summed in f32, per lane, before it joins the f64 sum.
const PIECE: usize = 1024;

/// The number of each lane.
const LANE: [f32; 16] =
    [0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0, 10.0, 11.0, 12.0, 13.0, 14.0, 15.0];

impl Kernel for Backward<'_> {
    /// `Σ (1 - |2h - 1|^beta)`.
    type Output = f64;

    #[inline(always)]
    fn run<S: Simd>(self, s: S) -> f64 {
        let (zero, one) = (s.splat(0.0), s.splat(1.0));
        let (scale, end, stretch) = (s.splat(self.row.scale), s.splat(END), s.splat(STRETCH));
        let [lo, hi] = self.row.codes.map(|code| s.splat(code));
        let mut total = 0.0;
        for first in (0..self.v.len()).step_by(PIECE) {
            let mut sum = zero;
            let last = (first + PIECE).min(self.v.len());
            for at in (first..last).step_by(S::LANES) {
                let (v, floor) = (s.read(&self.v[at..last]), s.read(&self.floor[at..last]));
                let (h, sigmoid) = rectified(s, v);
                let slope = s.mul(s.mul(stretch, sigmoid), s.sub(one, sigmoid));
                let slope = s.select_lt(end, s.abs(v), zero, slope);

                let dw = s.mul(s.read(&self.dw[at..last]), scale);
                let dw = s.select_lt(h, s.sub(lo, floor), zero, dw);
                let mut dh = s.select_lt(s.sub(hi, floor), h, zero, dw);
                if let Some(Regularizer { lambda, beta }) = self.regularizer {
                    // |2h - 1|^(beta - 1), which both the value and its slope are made of.
                    let side = s.sub(s.add(h, h), one);
                    let size = s.abs(side);
                    let log = math::ln(s, s.max(s.splat(f32::MIN_POSITIVE), size));
                    // Far below any rounding, and above the subnormal numbers that CPUs are slow with.
                    let power = math::exp(s, s.max(s.splat(-60.0), s.mul(s.splat(beta - 1.0), log)));
                    dh = s.fma(s.splat(-2.0 * lambda * beta), s.copysign(power, side), dh);
                    let value = s.sub(one, s.mul(power, size));
                    // Lanes past the end have v = 0, whose value is 1.
                    let count = s.splat((last - at) as f32);
                    sum = s.add(sum, s.select_lt(s.read(&LANE), count, value, zero));
                }
                s.write(&mut self.dv[at..last], s.mul(dh, slope));
            }
            let mut lanes = [0.0; 16];
            s.write(&mut lanes[..S::LANES], sum);
            total += lanes.iter().map(|&lane| f64::from(lane)).sum::<f64>();
        }
        total
    }
}
