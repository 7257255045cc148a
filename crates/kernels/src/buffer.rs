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

/// From this many bytes on, memory is asked for in large pages.
const LARGE: usize = 4 << 20;

/// `len` zeros, for tables: where there are many, in large pages if the system has them, since rows are read in no order and
/// each small page is a miss in the processor's table of pages.
pub fn large_zeroed<T: sealed::Number + Default>(len: usize) -> Vec<T> {
    let values = vec![T::default(); len];
    #[cfg(all(target_os = "linux", not(miri)))]
    let values = {
        let mut values = values;
        if std::mem::size_of_val(values.as_slice()) >= LARGE {
            linux::advise_large_pages(bytes_of(&mut values));
        }
        values
    };
    values
}

#[cfg(all(target_os = "linux", not(miri)))]
fn bytes_of<T: sealed::Number>(values: &mut [T]) -> &mut [u8] {
    // SAFETY: numbers have no padding, and any bytes are numbers again.
    unsafe { std::slice::from_raw_parts_mut(values.as_mut_ptr().cast(), std::mem::size_of_val(values)) }
}

#[cfg(all(target_os = "linux", not(miri)))]
mod linux {
    use std::ffi::{c_int, c_void};

    /// The smallest page of any Linux this runs on divides it; where pages are larger, the advice is refused and nothing lost.
    const PAGE: usize = 4096;
    const MADV_HUGEPAGE: c_int = 14;

    unsafe extern "C" {
        fn madvise(address: *mut c_void, length: usize, advice: c_int) -> c_int;
    }

    pub(super) fn advise_large_pages(bytes: &mut [u8]) {
        let from = bytes.as_ptr().align_offset(PAGE).min(bytes.len());
        let whole = (bytes.len() - from) / PAGE * PAGE;
        // SAFETY: the pages lie within memory that is borrowed for writing, and this advice changes nothing in them. Whether it
        // is taken makes no difference to anyone.
        unsafe { madvise(bytes[from..].as_mut_ptr().cast(), whole, MADV_HUGEPAGE) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_zeros_are_zeros_that_can_be_written() {
        for len in [0, 5, LARGE / 4 + 3] {
            let mut values = large_zeroed::<f32>(len);
            assert!(values.len() == len && values.iter().all(|&x| x == 0.0));
            values.iter_mut().for_each(|x| *x = 1.0);
            assert_eq!(values.iter().sum::<f32>(), len as f32);
        }
    }

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
