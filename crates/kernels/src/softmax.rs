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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{assert_close, noise};

    #[test]
    fn rows_agree_with_the_reference_and_huge_values_do_not_overflow() {
        for (isa, columns) in Isa::supported().flat_map(|isa| [1, 2, 10, 16, 37].map(|n| (isa, n))) {
            for scale in [1.0, 30.0, 1e30] {
                let x: Vec<f32> = noise(3 * columns, 9).iter().map(|x| x * scale).collect();
                let mut y = x.clone();
                softmax_in_place(isa, columns, &mut y);
                let want: Vec<f32> = x.chunks(columns).flat_map(reference::softmax).collect();
                assert_close(&y, &want, |i| 4e-6 * want[i] + 1e-38, (isa, columns, scale));
            }
        }
    }
}
