//! The plain twin, accumulated in f64.

use super::Matrix;

/// `a·b` with `a: [m, k]`, `b: [k, n]`, into `[m, n]`.
pub fn gemm([m, n, k]: [usize; 3], a: Matrix<'_>, b: Matrix<'_>) -> Vec<f32> {
    let ([a_row, a_column], [b_row, b_column]) = (a.strides(m, k), b.strides(k, n));
    let at = |matrix: Matrix<'_>, i: isize| f64::from(matrix.values[i as usize]);
    let mut c = Vec::with_capacity(m * n);
    for row in 0..m as isize {
        for column in 0..n as isize {
            let sum: f64 = (0..k as isize)
                .map(|i| at(a, row * a_row + i * a_column) * at(b, i * b_row + column * b_column))
                .sum();
            c.push(sum as f32);
        }
    }
    c
}
