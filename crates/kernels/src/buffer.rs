//! A vector of f32 whose storage starts on a cache line.
//!
//! A 64-byte vector that straddles two lines costs two accesses, so weights are packed into these, and callers
//! do well to keep activations in them.

use std::ops::{Deref, DerefMut};

const LINE: usize = 16;

#[derive(Clone, Copy, Debug)]
#[repr(C, align(64))]
struct Line([f32; LINE]);

/// A fixed number of f32 values, the first aligned to 64 bytes.
#[derive(Clone, Debug, Default)]
pub struct AlignedVec {
    lines: Vec<Line>,
    len: usize,
}

impl AlignedVec {
    /// `len` zeros.
    pub fn zeroed(len: usize) -> AlignedVec {
        AlignedVec { lines: vec![Line([0.0; LINE]); len.div_ceil(LINE)], len }
    }
}

impl From<&[f32]> for AlignedVec {
    fn from(values: &[f32]) -> AlignedVec {
        let mut aligned = AlignedVec::zeroed(values.len());
        aligned.copy_from_slice(values);
        aligned
    }
}

impl Deref for AlignedVec {
    type Target = [f32];
    fn deref(&self) -> &[f32] {
        // SAFETY: the lines hold at least `len` values, contiguous because `Line` is an array without padding
        // (64 bytes of f32 at 64-byte alignment).
        unsafe { std::slice::from_raw_parts(self.lines.as_ptr().cast(), self.len) }
    }
}

impl DerefMut for AlignedVec {
    fn deref_mut(&mut self) -> &mut [f32] {
        // SAFETY: as in `deref`, and `self` is borrowed mutably.
        unsafe { std::slice::from_raw_parts_mut(self.lines.as_mut_ptr().cast(), self.len) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn storage_starts_on_a_cache_line_and_holds_the_values() {
        let values: Vec<f32> = (0..37).map(|i| i as f32).collect();
        let aligned = AlignedVec::from(values.as_slice());
        assert_eq!(aligned.as_ptr().align_offset(64), 0);
        assert_eq!(&aligned[..], &values[..]);
    }
}
