//! Batch normalization with the statistics of the batch, forward and back, on channels-last rows `[rows, channels]`.
//!
//! Every result needs sums over the whole batch first, so each way is two passes: [`Moments::add`], then [`normalize`];
//! on the way back [`slopes`], then [`backward`]. The caller sees to it that a pass meets its rows while they are in
//! cache, adds up the sums of several pieces, and turns them into the few numbers per channel that the second pass takes.
//!
//! Sums run in f32 over a short block of rows, about a value near the mean, and join f64 sums from there.

mod moments;
pub mod reference;
mod slopes;
#[cfg(test)]
mod tests;

pub use moments::Moments;
pub use slopes::slopes;

use crate::Isa;
use crate::simd::{Kernel, Simd};

/// `y = clip(factor·x + shift + residual)`, the activation as bounds `[lo, hi]`, infinite where there is none.
///
/// `factor` and `shift` have one value per channel: `scale/√(variance + ε)` and `B - mean·factor`.
///
/// # Panics
/// The lengths do not fit together.
pub fn normalize(
    isa: Isa,
    x: &[f32],
    [factor, shift]: [&[f32]; 2],
    residual: Option<&[f32]>,
    bounds: [f32; 2],
    y: &mut [f32],
) {
    let channels = factor.len();
    assert!(channels > 0 && x.len().is_multiple_of(channels), "{channels} channels for {} values", x.len());
    assert_eq!([shift.len(), y.len()], [channels, x.len()], "shifts and outputs");
    assert!(residual.is_none_or(|r| r.len() == x.len()), "residual of {} values", x.len());
    let (factor, shift) = (Repeated::new(factor), Repeated::new(shift));
    isa.run(Normalize { x, factor: factor.row(), shift: shift.row(), residual, bounds, y });
}

/// `dx = by_dy·dy + by_x·x + shift`, each factor one value per channel: written, or with `accumulate` added to `dx`.
///
/// # Panics
/// The lengths do not fit together.
pub fn backward(isa: Isa, dy: &[f32], x: &[f32], factors: [&[f32]; 3], dx: &mut [f32], accumulate: bool) {
    let channels = factors[0].len();
    assert!(channels > 0 && x.len().is_multiple_of(channels), "{channels} channels for {} values", x.len());
    assert_eq!([dy.len(), dx.len()], [x.len(); 2], "gradients");
    assert_eq!([factors[1].len(), factors[2].len()], [channels; 2], "factors");
    let [by_dy, by_x, shift] = factors.map(Repeated::new);
    isa.run(Backward { dy, x, by_dy: by_dy.row(), by_x: by_x.row(), shift: shift.row(), dx, accumulate });
}

/// Values that rows of few channels are made up to: short rows would spend their time on ends.
const WIDE: usize = 128;

/// How many rows of `channels` values count as one.
fn rows_per_row(channels: usize, wide: usize) -> usize {
    (wide / channels).max(1)
}

/// One value per channel, for as many rows as are taken at once.
struct Repeated<'a> {
    values: &'a [f32],
    /// The values again and again, as long as they are few.
    row: [f32; WIDE],
    times: usize,
}

impl Repeated<'_> {
    fn new(values: &[f32]) -> Repeated<'_> {
        let (mut row, times) = ([0.0; WIDE], rows_per_row(values.len(), WIDE));
        row.chunks_exact_mut(values.len()).for_each(|to| to.copy_from_slice(values));
        Repeated { values, row, times }
    }

    fn row(&self) -> &[f32] {
        if self.times > 1 { &self.row[..self.times * self.values.len()] } else { self.values }
    }
}

struct Normalize<'a> {
    x: &'a [f32],
    factor: &'a [f32],
    shift: &'a [f32],
    residual: Option<&'a [f32]>,
    bounds: [f32; 2],
    y: &'a mut [f32],
}

impl Kernel for Normalize<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let Normalize { x, factor, shift, residual, bounds, y } = self;
        let (lo, hi) = (s.splat(bounds[0]), s.splat(bounds[1]));
        let width = factor.len();
        for (nth, (x, y)) in x.chunks(width).zip(y.chunks_mut(width)).enumerate() {
            let residual = residual.map(|r| &r[nth * width..][..x.len()]);
            for at in (0..x.len()).step_by(S::LANES) {
                let mut v = s.fma(s.read(&x[at..]), s.read(&factor[at..]), s.read(&shift[at..]));
                if let Some(residual) = residual {
                    v = s.add(v, s.read(&residual[at..]));
                }
                s.write(&mut y[at..], s.clamp(v, lo, hi));
            }
        }
    }
}

struct Backward<'a> {
    dy: &'a [f32],
    x: &'a [f32],
    by_dy: &'a [f32],
    by_x: &'a [f32],
    shift: &'a [f32],
    dx: &'a mut [f32],
    accumulate: bool,
}

impl Kernel for Backward<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let Backward { dy, x, by_dy, by_x, shift, dx, accumulate } = self;
        let width = by_dy.len();
        for ((dy, x), dx) in dy.chunks(width).zip(x.chunks(width)).zip(dx.chunks_mut(width)) {
            for at in (0..x.len()).step_by(S::LANES) {
                let constant = s.fma(s.read(&by_x[at..]), s.read(&x[at..]), s.read(&shift[at..]));
                let mut v = s.fma(s.read(&by_dy[at..]), s.read(&dy[at..]), constant);
                if accumulate {
                    v = s.add(v, s.read(&dx[at..]));
                }
                s.write(&mut dx[at..], v);
            }
        }
    }
}
