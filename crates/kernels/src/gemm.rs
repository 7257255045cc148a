//! General matrix products, by `gemm-f32`, on the calling thread.
//!
//! It chooses its instruction set itself and may order a sum by the size of the whole product. Where rows
//! are images, use [`PackedLinear`](crate::PackedLinear), whose rows do not depend on each other.

pub mod reference;

/// A matrix in row-major storage, or the transpose of one.
#[derive(Clone, Copy, Debug)]
pub struct Matrix<'a> {
    /// The stored values.
    pub values: &'a [f32],
    /// Whether `values` holds the transpose: `[columns, rows]` instead of `[rows, columns]`.
    pub transposed: bool,
}

impl<'a> Matrix<'a> {
    /// `values` row by row.
    pub fn new(values: &'a [f32]) -> Matrix<'a> {
        Matrix { values, transposed: false }
    }

    /// The transpose of `values`, itself stored row by row.
    pub fn transposed(values: &'a [f32]) -> Matrix<'a> {
        Matrix { values, transposed: true }
    }

    /// `[row stride, column stride]` of a `rows × columns` matrix.
    fn strides(self, rows: usize, columns: usize) -> [isize; 2] {
        if self.transposed { [1, rows as isize] } else { [columns as isize, 1] }
    }
}

/// `c = beta·c + alpha·a·b` with `a: [m, k]`, `b: [k, n]`, `c: [m, n]` row-major. With `beta` 0, `c` is not read.
///
/// # Panics
/// A matrix does not have `m·k`, `k·n` or `m·n` values.
pub fn gemm([m, n, k]: [usize; 3], alpha: f32, a: Matrix<'_>, b: Matrix<'_>, beta: f32, c: &mut [f32]) {
    assert_eq!(
        [a.values.len(), b.values.len(), c.len()],
        [m * k, k * n, m * n],
        "a product of {m}×{k} and {k}×{n}"
    );
    let [a_row, a_column] = a.strides(m, k);
    let [b_row, b_column] = b.strides(k, n);
    // The library's kernels are made for column-major products, and a row-major one is the transposed product of the
    // operands in turn: cᵀ = bᵀ·aᵀ. One column is both.
    let ([m, n], [c_row, c_column], (a, [a_row, a_column]), (b, [b_row, b_column])) = if n > 1 {
        ([n, m], [1, n as isize], (b.values, [b_column, b_row]), (a.values, [a_column, a_row]))
    } else {
        ([m, n], [n as isize, 1], (a.values, [a_row, a_column]), (b.values, [b_row, b_column]))
    };
    // SAFETY: with these strides every index below m, n, k stays inside slices of the lengths asserted above, and
    // `c` is borrowed mutably, so it overlaps neither operand.
    unsafe {
        gemm_f32::gemm::f32::get_gemm_fn()(
            m,
            n,
            k,
            c.as_mut_ptr(),
            c_column,
            c_row,
            beta != 0.0,
            a.as_ptr(),
            a_column,
            a_row,
            b.as_ptr(),
            b_column,
            b_row,
            beta,
            alpha,
            false,
            false,
            false,
            gemm_common::Parallelism::None,
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{assert_close, noise};

    #[test]
    fn products_agree_with_the_reference_for_every_transposition() {
        for [m, n, k] in [[1, 1, 1], [3, 17, 5], [33, 2, 64], [4, 4, 0]] {
            let (a, b) = (noise(m * k, 1), noise(k * n, 2));
            for (ta, tb) in [(false, false), (false, true), (true, false), (true, true)] {
                let a = Matrix { values: &a, transposed: ta };
                let b = Matrix { values: &b, transposed: tb };
                let want = reference::gemm([m, n, k], a, b);
                let mut c = vec![f32::NAN; m * n];
                gemm([m, n, k], 1.0, a, b, 0.0, &mut c);
                assert_close(&c, &want, |_| 1e-5, [m, n, k]);
                gemm([m, n, k], 2.0, a, b, -1.0, &mut c);
                assert_close(&c, &want, |_| 1e-5, [m, n, k]);
            }
        }
    }
}
