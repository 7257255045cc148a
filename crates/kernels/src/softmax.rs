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

/// From the outputs `y` turns `dy` into the gradient of the inputs, in place: `dx = y·(dy - Σ y·dy)` for each row of
/// `columns` values.
///
/// # Panics
/// `columns` is zero or does not divide the length, or the lengths differ.
pub fn softmax_backward(isa: Isa, columns: usize, y: &[f32], dy: &mut [f32]) {
    assert!(columns > 0 && y.len().is_multiple_of(columns), "rows of {columns} in {} values", y.len());
    assert_eq!(y.len(), dy.len(), "lengths of output and gradient");
    isa.run(Backward { columns, y, dy });
}

struct Backward<'a> {
    columns: usize,
    y: &'a [f32],
    dy: &'a mut [f32],
}

impl Kernel for Backward<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        for (y, dy) in self.y.chunks_exact(self.columns).zip(self.dy.chunks_exact_mut(self.columns)) {
            let mut products = s.splat(0.0);
            for (y, dy) in y.chunks(S::LANES).zip(dy.chunks(S::LANES)) {
                products = s.fma(s.read(y), s.read(dy), products);
            }
            let mut lanes = [0.0; 16];
            s.write(&mut lanes[..S::LANES], products);
            let sum = s.splat(lanes.iter().sum());
            for (y, dy) in y.chunks(S::LANES).zip(dy.chunks_mut(S::LANES)) {
                s.write(dy, s.mul(s.read(y), s.sub(s.read(dy), sum)));
            }
        }
    }
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

    #[test]
    fn gradients_agree_with_the_reference_and_it_with_differences() {
        for (isa, columns) in Isa::supported().flat_map(|isa| [1, 2, 10, 16, 37].map(|n| (isa, n))) {
            let (x, dy) = (noise(3 * columns, 9), noise(3 * columns, 4));
            let mut y = x.clone();
            softmax_in_place(isa, columns, &mut y);
            let mut dx = dy.clone();
            softmax_backward(isa, columns, &y, &mut dx);
            for (row, dx) in dx.chunks(columns).enumerate() {
                let (x, dy) = (&x[row * columns..][..columns], &dy[row * columns..][..columns]);
                let want = reference::softmax_backward(x, dy);
                assert_close(dx, &want, |_| 1e-6, (isa, columns));
                let loss = |at: usize, step: f32| -> f64 {
                    let mut x = x.to_vec();
                    x[at] += step;
                    let y = reference::softmax(&x);
                    y.iter().zip(dy).map(|(&y, &dy)| f64::from(y) * f64::from(dy)).sum()
                };
                let difference = |at| ((loss(at, 1e-2) - loss(at, -1e-2)) / 2e-2) as f32;
                let differences: Vec<f32> = (0..columns).map(difference).collect();
                assert_close(&want, &differences, |_| 5e-5, (isa, columns));
            }
        }
    }
}
