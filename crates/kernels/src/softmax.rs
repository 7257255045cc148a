//! Softmax over the last axis.

pub mod reference;

use crate::simd::{Kernel, Simd};
use crate::{Isa, math};

/// `y = e^(y - max) / Σ e^(y - max)` for each row of `columns` values, in place.
///
/// # Panics
/// `columns` is zero or does not divide the length.
pub fn softmax_in_place(isa: Isa, columns: usize, y: &mut [f32]) {
    assert!(columns > 0 && y.len().is_multiple_of(columns), "rows of {columns} in {} values", y.len());
    isa.run(SoftmaxKernel(columns, y));
}

struct SoftmaxKernel<'a>(usize, &'a mut [f32]);

impl Kernel for SoftmaxKernel<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        for row in self.1.chunks_exact_mut(self.0) {
            let mut max = f32::NEG_INFINITY;
            for &x in row.iter() {
                // A NaN stays, and makes the whole row NaN.
                max = if x > max || x.is_nan() { x } else { max };
            }
            let shift = s.splat(max);
            for at in row.chunks_mut(S::LANES) {
                s.write(at, math::exp(s, s.sub(s.read(at), shift)));
            }
            let sum: f32 = row.iter().sum();
            let sum = s.splat(sum);
            for at in row.chunks_mut(S::LANES) {
                s.write(at, s.div(s.read(at), sum));
            }
        }
    }
}
