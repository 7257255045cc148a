//! A vector whose storage starts on a cache line.
//!
//! A 64-byte vector that straddles two lines costs two accesses, so weights are packed into these, and callers
//! do well to keep activations in them.

use std::ops::{Deref, DerefMut};

/// Bytes of a cache line.
const LINE: usize = 64;

#[derive(Clone, Copy, Debug)]
#[repr(C, align(64))]
struct Line([u8; LINE]);

/// f32 values, the first aligned to 64 bytes.
pub type AlignedVec = Aligned<f32>;
/// Bytes, the first aligned to 64 bytes: codes, packed weights, scratch.
pub type AlignedBytes = Aligned<u8>;

mod sealed {
    /// Numbers without padding, for which every pattern of bits, all zeros too, is a value.
    ///
    /// # Safety
    /// That is so, and they need no more than 64 bytes of alignment.
    pub unsafe trait Number: Copy {}
    // SAFETY: plain numbers.
    unsafe impl Number for f32 {}
    // SAFETY: plain numbers.
    unsafe impl Number for u8 {}
    // SAFETY: plain numbers.
    unsafe impl Number for i32 {}
}

/// A fixed number of values, the first aligned to 64 bytes.
#[derive(Clone, Debug)]
pub struct Aligned<T> {
    lines: Vec<Line>,
    len: usize,
    of: std::marker::PhantomData<T>,
}

impl<T: sealed::Number> Aligned<T> {
    /// `len` zeros.
    pub fn zeroed(len: usize) -> Aligned<T> {
        let lines = vec![Line([0; LINE]); (len * size_of::<T>()).div_ceil(LINE)];
        Aligned { lines, len, of: std::marker::PhantomData }
    }
}

impl<T: sealed::Number> Default for Aligned<T> {
    fn default() -> Aligned<T> {
        Aligned::zeroed(0)
    }
}

impl<T: sealed::Number> From<&[T]> for Aligned<T> {
    fn from(values: &[T]) -> Aligned<T> {
        let mut aligned = Aligned::zeroed(values.len());
        aligned.copy_from_slice(values);
        aligned
    }
}

impl<T: sealed::Number> Deref for Aligned<T> {
    type Target = [T];
    fn deref(&self) -> &[T] {
        // SAFETY: the lines hold at least `len` values, initialised and contiguous because `Line` is an array of
        // bytes without padding; its alignment is enough for any `Number`, and so is every pattern of bits.
        unsafe { std::slice::from_raw_parts(self.lines.as_ptr().cast(), self.len) }
    }
}

impl<T: sealed::Number> DerefMut for Aligned<T> {
    fn deref_mut(&mut self) -> &mut [T] {
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
        let bytes = AlignedBytes::from(&[1, 2, 3][..]);
        assert_eq!((bytes.as_ptr().align_offset(64), &bytes[..]), (0, &[1, 2, 3][..]));
    }
}
