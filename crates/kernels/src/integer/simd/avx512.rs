//! AVX-512 with VNNI: 16 lanes, one instruction for four products per lane.

use std::arch::x86_64::*;

use super::{IntKernel, IntSimd};
use crate::simd::Avx512;

/// Proof that this CPU has `avx512f`, `avx512bw`, `avx512vl` and `avx512vnni`.
#[derive(Clone, Copy)]
pub(crate) struct Avx512Vnni(());

impl Avx512Vnni {
    /// # Safety
    /// The CPU has `avx512f`, `avx512bw`, `avx512vl` and `avx512vnni`.
    pub(crate) unsafe fn new() -> Avx512Vnni {
        Avx512Vnni(())
    }
}

#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni")]
#[inline(never)]
fn call<K: IntKernel>(simd: Avx512Vnni, kernel: K) -> K::Output {
    kernel.run(simd)
}

#[inline(always)]
fn first(n: usize) -> __mmask16 {
    debug_assert!(n <= 16);
    ((1u32 << n) - 1) as __mmask16
}

// SAFETY, for each arithmetic method: `self` exists only where the CPU has the features.
impl IntSimd for Avx512Vnni {
    type Float = Avx512;
    type I = __m512i;
    type X = __m512i;
    type W = __m512i;
    const PIXELS: [usize; 4] = [16, 14, 8, 6];

    #[inline(always)]
    fn call<K: IntKernel>(self, kernel: K) -> K::Output {
        // SAFETY: see the head of this block.
        unsafe { call(self, kernel) }
    }
    #[inline(always)]
    fn float(self) -> Avx512 {
        // SAFETY: see the head of this block.
        unsafe { Avx512::new() }
    }

    #[inline(always)]
    fn splat(self, x: i32) -> __m512i {
        // SAFETY: see the head of this block.
        unsafe { _mm512_set1_epi32(x) }
    }
    #[inline(always)]
    fn add(self, a: __m512i, b: __m512i) -> __m512i {
        // SAFETY: see the head of this block.
        unsafe { _mm512_add_epi32(a, b) }
    }
    #[inline(always)]
    fn dot(self, sums: __m512i, x: __m512i, w: __m512i) -> __m512i {
        // SAFETY: see the head of this block.
        unsafe { _mm512_dpbusd_epi32(sums, x, w) }
    }
    #[inline(always)]
    fn to_f32(self, a: __m512i) -> __m512 {
        // SAFETY: see the head of this block.
        unsafe { _mm512_cvtepi32_ps(a) }
    }
    #[inline(always)]
    fn to_i32(self, a: __m512) -> __m512i {
        // SAFETY: see the head of this block.
        unsafe { _mm512_cvtps_epi32(a) }
    }
    #[inline(always)]
    fn lookup(self, table: &[u8], index: __m512i) -> __m512i {
        if table.len() <= Self::LANES {
            // SAFETY: see the head of this block; the table holds `table.len()` bytes.
            unsafe { _mm512_permutexvar_epi32(index, self.load_bytes(table.as_ptr(), table.len())) }
        } else {
            let mut lanes = [0; Self::LANES];
            // SAFETY: an array of `LANES` values takes and gives a vector.
            unsafe {
                self.store(lanes.as_mut_ptr(), index);
                lanes = lanes.map(|i| table[i as usize].into());
                self.load(lanes.as_ptr())
            }
        }
    }

    #[inline(always)]
    unsafe fn codes(self, at: *const u8) -> __m512i {
        // SAFETY: the caller gives 4 readable bytes.
        unsafe { _mm512_set1_epi32(at.cast::<i32>().read_unaligned()) }
    }
    #[inline(always)]
    unsafe fn weights(self, at: *const u8) -> __m512i {
        // SAFETY: the caller gives 64 readable bytes; `loadu` needs no alignment.
        unsafe { _mm512_loadu_si512(at.cast()) }
    }
    #[inline(always)]
    unsafe fn unpack<const N: usize>(self, at: *const u8) -> [__m512i; N] {
        // SAFETY: the caller gives 64 readable bytes; `loadu` needs no alignment.
        unsafe {
            let packed = _mm512_loadu_si512(at.cast());
            let mask = _mm512_set1_epi8(if N == 2 { 15 } else { 3 });
            let part = |n: usize| match 8 / N * n {
                2 => _mm512_srli_epi16::<2>(packed),
                4 => _mm512_srli_epi16::<4>(packed),
                6 => _mm512_srli_epi16::<6>(packed),
                _ => packed,
            };
            std::array::from_fn(|n| _mm512_and_si512(part(n), mask))
        }
    }
    #[inline(always)]
    unsafe fn load(self, at: *const i32) -> __m512i {
        // SAFETY: the caller gives 16 readable values; `loadu` needs no alignment.
        unsafe { _mm512_loadu_si512(at.cast()) }
    }
    #[inline(always)]
    unsafe fn store(self, at: *mut i32, v: __m512i) {
        // SAFETY: the caller gives room for 16 values; `storeu` needs no alignment.
        unsafe { _mm512_storeu_si512(at.cast(), v) }
    }
    #[inline(always)]
    unsafe fn load_bytes(self, at: *const u8, n: usize) -> __m512i {
        // SAFETY: the caller gives `n` readable bytes; masked-off ones are not accessed.
        unsafe {
            let bytes = if n == Self::LANES {
                _mm_loadu_si128(at.cast())
            } else {
                _mm_maskz_loadu_epi8(first(n), at.cast())
            };
            _mm512_cvtepu8_epi32(bytes)
        }
    }
    #[inline(always)]
    unsafe fn store_bytes(self, at: *mut u8, v: __m512i, n: usize) {
        // SAFETY: the caller gives room for `n` bytes; masked-off ones are not accessed.
        unsafe {
            let bytes = _mm512_cvtepi32_epi8(v);
            if n == Self::LANES {
                _mm_storeu_si128(at.cast(), bytes);
            } else {
                _mm_mask_storeu_epi8(at.cast(), first(n), bytes);
            }
        }
    }
}
