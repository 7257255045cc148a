//! x86: AVX2, and the dot products of AVX-VNNI and AVX-512 VNNI, in vectors of 64, 32 and 16 bytes.
//!
//! Intrinsics differ by width in nothing but their names, so a module per width renames them and the body is
//! written once. Dot products differ by instruction set: AVX2 has none of whole bytes that cannot saturate, and widens.

use super::{ByteKernel, ByteSimd, Generic};

/// The intrinsics of one width under common names.
macro_rules! width {
    ($width:ident, $features:literal, $int:ident, $float:ident, {$($intrinsic:ident as $name:ident),* $(,)?}, |$a:ident| $ordered:expr,
     |$b:ident| $rows:expr, |$sum:ident, $code:ident, $bound:ident, $rise:ident| $add_from:expr,
     |$at:ident| $lanes:expr, |$v:ident, $to:ident| $quarters:expr) => {
        mod $width {
            use std::arch::x86_64::*;
            pub(super) use std::arch::x86_64::{$float as Float, $int as Int, $($intrinsic as $name),*};

            /// 0 where `a` is NaN.
            #[inline]
            #[target_feature(enable = $features)]
            pub(super) fn ordered($a: Float) -> Float {
                $ordered
            }

            /// What packing twice deals out in fours, vector after vector.
            #[inline]
            #[target_feature(enable = $features)]
            pub(super) fn rows($b: Int) -> Int {
                $rows
            }

            /// `sum + rise` where `code >= bound`, else `sum`.
            #[inline]
            #[target_feature(enable = $features)]
            pub(super) fn add_from($sum: Int, $code: Int, $bound: Int, $rise: Int) -> Int {
                $add_from
            }

            /// A quarter of the bytes to each place.
            ///
            /// # Safety
            /// A quarter of a vector is writable at each.
            #[inline]
            #[target_feature(enable = $features)]
            pub(super) unsafe fn quarters($v: Int, $to: [*mut u8; 4]) {
                // SAFETY: the caller's bytes; no access asks for alignment.
                unsafe { $quarters }
            }

            /// A byte to each lane.
            ///
            /// # Safety
            /// As many bytes as lanes are readable.
            #[inline]
            #[target_feature(enable = $features)]
            pub(super) unsafe fn lanes($at: *const u8) -> Int {
                // SAFETY: the caller's bytes; no access asks for alignment.
                unsafe { $lanes }
            }
        }
    };
}

width!(w512, "avx512f,avx512bw", __m512i, __m512, {
    _mm512_loadu_si512 as load, _mm512_storeu_si512 as store, _mm512_and_si512 as and, _mm512_or_si512 as or, _mm512_xor_si512 as xor, _mm512_slli_epi32 as slli_epi32,
    _mm512_set1_epi8 as set1_epi8, _mm512_set1_epi16 as set1_epi16, _mm512_set1_epi32 as set1_epi32,
    _mm512_max_epu8 as max_epu8, _mm512_min_epu8 as min_epu8, _mm512_srli_epi16 as srli_epi16,
    _mm512_unpacklo_epi8 as unpacklo_epi8, _mm512_unpackhi_epi8 as unpackhi_epi8,
    _mm512_unpacklo_epi16 as unpacklo_epi16, _mm512_unpackhi_epi16 as unpackhi_epi16,
    _mm512_packs_epi32 as packs_epi32, _mm512_adds_epi16 as adds_epi16, _mm512_packus_epi16 as packus_epi16,
    _mm512_add_epi32 as add_epi32, _mm512_sub_epi32 as sub_epi32,
    _mm512_cvtepi32_ps as to_float, _mm512_cvtps_epi32 as to_int,
    _mm512_loadu_ps as load_ps, _mm512_set1_ps as set1_ps,
    _mm512_add_ps as add_ps, _mm512_mul_ps as mul_ps, _mm512_div_ps as div_ps,
    _mm512_max_ps as max_ps, _mm512_min_ps as min_ps,
}, |a| _mm512_maskz_mov_ps(_mm512_cmp_ps_mask::<_CMP_ORD_Q>(a, a), a),
|b| _mm512_permutexvar_epi32(_mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15), b),
|sum, code, bound, rise| _mm512_mask_add_epi8(sum, _mm512_cmpge_epu8_mask(code, bound), sum, rise),
|at| _mm512_cvtepu8_epi32(_mm_loadu_si128(at.cast())), |v, to| {
    _mm_storeu_si128(to[0].cast(), _mm512_castsi512_si128(v));
    _mm_storeu_si128(to[1].cast(), _mm512_extracti32x4_epi32::<1>(v));
    _mm_storeu_si128(to[2].cast(), _mm512_extracti32x4_epi32::<2>(v));
    _mm_storeu_si128(to[3].cast(), _mm512_extracti32x4_epi32::<3>(v));
});

width!(w256, "avx2", __m256i, __m256, {
    _mm256_loadu_si256 as load, _mm256_storeu_si256 as store, _mm256_and_si256 as and, _mm256_or_si256 as or, _mm256_xor_si256 as xor, _mm256_slli_epi32 as slli_epi32,
    _mm256_set1_epi8 as set1_epi8, _mm256_set1_epi16 as set1_epi16, _mm256_set1_epi32 as set1_epi32,
    _mm256_max_epu8 as max_epu8, _mm256_min_epu8 as min_epu8, _mm256_srli_epi16 as srli_epi16,
    _mm256_unpacklo_epi8 as unpacklo_epi8, _mm256_unpackhi_epi8 as unpackhi_epi8,
    _mm256_unpacklo_epi16 as unpacklo_epi16, _mm256_unpackhi_epi16 as unpackhi_epi16,
    _mm256_packs_epi32 as packs_epi32, _mm256_adds_epi16 as adds_epi16, _mm256_packus_epi16 as packus_epi16,
    _mm256_add_epi32 as add_epi32, _mm256_add_epi16 as add_epi16, _mm256_sub_epi32 as sub_epi32,
    _mm256_cvtepi32_ps as to_float, _mm256_cvtps_epi32 as to_int,
    _mm256_loadu_ps as load_ps, _mm256_set1_ps as set1_ps,
    _mm256_add_ps as add_ps, _mm256_mul_ps as mul_ps, _mm256_div_ps as div_ps,
    _mm256_max_ps as max_ps, _mm256_min_ps as min_ps,
    _mm256_slli_epi16 as slli_epi16, _mm256_srai_epi16 as srai_epi16,
    _mm256_madd_epi16 as madd_epi16, _mm256_maddubs_epi16 as maddubs_epi16,
}, |a| _mm256_and_ps(a, _mm256_cmp_ps::<_CMP_ORD_Q>(a, a)),
|b| _mm256_permutevar8x32_epi32(b, _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7)),
|sum, code, bound, rise| {
    let reached = _mm256_cmpeq_epi8(_mm256_max_epu8(code, bound), code);
    _mm256_add_epi8(sum, _mm256_and_si256(rise, reached))
},
|at| _mm256_cvtepu8_epi32(_mm_loadl_epi64(at.cast())), |v, to| {
    let (low, high) = (_mm256_castsi256_si128(v), _mm256_extracti128_si256::<1>(v));
    _mm_storel_epi64(to[0].cast(), low);
    _mm_storel_epi64(to[1].cast(), _mm_unpackhi_epi64(low, low));
    _mm_storel_epi64(to[2].cast(), high);
    _mm_storel_epi64(to[3].cast(), _mm_unpackhi_epi64(high, high));
});

width!(w128, "avx2", __m128i, __m128, {
    _mm_loadu_si128 as load, _mm_storeu_si128 as store, _mm_and_si128 as and, _mm_or_si128 as or, _mm_xor_si128 as xor, _mm_slli_epi32 as slli_epi32,
    _mm_set1_epi8 as set1_epi8, _mm_set1_epi16 as set1_epi16, _mm_set1_epi32 as set1_epi32,
    _mm_max_epu8 as max_epu8, _mm_min_epu8 as min_epu8, _mm_srli_epi16 as srli_epi16,
    _mm_unpacklo_epi8 as unpacklo_epi8, _mm_unpackhi_epi8 as unpackhi_epi8,
    _mm_unpacklo_epi16 as unpacklo_epi16, _mm_unpackhi_epi16 as unpackhi_epi16,
    _mm_packs_epi32 as packs_epi32, _mm_adds_epi16 as adds_epi16, _mm_packus_epi16 as packus_epi16,
    _mm_add_epi32 as add_epi32, _mm_add_epi16 as add_epi16, _mm_sub_epi32 as sub_epi32,
    _mm_cvtepi32_ps as to_float, _mm_cvtps_epi32 as to_int,
    _mm_loadu_ps as load_ps, _mm_set1_ps as set1_ps,
    _mm_add_ps as add_ps, _mm_mul_ps as mul_ps, _mm_div_ps as div_ps,
    _mm_max_ps as max_ps, _mm_min_ps as min_ps,
    _mm_slli_epi16 as slli_epi16, _mm_srai_epi16 as srai_epi16,
    _mm_madd_epi16 as madd_epi16, _mm_maddubs_epi16 as maddubs_epi16,
}, |a| _mm_and_ps(a, _mm_cmpord_ps(a, a)),
|b| b,
|sum, code, bound, rise| {
    let reached = _mm_cmpeq_epi8(_mm_max_epu8(code, bound), code);
    _mm_add_epi8(sum, _mm_and_si128(rise, reached))
},
|at| _mm_cvtepu8_epi32(_mm_cvtsi32_si128(at.cast::<i32>().read_unaligned())), |v, to| {
    to[0].cast::<i32>().write_unaligned(_mm_extract_epi32::<0>(v));
    to[1].cast::<i32>().write_unaligned(_mm_extract_epi32::<1>(v));
    to[2].cast::<i32>().write_unaligned(_mm_extract_epi32::<2>(v));
    to[3].cast::<i32>().write_unaligned(_mm_extract_epi32::<3>(v));
});

/// Dot products by one instruction, whose operands are bytes as they are.
macro_rules! vnni {
    ($dots:ident, $width:ident, $registers:ident, $features:literal, $dpbusd:ident) => {
        mod $dots {
            use std::arch::x86_64::$dpbusd;

            use super::$width::Int;

            pub(super) type X = Int;
            pub(super) type W = Int;
            pub(super) const PAIRED: bool = false;
            pub(super) const IN_FLIGHT: usize = 10;

            #[inline]
            #[target_feature(enable = $features)]
            pub(super) fn factors(x: Int) -> X {
                x
            }
            #[inline]
            #[target_feature(enable = $features)]
            pub(super) fn weights(w: Int) -> W {
                w
            }
            #[inline]
            #[target_feature(enable = $features)]
            pub(super) fn dot(acc: Int, x: X, w: W) -> Int {
                $dpbusd(acc, x, w)
            }
            /// As the compiler must take it: for anything.
            #[inline]
            #[target_feature(enable = $features)]
            pub(super) fn unknown(mut x: X) -> X {
                // SAFETY: no instruction at all.
                unsafe { std::arch::asm!("/* {x} */", x = inout($registers) x, options(nomem, nostack, preserves_flags)) };
                x
            }
        }
    };
}

vnni!(avx512_64, w512, zmm_reg, "avx512vnni", _mm512_dpbusd_epi32);
vnni!(avx512_32, w256, ymm_reg, "avx512vnni,avx512vl", _mm256_dpbusd_epi32);
vnni!(avx512_16, w128, xmm_reg, "avx512vnni,avx512vl", _mm_dpbusd_epi32);
vnni!(avxvnni_32, w256, ymm_reg, "avxvnni", _mm256_dpbusd_avx_epi32);
vnni!(avxvnni_16, w128, xmm_reg, "avxvnni", _mm_dpbusd_avx_epi32);

/// Dot products of 16-bit words: those of even and of odd bytes.
macro_rules! words {
    ($dots:ident, $width:ident, $registers:ident) => {
        mod $dots {
            use super::$width::*;

            pub(super) type X = [Int; 2];
            pub(super) type W = [Int; 2];
            pub(super) const PAIRED: bool = false;
            pub(super) const IN_FLIGHT: usize = 0;

            #[inline]
            #[target_feature(enable = "avx2")]
            pub(super) fn factors(x: Int) -> X {
                [and(x, set1_epi16(255)), srli_epi16::<8>(x)]
            }
            #[inline]
            #[target_feature(enable = "avx2")]
            pub(super) fn weights(w: Int) -> W {
                [srai_epi16::<8>(slli_epi16::<8>(w)), srai_epi16::<8>(w)]
            }
            #[inline]
            #[target_feature(enable = "avx2")]
            pub(super) fn dot(acc: Int, x: X, w: W) -> Int {
                let [even, odd] = [madd_epi16(x[0], w[0]), madd_epi16(x[1], w[1])];
                add_epi32(acc, add_epi32(even, odd))
            }
            /// As the compiler must take it: for anything.
            #[inline]
            #[target_feature(enable = "avx2")]
            pub(super) fn unknown([mut even, mut odd]: X) -> X {
                // SAFETY: no instruction at all.
                unsafe {
                    std::arch::asm!(
                        "/* {even} {odd} */",
                        even = inout($registers) even, odd = inout($registers) odd,
                        options(nomem, nostack, preserves_flags),
                    );
                }
                [even, odd]
            }
        }
    };
}

words!(avx2_32, w256, ymm_reg);
words!(avx2_16, w128, xmm_reg);

/// Dot products that add two products in 16 bits, which must not be too small for them.
macro_rules! pairs {
    ($dots:ident, $width:ident, $registers:ident) => {
        mod $dots {
            use super::$width::*;

            pub(super) type X = Int;
            pub(super) type W = Int;
            pub(super) const PAIRED: bool = true;
            pub(super) const IN_FLIGHT: usize = 0;

            #[inline]
            #[target_feature(enable = "avx2")]
            pub(super) fn factors(x: Int) -> X {
                x
            }
            #[inline]
            #[target_feature(enable = "avx2")]
            pub(super) fn weights(w: Int) -> W {
                w
            }
            #[inline]
            #[target_feature(enable = "avx2")]
            pub(super) fn dot(acc: Int, x: X, w: W) -> Int {
                add_pairs(acc, maddubs_epi16(x, w))
            }
            #[inline]
            #[target_feature(enable = "avx2")]
            pub(super) fn dot_pairs(pairs: Int, x: X, w: W) -> Int {
                add_epi16(pairs, maddubs_epi16(x, w))
            }
            #[inline]
            #[target_feature(enable = "avx2")]
            pub(super) fn add_pairs(acc: Int, pairs: Int) -> Int {
                add_epi32(acc, madd_epi16(pairs, set1_epi16(1)))
            }
            /// As the compiler must take it: for anything.
            #[inline]
            #[target_feature(enable = "avx2")]
            pub(super) fn unknown(mut x: X) -> X {
                // SAFETY: no instruction at all.
                unsafe { std::arch::asm!("/* {x} */", x = inout($registers) x, options(nomem, nostack, preserves_flags)) };
                x
            }
        }
    };
}

pairs!(paired_32, w256, ymm_reg);
pairs!(paired_16, w128, xmm_reg);

/// The first bytes of a vector by mask, without touching the others.
macro_rules! masked {
    ($partial:ident, $width:ident, $mask:ty, $load:ident, $store:ident) => {
        mod $partial {
            use std::arch::x86_64::{$load, $store};

            use super::$width::Int;

            fn first(n: usize) -> $mask {
                debug_assert!(n < <$mask>::BITS as usize);
                (1 << n) - 1
            }

            /// # Safety
            /// `n` bytes are readable at `at`, fewer than a vector.
            #[inline]
            #[target_feature(enable = "avx512bw,avx512vl")]
            pub(super) unsafe fn load_first(at: *const u8, n: usize) -> Int {
                // SAFETY: masked-off bytes are not accessed, the others are the caller's.
                unsafe { $load(first(n), at.cast()) }
            }
            /// # Safety
            /// `n` bytes are writable at `at`, fewer than a vector.
            #[inline]
            #[target_feature(enable = "avx512bw,avx512vl")]
            pub(super) unsafe fn store_first(at: *mut u8, v: Int, n: usize) {
                // SAFETY: masked-off bytes are not accessed, the others are the caller's.
                unsafe { $store(at.cast(), first(n), v) }
            }
        }
    };
}

masked!(masked_64, w512, u64, _mm512_maskz_loadu_epi8, _mm512_mask_storeu_epi8);
masked!(masked_32, w256, u32, _mm256_maskz_loadu_epi8, _mm256_mask_storeu_epi8);
masked!(masked_16, w128, u16, _mm_maskz_loadu_epi8, _mm_mask_storeu_epi8);

/// The first bytes of a vector by way of an array.
macro_rules! buffered {
    ($partial:ident, $width:ident, $bytes:literal) => {
        mod $partial {
            use super::$width::*;

            /// # Safety
            /// `n` bytes are readable at `at`, fewer than a vector.
            #[inline]
            #[target_feature(enable = "avx2")]
            pub(super) unsafe fn load_first(at: *const u8, n: usize) -> Int {
                let mut whole = [0u8; $bytes];
                // SAFETY: `n` bytes of the caller's fit the array, which is a vector long.
                unsafe {
                    std::ptr::copy_nonoverlapping(at, whole.as_mut_ptr(), n);
                    load(whole.as_ptr().cast())
                }
            }
            /// # Safety
            /// `n` bytes are writable at `at`, fewer than a vector.
            #[inline]
            #[target_feature(enable = "avx2")]
            pub(super) unsafe fn store_first(at: *mut u8, v: Int, n: usize) {
                let mut whole = [0u8; $bytes];
                // SAFETY: the array is a vector long, and `n` bytes of it fit the caller's.
                unsafe {
                    store(whole.as_mut_ptr().cast(), v);
                    std::ptr::copy_nonoverlapping(whole.as_ptr(), at, n);
                }
            }
        }
    };
}

buffered!(buffered_32, w256, 32);
buffered!(buffered_16, w128, 16);

macro_rules! isa {
    ($isa:ident, $features:literal) => {
        #[doc = concat!("Proof that this CPU has `", $features, "`, for vectors of `BYTES` bytes.")]
        #[derive(Clone, Copy)]
        pub(crate) struct $isa<const BYTES: usize>(());

        impl<const BYTES: usize> $isa<BYTES> {
            /// # Safety
            #[doc = concat!("The CPU has `", $features, "`.")]
            pub(crate) unsafe fn new() -> $isa<BYTES> {
                $isa(())
            }
        }
    };
}

isa!(Avx512Vnni, "avx512f,avx512bw,avx512vl,avx512vnni");
isa!(AvxVnni, "avx2,avxvnni");
isa!(Avx2, "avx2");
isa!(Avx2Paired, "avx2");

macro_rules! vector {
    ($isa:ident<$bytes:literal>, $width:ident, $dots:ident, $partial:ident, $narrower:ty = $narrow:expr, $registers:literal, $features:literal $(, $sums:ident)?) => {
        // SAFETY, for each method: `self` exists only where the CPU has the features of its type; memory is as the caller
        // promises, and no access asks for alignment.
        impl ByteSimd for $isa<$bytes> {
            type B = $width::Int;
            type I = $width::Int;
            type F = $width::Float;
            type X = $dots::X;
            type W = $dots::W;
            type Narrower = $narrower;
            const BYTES: usize = $bytes;
            const REGISTERS: usize = $registers;
            const PAIRED: bool = $dots::PAIRED;
            const IN_FLIGHT: usize = $dots::IN_FLIGHT;

            #[inline(always)]
            fn call<K: ByteKernel>(self, kernel: K) -> K::Output {
                // A kernel is worth a call, and large where it is inlined many times.
                #[target_feature(enable = $features)]
                #[inline(never)]
                fn call<K: ByteKernel>(s: $isa<$bytes>, kernel: K) -> K::Output {
                    kernel.run(s)
                }
                // SAFETY: see the head of this block.
                unsafe { call(self, kernel) }
            }
            #[inline(always)]
            fn narrower(self) -> $narrower {
                $narrow
            }

            #[inline(always)]
            fn splat_b(self, x: u8) -> Self::B {
                // SAFETY: see the head of this block.
                unsafe { $width::set1_epi8(x.cast_signed()) }
            }
            #[inline(always)]
            fn max_b(self, a: Self::B, b: Self::B) -> Self::B {
                // SAFETY: see the head of this block.
                unsafe { $width::max_epu8(a, b) }
            }
            #[inline(always)]
            fn min_b(self, a: Self::B, b: Self::B) -> Self::B {
                // SAFETY: see the head of this block.
                unsafe { $width::min_epu8(a, b) }
            }
            #[inline(always)]
            fn xor_b(self, a: Self::B, b: Self::B) -> Self::B {
                // SAFETY: see the head of this block.
                unsafe { $width::xor(a, b) }
            }
            #[inline(always)]
            fn add_from(self, sum: Self::B, code: Self::B, bound: Self::B, rise: Self::B) -> Self::B {
                // SAFETY: see the head of this block.
                unsafe { $width::add_from(sum, code, bound, rise) }
            }
            #[inline(always)]
            fn nibbles(self, a: Self::B) -> [Self::B; 2] {
                // SAFETY: see the head of this block.
                unsafe {
                    let mask = $width::set1_epi8(15);
                    [$width::and(a, mask), $width::and($width::srli_epi16::<4>(a), mask)]
                }
            }
            #[inline(always)]
            fn pairs(self, a: Self::B) -> [Self::B; 4] {
                // SAFETY: see the head of this block.
                unsafe {
                    let mask = $width::set1_epi8(3);
                    [
                        $width::and(a, mask),
                        $width::and($width::srli_epi16::<2>(a), mask),
                        $width::and($width::srli_epi16::<4>(a), mask),
                        $width::and($width::srli_epi16::<6>(a), mask),
                    ]
                }
            }
            #[inline(always)]
            fn widen(self, a: Self::B) -> [Self::I; 4] {
                // SAFETY: see the head of this block.
                unsafe {
                    let zero = $width::set1_epi8(0);
                    let (low, high) = ($width::unpacklo_epi8(a, zero), $width::unpackhi_epi8(a, zero));
                    [
                        $width::unpacklo_epi16(low, zero),
                        $width::unpackhi_epi16(low, zero),
                        $width::unpacklo_epi16(high, zero),
                        $width::unpackhi_epi16(high, zero),
                    ]
                }
            }
            #[inline(always)]
            fn join(self, [a, b, c, d]: [Self::I; 4]) -> Self::B {
                // SAFETY: see the head of this block.
                unsafe {
                    let low = $width::or(a, $width::slli_epi32::<8>(b));
                    let high = $width::or(c, $width::slli_epi32::<8>(d));
                    $width::or(low, $width::slli_epi32::<16>(high))
                }
            }
            #[inline(always)]
            fn saturate(self, lanes: [Self::I; 4], zero: u8) -> Self::B {
                // SAFETY: see the head of this block.
                unsafe {
                    let zero = $width::set1_epi16(zero.into());
                    let low = $width::adds_epi16($width::packs_epi32(lanes[0], lanes[1]), zero);
                    let high = $width::adds_epi16($width::packs_epi32(lanes[2], lanes[3]), zero);
                    $width::rows($width::packus_epi16(low, high))
                }
            }
            #[inline(always)]
            fn narrow(self, lanes: [Self::I; 4]) -> Self::B {
                // SAFETY: see the head of this block.
                unsafe {
                    let low = $width::packs_epi32(lanes[0], lanes[1]);
                    let high = $width::packs_epi32(lanes[2], lanes[3]);
                    $width::packus_epi16(low, high)
                }
            }

            #[inline(always)]
            fn splat_i(self, x: i32) -> Self::I {
                // SAFETY: see the head of this block.
                unsafe { $width::set1_epi32(x) }
            }
            #[inline(always)]
            fn add_i(self, a: Self::I, b: Self::I) -> Self::I {
                // SAFETY: see the head of this block.
                unsafe { $width::add_epi32(a, b) }
            }
            #[inline(always)]
            fn sub_i(self, a: Self::I, b: Self::I) -> Self::I {
                // SAFETY: see the head of this block.
                unsafe { $width::sub_epi32(a, b) }
            }
            #[inline(always)]
            fn float(self, a: Self::I) -> Self::F {
                // SAFETY: see the head of this block.
                unsafe { $width::to_float(a) }
            }
            #[inline(always)]
            fn round(self, a: Self::F) -> Self::I {
                // SAFETY: see the head of this block.
                unsafe { $width::to_int(a) }
            }

            #[inline(always)]
            fn splat(self, x: f32) -> Self::F {
                // SAFETY: see the head of this block.
                unsafe { $width::set1_ps(x) }
            }
            #[inline(always)]
            fn add(self, a: Self::F, b: Self::F) -> Self::F {
                // SAFETY: see the head of this block.
                unsafe { $width::add_ps(a, b) }
            }
            #[inline(always)]
            fn mul(self, a: Self::F, b: Self::F) -> Self::F {
                // SAFETY: see the head of this block.
                unsafe { $width::mul_ps(a, b) }
            }
            #[inline(always)]
            fn div(self, a: Self::F, b: Self::F) -> Self::F {
                // SAFETY: see the head of this block.
                unsafe { $width::div_ps(a, b) }
            }
            #[inline(always)]
            fn max(self, a: Self::F, b: Self::F) -> Self::F {
                // SAFETY: see the head of this block.
                unsafe { $width::max_ps(a, b) }
            }
            #[inline(always)]
            fn min(self, a: Self::F, b: Self::F) -> Self::F {
                // SAFETY: see the head of this block.
                unsafe { $width::min_ps(a, b) }
            }
            #[inline(always)]
            fn zero_nan(self, a: Self::F) -> Self::F {
                // SAFETY: see the head of this block.
                unsafe { $width::ordered(a) }
            }

            #[inline(always)]
            fn interleave(self, taps: [Self::B; 4]) -> [Self::X; 4] {
                // SAFETY: see the head of this block.
                unsafe {
                    let low01 = $width::unpacklo_epi8(taps[0], taps[1]);
                    let low23 = $width::unpacklo_epi8(taps[2], taps[3]);
                    let high01 = $width::unpackhi_epi8(taps[0], taps[1]);
                    let high23 = $width::unpackhi_epi8(taps[2], taps[3]);
                    [
                        $dots::factors($width::unpacklo_epi16(low01, low23)),
                        $dots::factors($width::unpackhi_epi16(low01, low23)),
                        $dots::factors($width::unpacklo_epi16(high01, high23)),
                        $dots::factors($width::unpackhi_epi16(high01, high23)),
                    ]
                }
            }
            #[inline(always)]
            fn splat_four(self, bytes: [u8; 4]) -> Self::B {
                // SAFETY: see the head of this block.
                unsafe { $width::set1_epi32(i32::from_le_bytes(bytes)) }
            }
            #[inline(always)]
            fn factors(self, x: Self::B) -> Self::X {
                // SAFETY: see the head of this block.
                unsafe { $dots::factors(x) }
            }
            #[inline(always)]
            fn weights(self, w: Self::B) -> Self::W {
                // SAFETY: see the head of this block.
                unsafe { $dots::weights(w) }
            }
            #[inline(always)]
            fn dot(self, acc: Self::I, x: Self::X, w: Self::W) -> Self::I {
                // SAFETY: see the head of this block.
                unsafe { $dots::dot(acc, x, w) }
            }
            $(
                #[inline(always)]
                fn dot_pairs(self, pairs: Self::I, x: Self::X, w: Self::W) -> Self::I {
                    // SAFETY: see the head of this block.
                    unsafe { $sums::dot_pairs(pairs, x, w) }
                }
                #[inline(always)]
                fn add_pairs(self, acc: Self::I, pairs: Self::I) -> Self::I {
                    // SAFETY: see the head of this block.
                    unsafe { $sums::add_pairs(acc, pairs) }
                }
            )?
            #[inline(always)]
            fn unknown(self, x: Self::X) -> Self::X {
                // SAFETY: see the head of this block.
                unsafe { $dots::unknown(x) }
            }

            #[inline(always)]
            unsafe fn load_b(self, at: *const u8) -> Self::B {
                // SAFETY: see the head of this block.
                unsafe { $width::load(at.cast()) }
            }
            #[inline(always)]
            unsafe fn store_b(self, at: *mut u8, v: Self::B) {
                // SAFETY: see the head of this block.
                unsafe { $width::store(at.cast(), v) }
            }
            #[inline(always)]
            unsafe fn load_first(self, at: *const u8, n: usize) -> Self::B {
                // SAFETY: see the head of this block.
                unsafe { $partial::load_first(at, n) }
            }
            #[inline(always)]
            unsafe fn store_first(self, at: *mut u8, v: Self::B, n: usize) {
                // SAFETY: see the head of this block.
                unsafe { $partial::store_first(at, v, n) }
            }
            #[inline(always)]
            unsafe fn store_quarters(self, v: Self::B, at: [*mut u8; 4]) {
                // SAFETY: see the head of this block.
                unsafe { $width::quarters(v, at) }
            }
            #[inline(always)]
            unsafe fn load_lanes(self, at: *const u8) -> Self::I {
                // SAFETY: see the head of this block.
                unsafe { $width::lanes(at) }
            }
            #[inline(always)]
            unsafe fn load_i(self, at: *const i32) -> Self::I {
                // SAFETY: see the head of this block.
                unsafe { $width::load(at.cast()) }
            }
            #[inline(always)]
            unsafe fn store_i(self, at: *mut i32, v: Self::I) {
                // SAFETY: see the head of this block.
                unsafe { $width::store(at.cast(), v) }
            }
            #[inline(always)]
            unsafe fn load_f(self, at: *const f32) -> Self::F {
                // SAFETY: see the head of this block.
                unsafe { $width::load_ps(at) }
            }
        }
    };
}

vector!(Avx512Vnni<64>, w512, avx512_64, masked_64, Avx512Vnni<32> = Avx512Vnni(()), 32, "avx512f,avx512bw,avx512vl,avx512vnni");
vector!(Avx512Vnni<32>, w256, avx512_32, masked_32, Avx512Vnni<16> = Avx512Vnni(()), 32, "avx512f,avx512bw,avx512vl,avx512vnni");
vector!(Avx512Vnni<16>, w128, avx512_16, masked_16, Generic<1> = Generic, 32, "avx512f,avx512bw,avx512vl,avx512vnni");
vector!(AvxVnni<32>, w256, avxvnni_32, buffered_32, AvxVnni<16> = AvxVnni(()), 16, "avx2,avxvnni");
vector!(AvxVnni<16>, w128, avxvnni_16, buffered_16, Generic<1> = Generic, 16, "avx2,avxvnni");
vector!(Avx2<32>, w256, avx2_32, buffered_32, Avx2<16> = Avx2(()), 16, "avx2");
vector!(Avx2Paired<32>, w256, paired_32, buffered_32, Avx2Paired<16> = Avx2Paired(()), 16, "avx2", paired_32);
vector!(Avx2Paired<16>, w128, paired_16, buffered_16, Generic<1> = Generic, 16, "avx2", paired_16);
vector!(Avx2<16>, w128, avx2_16, buffered_16, Generic<1> = Generic, 16, "avx2");
