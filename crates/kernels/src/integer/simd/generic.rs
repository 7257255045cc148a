//! Plain Rust: the meaning of every operation, for CPUs without a hand-picked instruction set.

use std::array;

use super::{IntKernel, IntSimd};
use crate::simd::{Generic, Simd};

/// Any CPU; the compiler vectorises what it can.
#[derive(Clone, Copy)]
pub(crate) struct GenericInt;

const LANES: usize = <Generic as Simd>::LANES;

impl IntSimd for GenericInt {
    type Float = Generic;
    type I = [i32; LANES];
    type X = [u8; 4];
    type W = [[i8; 4]; LANES];
    const PIXELS: [usize; 4] = [4, 2, 0, 0];

    fn call<K: IntKernel>(self, kernel: K) -> K::Output {
        kernel.run(self)
    }
    #[inline(always)]
    fn float(self) -> Generic {
        Generic
    }

    #[inline(always)]
    fn splat(self, x: i32) -> Self::I {
        [x; LANES]
    }
    #[inline(always)]
    fn add(self, a: Self::I, b: Self::I) -> Self::I {
        array::from_fn(|l| a[l].wrapping_add(b[l]))
    }
    #[inline(always)]
    fn dot(self, sums: Self::I, x: Self::X, w: Self::W) -> Self::I {
        array::from_fn(|l| {
            x.iter().zip(w[l]).fold(sums[l], |sum, (&x, w)| sum.wrapping_add(i32::from(x) * i32::from(w)))
        })
    }
    #[inline(always)]
    fn to_f32(self, a: Self::I) -> [f32; LANES] {
        a.map(|a| a as f32)
    }
    #[inline(always)]
    fn to_i32(self, a: [f32; LANES]) -> Self::I {
        Generic.round(a).map(|a| a as i32)
    }
    #[inline(always)]
    fn lookup(self, table: &[u8], index: Self::I) -> Self::I {
        index.map(|i| table[i as usize].into())
    }

    #[inline(always)]
    unsafe fn codes(self, at: *const u8) -> Self::X {
        // SAFETY: the caller gives 4 readable bytes.
        unsafe { at.cast::<[u8; 4]>().read() }
    }
    #[inline(always)]
    unsafe fn weights(self, at: *const u8) -> Self::W {
        // SAFETY: the caller gives `4 · LANES` readable bytes; arrays of bytes need no alignment.
        unsafe { at.cast::<Self::W>().read() }
    }
    #[inline(always)]
    unsafe fn unpack<const N: usize>(self, at: *const u8) -> [Self::W; N] {
        // SAFETY: the caller gives `4 · LANES` readable bytes; arrays of bytes need no alignment.
        let packed = unsafe { at.cast::<[[u8; 4]; LANES]>().read() };
        let bits = 8 / N;
        let part =
            |n: usize| packed.map(|four| four.map(|byte| (byte >> (n * bits) & ((1 << bits) - 1)) as i8));
        std::array::from_fn(part)
    }
    #[inline(always)]
    unsafe fn load(self, at: *const i32) -> Self::I {
        // SAFETY: the caller gives `LANES` readable values.
        unsafe { at.cast::<Self::I>().read_unaligned() }
    }
    #[inline(always)]
    unsafe fn store(self, at: *mut i32, v: Self::I) {
        // SAFETY: the caller gives room for `LANES` values.
        unsafe { at.cast::<Self::I>().write_unaligned(v) }
    }
    #[inline(always)]
    unsafe fn load_bytes(self, at: *const u8, n: usize) -> Self::I {
        // SAFETY: the caller gives `n` readable bytes, and only those are read.
        array::from_fn(|l| if l < n { unsafe { at.add(l).read() }.into() } else { 0 })
    }
    #[inline(always)]
    unsafe fn store_bytes(self, at: *mut u8, v: Self::I, n: usize) {
        for (l, x) in v.into_iter().enumerate().take(n) {
            // SAFETY: the caller gives room for `n` bytes, and `l < n`.
            unsafe { at.add(l).write(x as u8) }
        }
    }
}
