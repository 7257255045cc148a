//! Plain Rust: the meaning of every vector operation, for CPUs without a hand-picked instruction set.

use std::array;

use super::{Kernel, Simd};

/// Any CPU; the compiler vectorises what it can.
#[derive(Clone, Copy)]
pub(crate) struct Generic;

const LANES: usize = 4;

#[inline(always)]
fn zip(a: [f32; LANES], b: [f32; LANES], f: impl Fn(f32, f32) -> f32) -> [f32; LANES] {
    array::from_fn(|i| f(a[i], b[i]))
}

impl Simd for Generic {
    type V = [f32; LANES];
    const LANES: usize = LANES;
    const VECTORS: usize = 2;
    // 32 registers on AArch64, 16 on baseline x86-64.
    const PIXELS: [usize; 3] = if cfg!(target_arch = "aarch64") { [8, 8, 0] } else { [8, 4, 0] };
    const ROWS: [usize; 3] = Self::PIXELS;
    const COLUMNS: usize = 4;

    fn call<K: Kernel>(self, kernel: K) -> K::Output {
        kernel.run(self)
    }

    #[inline(always)]
    fn splat(self, x: f32) -> Self::V {
        [x; LANES]
    }
    #[inline(always)]
    fn add(self, a: Self::V, b: Self::V) -> Self::V {
        zip(a, b, |a, b| a + b)
    }
    #[inline(always)]
    fn sub(self, a: Self::V, b: Self::V) -> Self::V {
        zip(a, b, |a, b| a - b)
    }
    #[inline(always)]
    fn mul(self, a: Self::V, b: Self::V) -> Self::V {
        zip(a, b, |a, b| a * b)
    }
    #[inline(always)]
    fn div(self, a: Self::V, b: Self::V) -> Self::V {
        zip(a, b, |a, b| a / b)
    }
    #[inline(always)]
    fn fma(self, a: Self::V, b: Self::V, c: Self::V) -> Self::V {
        // Without the instruction `mul_add` is a slow library call.
        if cfg!(any(target_arch = "aarch64", target_feature = "fma")) {
            array::from_fn(|i| a[i].mul_add(b[i], c[i]))
        } else {
            array::from_fn(|i| a[i] * b[i] + c[i])
        }
    }
    #[inline(always)]
    fn sqrt(self, a: Self::V) -> Self::V {
        a.map(f32::sqrt)
    }
    #[inline(always)]
    fn max(self, a: Self::V, b: Self::V) -> Self::V {
        zip(a, b, |a, b| if a > b { a } else { b })
    }
    #[inline(always)]
    fn min(self, a: Self::V, b: Self::V) -> Self::V {
        zip(a, b, |a, b| if a < b { a } else { b })
    }
    #[inline(always)]
    fn round(self, a: Self::V) -> Self::V {
        // Adding 2^23 leaves no room for a fraction, and f32 addition rounds ties to even; larger values,
        // infinities and NaN have no fraction. (`round_ties_even` is a library call on baseline x86-64.)
        const NO_FRACTION: f32 = 8_388_608.0;
        array::from_fn(|i| {
            let size = a[i].abs();
            let whole = ((size + NO_FRACTION) - NO_FRACTION).copysign(a[i]);
            if size < NO_FRACTION { whole } else { a[i] }
        })
    }
    #[inline(always)]
    fn exp2_int(self, n: Self::V) -> Self::V {
        n.map(|n| f32::from_bits(((n as i32 + 127) as u32) << 23))
    }
    #[inline(always)]
    fn mantissa_exponent(self, a: Self::V) -> (Self::V, Self::V) {
        let mantissa = a.map(|a| f32::from_bits(a.to_bits() & 0x007f_ffff | 1f32.to_bits()));
        (mantissa, a.map(|a| ((a.to_bits() >> 23) as i32 - 127) as f32))
    }
    #[inline(always)]
    fn select_lt(self, a: Self::V, b: Self::V, x: Self::V, y: Self::V) -> Self::V {
        array::from_fn(|i| if a[i] < b[i] { x[i] } else { y[i] })
    }
    #[inline(always)]
    fn nan_or(self, a: Self::V, b: Self::V) -> Self::V {
        zip(a, b, |a, b| if a.is_nan() { a } else { b })
    }
    #[inline(always)]
    fn abs(self, a: Self::V) -> Self::V {
        a.map(f32::abs)
    }
    #[inline(always)]
    fn copysign(self, a: Self::V, b: Self::V) -> Self::V {
        zip(a, b, f32::copysign)
    }

    #[inline(always)]
    unsafe fn load(self, at: *const f32) -> Self::V {
        // SAFETY: the caller gives `LANES` readable values; f32 pointers are aligned for an array of f32.
        unsafe { at.cast::<Self::V>().read() }
    }
    #[inline(always)]
    unsafe fn load_first(self, at: *const f32, n: usize) -> Self::V {
        // SAFETY: the caller gives `n` readable values, and only those are read.
        array::from_fn(|i| if i < n { unsafe { at.add(i).read() } } else { 0.0 })
    }
    #[inline(always)]
    unsafe fn store(self, at: *mut f32, v: Self::V) {
        // SAFETY: the caller gives room for `LANES` values; f32 pointers are aligned for an array of f32.
        unsafe { at.cast::<Self::V>().write(v) }
    }
    #[inline(always)]
    unsafe fn store_first(self, at: *mut f32, v: Self::V, n: usize) {
        for (i, x) in v.into_iter().enumerate().take(n) {
            // SAFETY: the caller gives room for `n` values, and `i < n`.
            unsafe { at.add(i).write(x) }
        }
    }
}
