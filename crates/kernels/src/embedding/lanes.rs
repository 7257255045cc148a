//! Rows side by side: one row per lane.

use crate::simd::Simd;

/// Most lanes that any instruction set has.
pub(super) const MOST: usize = 16;

/// Writes the rows of `x: [rows, columns]`, at most as many as there are lanes, to `scratch: [columns, lanes]`; further
/// lanes repeat the last row.
#[inline(always)]
pub(super) fn transpose<S: Simd>(_: S, x: &[f32], columns: usize, scratch: &mut [f32]) {
    let last = x.len() / columns - 1;
    for lane in 0..S::LANES {
        let row = &x[lane.min(last) * columns..][..columns];
        for (to, &value) in scratch.chunks_exact_mut(S::LANES).zip(row) {
            to[lane] = value;
        }
    }
}

/// Least and greatest of each lane of `block: [columns, lanes]`; of equal ones (zeros of both signs) the first.
#[inline(always)]
pub(super) fn extremes<S: Simd>(s: S, block: &[f32]) -> [S::V; 2] {
    let first = s.read(block);
    block.chunks_exact(S::LANES).fold([first; 2], |[lo, hi], x| {
        let x = s.read(x);
        [s.min(x, lo), s.max(x, hi)]
    })
}
