//! Plain arrays, for every CPU: what the others must equal. Compilers turn most of it into vectors of their own.

use std::array;
use std::hint;

use super::{ByteKernel, ByteSimd};

/// `N` lanes of 32 bits. Lane `l` of vector `v` is byte `v` of four bytes `l`.
#[derive(Clone, Copy)]
pub(crate) struct Generic<const N: usize>;

#[inline(always)]
fn zip<T: Copy, U: Copy, R, const N: usize>(a: [T; N], b: [U; N], f: impl Fn(T, U) -> R) -> [R; N] {
    array::from_fn(|i| f(a[i], b[i]))
}

macro_rules! generic {
    ($lanes:literal, $narrower:literal) => {
        impl ByteSimd for Generic<$lanes> {
            type B = [[u8; 4]; $lanes];
            type I = [i32; $lanes];
            type F = [f32; $lanes];
            type X = [[u8; 4]; $lanes];
            type W = [[i8; 4]; $lanes];
            type Narrower = Generic<$narrower>;
            const BYTES: usize = 4 * $lanes;
            const REGISTERS: usize = 16;

            fn call<K: ByteKernel>(self, kernel: K) -> K::Output {
                kernel.run(self)
            }
            #[inline(always)]
            fn narrower(self) -> Generic<$narrower> {
                Generic
            }

            #[inline(always)]
            fn splat_b(self, x: u8) -> Self::B {
                [[x; 4]; $lanes]
            }
            #[inline(always)]
            fn max_b(self, a: Self::B, b: Self::B) -> Self::B {
                zip(a, b, |a, b| zip(a, b, u8::max))
            }
            #[inline(always)]
            fn min_b(self, a: Self::B, b: Self::B) -> Self::B {
                zip(a, b, |a, b| zip(a, b, u8::min))
            }
            #[inline(always)]
            fn xor_b(self, a: Self::B, b: Self::B) -> Self::B {
                zip(a, b, |a, b| zip(a, b, |a, b| a ^ b))
            }
            #[inline(always)]
            fn add_from(self, sum: Self::B, code: Self::B, bound: Self::B, rise: Self::B) -> Self::B {
                let reached = zip(code, bound, |code, bound| zip(code, bound, |code, bound| code >= bound));
                let added = zip(reached, rise, |reached, rise| {
                    zip(reached, rise, |r, rise| if r { rise } else { 0 })
                });
                zip(sum, added, |sum, added| zip(sum, added, u8::wrapping_add))
            }
            #[inline(always)]
            fn nibbles(self, a: Self::B) -> [Self::B; 2] {
                [0, 4].map(|shift| a.map(|four| four.map(|byte| byte >> shift & 15)))
            }
            #[inline(always)]
            fn pairs(self, a: Self::B) -> [Self::B; 4] {
                [0, 2, 4, 6].map(|shift| a.map(|four| four.map(|byte| byte >> shift & 3)))
            }
            #[inline(always)]
            fn widen(self, a: Self::B) -> [Self::I; 4] {
                array::from_fn(|v| a.map(|four| i32::from(four[v])))
            }
            #[inline(always)]
            fn join(self, lanes: [Self::I; 4]) -> Self::B {
                self.narrow(lanes)
            }
            #[inline(always)]
            fn saturate(self, lanes: [Self::I; 4], zero: u8) -> Self::B {
                let byte = |i: usize| lanes.as_flattened()[i].saturating_add(zero.into()).clamp(0, 255) as u8;
                array::from_fn(|l| array::from_fn(|b| byte(4 * l + b)))
            }
            #[inline(always)]
            fn narrow(self, lanes: [Self::I; 4]) -> Self::B {
                array::from_fn(|l| lanes.map(|vector| vector[l] as u8))
            }

            #[inline(always)]
            fn splat_i(self, x: i32) -> Self::I {
                [x; $lanes]
            }
            #[inline(always)]
            fn add_i(self, a: Self::I, b: Self::I) -> Self::I {
                zip(a, b, i32::wrapping_add)
            }
            #[inline(always)]
            fn sub_i(self, a: Self::I, b: Self::I) -> Self::I {
                zip(a, b, i32::wrapping_sub)
            }
            #[inline(always)]
            fn float(self, a: Self::I) -> Self::F {
                a.map(|a| a as f32)
            }
            #[inline(always)]
            fn round(self, a: Self::F) -> Self::I {
                a.map(|a| a.round_ties_even() as i32)
            }

            #[inline(always)]
            fn splat(self, x: f32) -> Self::F {
                [x; $lanes]
            }
            #[inline(always)]
            fn add(self, a: Self::F, b: Self::F) -> Self::F {
                zip(a, b, |a, b| a + b)
            }
            #[inline(always)]
            fn mul(self, a: Self::F, b: Self::F) -> Self::F {
                // LLVM 22.1 multiplies sums by the scales of other lanes when it makes vectors of what encodes them (seen at
                // `opt-level = 3` with 16 codegen units, by the tests of `conv2d`; right with `-C no-vectorize-slp`).
                // What it cannot see through it leaves alone; this is once per output, not per product.
                zip(hint::black_box(a), b, |a, b| a * b)
            }
            #[inline(always)]
            fn div(self, a: Self::F, b: Self::F) -> Self::F {
                zip(a, b, |a, b| a / b)
            }
            #[inline(always)]
            fn max(self, a: Self::F, b: Self::F) -> Self::F {
                zip(a, b, |a, b| if a > b { a } else { b })
            }
            #[inline(always)]
            fn min(self, a: Self::F, b: Self::F) -> Self::F {
                zip(a, b, |a, b| if a < b { a } else { b })
            }
            #[inline(always)]
            fn zero_nan(self, a: Self::F) -> Self::F {
                a.map(|a| if a.is_nan() { 0.0 } else { a })
            }

            #[inline(always)]
            fn interleave(self, taps: [Self::B; 4]) -> [Self::X; 4] {
                array::from_fn(|v| array::from_fn(|l| taps.map(|tap| tap[l][v])))
            }
            #[inline(always)]
            fn splat_four(self, bytes: [u8; 4]) -> Self::B {
                [bytes; $lanes]
            }
            #[inline(always)]
            fn factors(self, x: Self::B) -> Self::X {
                x
            }
            #[inline(always)]
            fn weights(self, w: Self::B) -> Self::W {
                w.map(|four| four.map(|byte| byte as i8))
            }
            #[inline(always)]
            fn dot(self, acc: Self::I, x: Self::X, w: Self::W) -> Self::I {
                array::from_fn(|l| {
                    let products = zip(x[l], w[l], |x, w| i32::from(x) * i32::from(w));
                    products.into_iter().fold(acc[l], i32::wrapping_add)
                })
            }
            #[inline(always)]
            fn unknown(self, x: Self::X) -> Self::X {
                hint::black_box(x)
            }
            #[inline(always)]
            unsafe fn load_b(self, at: *const u8) -> Self::B {
                // SAFETY: the caller gives `BYTES` readable bytes; arrays of bytes need no alignment.
                unsafe { at.cast::<Self::B>().read() }
            }
            #[inline(always)]
            unsafe fn store_b(self, at: *mut u8, v: Self::B) {
                // SAFETY: the caller gives room for `BYTES` bytes; arrays of bytes need no alignment.
                unsafe { at.cast::<Self::B>().write(v) }
            }
            #[inline(always)]
            unsafe fn load_first(self, at: *const u8, n: usize) -> Self::B {
                // SAFETY: the caller gives `n` readable bytes, and only those are read.
                let byte = |i| if i < n { unsafe { at.add(i).read() } } else { 0 };
                array::from_fn(|l| array::from_fn(|b| byte(4 * l + b)))
            }
            #[inline(always)]
            unsafe fn store_first(self, at: *mut u8, v: Self::B, n: usize) {
                for (i, &byte) in v.as_flattened().iter().enumerate().take(n) {
                    // SAFETY: the caller gives room for `n` bytes, and `i < n`.
                    unsafe { at.add(i).write(byte) }
                }
            }
            #[inline(always)]
            unsafe fn store_quarters(self, v: Self::B, at: [*mut u8; 4]) {
                for (at, quarter) in at.into_iter().zip(v.as_flattened().as_chunks::<$lanes>().0) {
                    // SAFETY: the caller gives room for `LANES` bytes.
                    unsafe { at.cast::<[u8; $lanes]>().write(*quarter) }
                }
            }
            #[inline(always)]
            unsafe fn load_lanes(self, at: *const u8) -> Self::I {
                // SAFETY: the caller gives `LANES` readable bytes.
                unsafe { at.cast::<[u8; $lanes]>().read() }.map(i32::from)
            }
            #[inline(always)]
            unsafe fn load_i(self, at: *const i32) -> Self::I {
                // SAFETY: the caller gives `LANES` readable values; i32 pointers are aligned for an array of i32.
                unsafe { at.cast::<Self::I>().read() }
            }
            #[inline(always)]
            unsafe fn store_i(self, at: *mut i32, v: Self::I) {
                // SAFETY: the caller gives room for `LANES` values; i32 pointers are aligned for an array of i32.
                unsafe { at.cast::<Self::I>().write(v) }
            }
            #[inline(always)]
            unsafe fn load_f(self, at: *const f32) -> Self::F {
                // SAFETY: the caller gives `LANES` readable values; f32 pointers are aligned for an array of f32.
                unsafe { at.cast::<Self::F>().read() }
            }
        }
    };
}

generic!(4, 1);
generic!(1, 1);
