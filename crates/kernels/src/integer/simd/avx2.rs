//! 256-bit vectors: 8 lanes, and three ways to multiply codes by weights.

use std::arch::x86_64::*;
use std::marker::PhantomData;

use super::{IntKernel, IntSimd};
use crate::simd::Avx2;

/// Proof that this CPU has `avx2` and `fma`, and what `D` needs.
#[derive(Clone, Copy)]
pub(crate) struct Int256<D>(PhantomData<D>);

impl<D: Dot> Int256<D> {
    /// # Safety
    /// The CPU has `avx2` and `fma`, and what `D` needs.
    pub(crate) unsafe fn new() -> Int256<D> {
        Int256(PhantomData)
    }
}

/// A way to add four products per lane.
pub(crate) trait Dot: Copy {
    type X: Copy;
    type W: Copy;
    /// Pixels of tiles, see [`IntSimd::PIXELS`].
    const PIXELS: [usize; 4];
    /// # Safety
    /// The CPU has `avx2` and `fma`, and what `Self` needs.
    unsafe fn call<K: IntKernel>(simd: Int256<Self>, kernel: K) -> K::Output;
    /// # Safety
    /// The CPU has `avx2`.
    unsafe fn codes(x: __m256i) -> Self::X;
    /// # Safety
    /// The CPU has `avx2`.
    unsafe fn weights(w: __m256i) -> Self::W;
    /// # Safety
    /// The CPU has `avx2`, and what `Self` needs.
    unsafe fn dot(sums: __m256i, x: Self::X, w: Self::W) -> __m256i;
}

/// Widens to 16 bits, even and odd bytes apart: right for all codes and weights.
#[derive(Clone, Copy)]
pub(crate) struct Widened;

/// Adds two products in 16 bits, which saturates: only where the weights and the largest code rule that out.
#[derive(Clone, Copy)]
pub(crate) struct Paired;

/// AVX-VNNI: needs `avxvnni`.
#[derive(Clone, Copy)]
pub(crate) struct Vnni;

#[target_feature(enable = "avx2,fma")]
#[inline(never)]
fn call<D: Dot, K: IntKernel>(simd: Int256<D>, kernel: K) -> K::Output {
    kernel.run(simd)
}

#[target_feature(enable = "avx2,fma,avxvnni")]
#[inline(never)]
fn call_vnni<D: Dot, K: IntKernel>(simd: Int256<D>, kernel: K) -> K::Output {
    kernel.run(simd)
}

impl Dot for Widened {
    type X = [__m256i; 2];
    type W = [__m256i; 2];
    // Halves of codes and weights take two registers each.
    const PIXELS: [usize; 4] = [8, 4, 2, 0];

    #[inline(always)]
    unsafe fn call<K: IntKernel>(simd: Int256<Self>, kernel: K) -> K::Output {
        // SAFETY: the caller's CPU has the features.
        unsafe { call(simd, kernel) }
    }
    #[inline(always)]
    unsafe fn codes(x: __m256i) -> Self::X {
        // SAFETY: the caller's CPU has avx2.
        unsafe { [_mm256_and_si256(x, _mm256_set1_epi16(0xff)), _mm256_srli_epi16::<8>(x)] }
    }
    #[inline(always)]
    unsafe fn weights(w: __m256i) -> Self::W {
        // SAFETY: the caller's CPU has avx2.
        unsafe { [_mm256_srai_epi16::<8>(_mm256_slli_epi16::<8>(w)), _mm256_srai_epi16::<8>(w)] }
    }
    #[inline(always)]
    unsafe fn dot(sums: __m256i, x: Self::X, w: Self::W) -> __m256i {
        // SAFETY: the caller's CPU has avx2.
        unsafe {
            let even = _mm256_add_epi32(sums, _mm256_madd_epi16(x[0], w[0]));
            _mm256_add_epi32(even, _mm256_madd_epi16(x[1], w[1]))
        }
    }
}

impl Dot for Paired {
    type X = __m256i;
    type W = __m256i;
    const PIXELS: [usize; 4] = [10, 5, 3, 2];

    #[inline(always)]
    unsafe fn call<K: IntKernel>(simd: Int256<Self>, kernel: K) -> K::Output {
        // SAFETY: the caller's CPU has the features.
        unsafe { call(simd, kernel) }
    }
    #[inline(always)]
    unsafe fn codes(x: __m256i) -> __m256i {
        x
    }
    #[inline(always)]
    unsafe fn weights(w: __m256i) -> __m256i {
        w
    }
    #[inline(always)]
    unsafe fn dot(sums: __m256i, x: __m256i, w: __m256i) -> __m256i {
        // SAFETY: the caller's CPU has avx2.
        unsafe {
            let pairs = _mm256_maddubs_epi16(x, w);
            _mm256_add_epi32(sums, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)))
        }
    }
}

impl Dot for Vnni {
    type X = __m256i;
    type W = __m256i;
    const PIXELS: [usize; 4] = [12, 6, 4, 2];

    #[inline(always)]
    unsafe fn call<K: IntKernel>(simd: Int256<Self>, kernel: K) -> K::Output {
        // SAFETY: the caller's CPU has the features.
        unsafe { call_vnni(simd, kernel) }
    }
    #[inline(always)]
    unsafe fn codes(x: __m256i) -> __m256i {
        x
    }
    #[inline(always)]
    unsafe fn weights(w: __m256i) -> __m256i {
        w
    }
    #[inline(always)]
    unsafe fn dot(sums: __m256i, x: __m256i, w: __m256i) -> __m256i {
        // SAFETY: the caller's CPU has avxvnni.
        unsafe { _mm256_dpbusd_avx_epi32(sums, x, w) }
    }
}

// SAFETY, for each arithmetic method: `self` exists only where the CPU has the features.
impl<D: Dot> IntSimd for Int256<D> {
    type Float = Avx2;
    type I = __m256i;
    type X = D::X;
    type W = D::W;
    const PIXELS: [usize; 4] = D::PIXELS;

    #[inline(always)]
    fn call<K: IntKernel>(self, kernel: K) -> K::Output {
        // SAFETY: see the head of this block.
        unsafe { D::call(self, kernel) }
    }
    #[inline(always)]
    fn float(self) -> Avx2 {
        // SAFETY: see the head of this block.
        unsafe { Avx2::new() }
    }

    #[inline(always)]
    fn splat(self, x: i32) -> __m256i {
        // SAFETY: see the head of this block.
        unsafe { _mm256_set1_epi32(x) }
    }
    #[inline(always)]
    fn add(self, a: __m256i, b: __m256i) -> __m256i {
        // SAFETY: see the head of this block.
        unsafe { _mm256_add_epi32(a, b) }
    }
    #[inline(always)]
    fn dot(self, sums: __m256i, x: D::X, w: D::W) -> __m256i {
        // SAFETY: see the head of this block.
        unsafe { D::dot(sums, x, w) }
    }
    #[inline(always)]
    fn to_f32(self, a: __m256i) -> __m256 {
        // SAFETY: see the head of this block.
        unsafe { _mm256_cvtepi32_ps(a) }
    }
    #[inline(always)]
    fn to_i32(self, a: __m256) -> __m256i {
        // SAFETY: see the head of this block.
        unsafe { _mm256_cvtps_epi32(a) }
    }
    #[inline(always)]
    fn lookup(self, table: &[u8], index: __m256i) -> __m256i {
        let mut lanes = [0; 8];
        // SAFETY: an array of `LANES` values takes and gives a vector.
        unsafe {
            self.store(lanes.as_mut_ptr(), index);
            lanes = lanes.map(|i| table[i as usize].into());
            self.load(lanes.as_ptr())
        }
    }

    #[inline(always)]
    unsafe fn codes(self, at: *const u8) -> D::X {
        // SAFETY: the caller gives 4 readable bytes.
        unsafe { D::codes(_mm256_set1_epi32(at.cast::<i32>().read_unaligned())) }
    }
    #[inline(always)]
    unsafe fn weights(self, at: *const u8) -> D::W {
        // SAFETY: the caller gives 32 readable bytes; `loadu` needs no alignment.
        unsafe { D::weights(_mm256_loadu_si256(at.cast())) }
    }
    #[inline(always)]
    unsafe fn unpack<const N: usize>(self, at: *const u8) -> [D::W; N] {
        // SAFETY: the caller gives 32 readable bytes; `loadu` needs no alignment.
        unsafe {
            let packed = _mm256_loadu_si256(at.cast());
            let mask = _mm256_set1_epi8(if N == 2 { 15 } else { 3 });
            let part = |n: usize| match 8 / N * n {
                2 => _mm256_srli_epi16::<2>(packed),
                4 => _mm256_srli_epi16::<4>(packed),
                6 => _mm256_srli_epi16::<6>(packed),
                _ => packed,
            };
            std::array::from_fn(|n| D::weights(_mm256_and_si256(part(n), mask)))
        }
    }
    #[inline(always)]
    unsafe fn load(self, at: *const i32) -> __m256i {
        // SAFETY: the caller gives 8 readable values; `loadu` needs no alignment.
        unsafe { _mm256_loadu_si256(at.cast()) }
    }
    #[inline(always)]
    unsafe fn store(self, at: *mut i32, v: __m256i) {
        // SAFETY: the caller gives room for 8 values; `storeu` needs no alignment.
        unsafe { _mm256_storeu_si256(at.cast(), v) }
    }
    #[inline(always)]
    unsafe fn load_bytes(self, at: *const u8, n: usize) -> __m256i {
        let mut bytes = [0u8; 8];
        // SAFETY: the caller gives `n` readable bytes, `n <= 8`.
        unsafe {
            if n == 8 {
                bytes = at.cast::<[u8; 8]>().read();
            } else {
                at.copy_to_nonoverlapping(bytes.as_mut_ptr(), n);
            }
            _mm256_cvtepu8_epi32(_mm_cvtsi64_si128(i64::from_le_bytes(bytes)))
        }
    }
    #[inline(always)]
    unsafe fn store_bytes(self, at: *mut u8, v: __m256i, n: usize) {
        // SAFETY: the caller gives room for `n` bytes, `n <= 8`.
        unsafe {
            // The first byte of each lane: four in the low half, four in the high one.
            let first = _mm256_set1_epi32(0x0c08_0400);
            let fours = _mm256_shuffle_epi8(v, first);
            let (low, high) = (_mm256_castsi256_si128(fours), _mm256_extracti128_si256::<1>(fours));
            let bytes = _mm_cvtsi128_si64(_mm_unpacklo_epi32(low, high)).to_le_bytes();
            if n == 8 {
                at.cast::<[u8; 8]>().write(bytes);
            } else {
                at.copy_from_nonoverlapping(bytes.as_ptr(), n);
            }
        }
    }
}
