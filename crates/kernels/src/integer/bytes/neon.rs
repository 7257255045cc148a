//! aarch64: NEON with dot products, in vectors of 16 bytes.
//!
//! `usdot` of the matrix extension (i8mm) multiplies codes by weights as they are. `sdot`, which far more CPUs have,
//! takes signed bytes on both sides: codes become factors 128 lower, and sums start higher for it
//! ([`ByteSimd::LOWERED`]). Both instructions are written in assembly, since their intrinsics are unstable. Everything else is
//! part of every aarch64 CPU, and lanes keep the order of memory.

use std::arch::aarch64::*;
use std::arch::asm;

use super::{ByteKernel, ByteSimd, Generic};

/// A dot product of four signed bytes each.
mod dotprod {
    use super::*;

    pub(super) type X = int8x16_t;
    pub(super) const LOWERED: u8 = 128;

    #[inline]
    #[target_feature(enable = "neon,dotprod")]
    pub(super) fn factors(x: uint8x16_t) -> X {
        vreinterpretq_s8_u8(veorq_u8(x, vdupq_n_u8(LOWERED)))
    }

    #[inline]
    #[target_feature(enable = "neon,dotprod")]
    pub(super) fn dot(mut acc: int32x4_t, x: X, w: int8x16_t) -> int32x4_t {
        // SAFETY: registers only, of an instruction that the feature has.
        unsafe {
            asm!(
                "sdot {acc:v}.4s, {x:v}.16b, {w:v}.16b",
                acc = inout(vreg) acc, x = in(vreg) x, w = in(vreg) w,
                options(pure, nomem, nostack, preserves_flags),
            );
        }
        acc
    }
}

/// A dot product of four unsigned bytes and four signed ones.
mod i8mm {
    use super::*;

    pub(super) type X = uint8x16_t;
    pub(super) const LOWERED: u8 = 0;

    #[inline]
    #[target_feature(enable = "neon,i8mm")]
    pub(super) fn factors(x: uint8x16_t) -> X {
        x
    }

    #[inline]
    #[target_feature(enable = "neon,i8mm")]
    pub(super) fn dot(mut acc: int32x4_t, x: X, w: int8x16_t) -> int32x4_t {
        // SAFETY: registers only, of an instruction that the feature has.
        unsafe {
            asm!(
                "usdot {acc:v}.4s, {x:v}.16b, {w:v}.16b",
                acc = inout(vreg) acc, x = in(vreg) x, w = in(vreg) w,
                options(pure, nomem, nostack, preserves_flags),
            );
        }
        acc
    }
}

macro_rules! neon {
    ($isa:ident, $dots:ident, $features:literal) => {
        #[doc = concat!("Proof that this CPU has `", $features, "`.")]
        #[derive(Clone, Copy)]
        pub(crate) struct $isa(());

        impl $isa {
            /// # Safety
            #[doc = concat!("The CPU has `", $features, "`.")]
            pub(crate) unsafe fn new() -> $isa {
                $isa(())
            }
        }

        // SAFETY, for each method: `self` exists only where the CPU has the features of its type; memory is as the caller
        // promises, and no access asks for alignment.
        impl ByteSimd for $isa {
            type B = uint8x16_t;
            type I = int32x4_t;
            type F = float32x4_t;
            type X = $dots::X;
            type W = int8x16_t;
            type Narrower = Generic<1>;
            const BYTES: usize = 16;
            const REGISTERS: usize = 32;
            const LOWERED: u8 = $dots::LOWERED;

            #[inline(always)]
            fn call<K: ByteKernel>(self, kernel: K) -> K::Output {
                // A kernel is worth a call, and large where it is inlined many times.
                #[target_feature(enable = $features)]
                #[inline(never)]
                fn call<K: ByteKernel>(s: $isa, kernel: K) -> K::Output {
                    kernel.run(s)
                }
                // SAFETY: see the head of this block.
                unsafe { call(self, kernel) }
            }
            #[inline(always)]
            fn narrower(self) -> Generic<1> {
                Generic
            }

            #[inline(always)]
            fn splat_b(self, x: u8) -> Self::B {
                // SAFETY: see the head of this block.
                unsafe { vdupq_n_u8(x) }
            }
            #[inline(always)]
            fn max_b(self, a: Self::B, b: Self::B) -> Self::B {
                // SAFETY: see the head of this block.
                unsafe { vmaxq_u8(a, b) }
            }
            #[inline(always)]
            fn min_b(self, a: Self::B, b: Self::B) -> Self::B {
                // SAFETY: see the head of this block.
                unsafe { vminq_u8(a, b) }
            }
            #[inline(always)]
            fn xor_b(self, a: Self::B, b: Self::B) -> Self::B {
                // SAFETY: see the head of this block.
                unsafe { veorq_u8(a, b) }
            }
            #[inline(always)]
            fn add_from(self, sum: Self::B, code: Self::B, bound: Self::B, rise: Self::B) -> Self::B {
                // SAFETY: see the head of this block.
                unsafe { vaddq_u8(sum, vandq_u8(rise, vcgeq_u8(code, bound))) }
            }
            #[inline(always)]
            fn nibbles(self, a: Self::B) -> [Self::B; 2] {
                // SAFETY: see the head of this block.
                unsafe { [vandq_u8(a, vdupq_n_u8(15)), vshrq_n_u8::<4>(a)] }
            }
            #[inline(always)]
            fn pairs(self, a: Self::B) -> [Self::B; 4] {
                // SAFETY: see the head of this block.
                unsafe {
                    let mask = vdupq_n_u8(3);
                    [
                        vandq_u8(a, mask),
                        vandq_u8(vshrq_n_u8::<2>(a), mask),
                        vandq_u8(vshrq_n_u8::<4>(a), mask),
                        vshrq_n_u8::<6>(a),
                    ]
                }
            }
            #[inline(always)]
            fn widen(self, a: Self::B) -> [Self::I; 4] {
                // SAFETY: see the head of this block.
                unsafe {
                    let (low, high) = (vmovl_u8(vget_low_u8(a)), vmovl_high_u8(a));
                    [
                        vreinterpretq_s32_u32(vmovl_u16(vget_low_u16(low))),
                        vreinterpretq_s32_u32(vmovl_high_u16(low)),
                        vreinterpretq_s32_u32(vmovl_u16(vget_low_u16(high))),
                        vreinterpretq_s32_u32(vmovl_high_u16(high)),
                    ]
                }
            }
            #[inline(always)]
            fn join(self, [a, b, c, d]: [Self::I; 4]) -> Self::B {
                // SAFETY: see the head of this block.
                unsafe {
                    let low = vorrq_s32(a, vshlq_n_s32::<8>(b));
                    let high = vorrq_s32(c, vshlq_n_s32::<8>(d));
                    vreinterpretq_u8_s32(vorrq_s32(low, vshlq_n_s32::<16>(high)))
                }
            }
            #[inline(always)]
            fn saturate(self, [a, b, c, d]: [Self::I; 4], zero: u8) -> Self::B {
                // SAFETY: see the head of this block.
                unsafe {
                    let zero = vdupq_n_s16(zero.into());
                    let low = vqaddq_s16(vqmovn_high_s32(vqmovn_s32(a), b), zero);
                    let high = vqaddq_s16(vqmovn_high_s32(vqmovn_s32(c), d), zero);
                    vqmovun_high_s16(vqmovun_s16(low), high)
                }
            }
            #[inline(always)]
            fn narrow(self, lanes: [Self::I; 4]) -> Self::B {
                self.saturate(lanes, 0)
            }

            #[inline(always)]
            fn splat_i(self, x: i32) -> Self::I {
                // SAFETY: see the head of this block.
                unsafe { vdupq_n_s32(x) }
            }
            #[inline(always)]
            fn add_i(self, a: Self::I, b: Self::I) -> Self::I {
                // SAFETY: see the head of this block.
                unsafe { vaddq_s32(a, b) }
            }
            #[inline(always)]
            fn sub_i(self, a: Self::I, b: Self::I) -> Self::I {
                // SAFETY: see the head of this block.
                unsafe { vsubq_s32(a, b) }
            }
            #[inline(always)]
            fn float(self, a: Self::I) -> Self::F {
                // SAFETY: see the head of this block.
                unsafe { vcvtq_f32_s32(a) }
            }
            #[inline(always)]
            fn round(self, a: Self::F) -> Self::I {
                // SAFETY: see the head of this block.
                unsafe { vcvtnq_s32_f32(a) }
            }

            #[inline(always)]
            fn splat(self, x: f32) -> Self::F {
                // SAFETY: see the head of this block.
                unsafe { vdupq_n_f32(x) }
            }
            #[inline(always)]
            fn add(self, a: Self::F, b: Self::F) -> Self::F {
                // SAFETY: see the head of this block.
                unsafe { vaddq_f32(a, b) }
            }
            #[inline(always)]
            fn mul(self, a: Self::F, b: Self::F) -> Self::F {
                // SAFETY: see the head of this block.
                unsafe { vmulq_f32(a, b) }
            }
            #[inline(always)]
            fn div(self, a: Self::F, b: Self::F) -> Self::F {
                // SAFETY: see the head of this block.
                unsafe { vdivq_f32(a, b) }
            }
            #[inline(always)]
            fn max(self, a: Self::F, b: Self::F) -> Self::F {
                // The instruction for it gives NaN where one is. SAFETY: see the head of this block.
                unsafe { vbslq_f32(vcgtq_f32(a, b), a, b) }
            }
            #[inline(always)]
            fn min(self, a: Self::F, b: Self::F) -> Self::F {
                // SAFETY: see the head of this block.
                unsafe { vbslq_f32(vcltq_f32(a, b), a, b) }
            }
            #[inline(always)]
            fn zero_nan(self, a: Self::F) -> Self::F {
                // SAFETY: see the head of this block.
                unsafe { vreinterpretq_f32_u32(vandq_u32(vreinterpretq_u32_f32(a), vceqq_f32(a, a))) }
            }

            #[inline(always)]
            fn interleave(self, [a, b, c, d]: [Self::B; 4]) -> [Self::X; 4] {
                // SAFETY: see the head of this block.
                unsafe {
                    let words = |a, b| {
                        [vreinterpretq_u16_u8(vzip1q_u8(a, b)), vreinterpretq_u16_u8(vzip2q_u8(a, b))]
                    };
                    let ([low01, high01], [low23, high23]) = (words(a, b), words(c, d));
                    [
                        $dots::factors(vreinterpretq_u8_u16(vzip1q_u16(low01, low23))),
                        $dots::factors(vreinterpretq_u8_u16(vzip2q_u16(low01, low23))),
                        $dots::factors(vreinterpretq_u8_u16(vzip1q_u16(high01, high23))),
                        $dots::factors(vreinterpretq_u8_u16(vzip2q_u16(high01, high23))),
                    ]
                }
            }
            #[inline(always)]
            fn splat_four(self, bytes: [u8; 4]) -> Self::B {
                // SAFETY: see the head of this block.
                unsafe { vreinterpretq_u8_u32(vdupq_n_u32(u32::from_le_bytes(bytes))) }
            }
            #[inline(always)]
            fn factors(self, x: Self::B) -> Self::X {
                // SAFETY: see the head of this block.
                unsafe { $dots::factors(x) }
            }
            #[inline(always)]
            fn weights(self, w: Self::B) -> Self::W {
                // SAFETY: see the head of this block.
                unsafe { vreinterpretq_s8_u8(w) }
            }
            #[inline(always)]
            fn dot(self, acc: Self::I, x: Self::X, w: Self::W) -> Self::I {
                // SAFETY: see the head of this block.
                unsafe { $dots::dot(acc, x, w) }
            }
            #[inline(always)]
            fn unknown(self, mut x: Self::X) -> Self::X {
                // SAFETY: no instruction at all.
                unsafe { asm!("/* {x:v} */", x = inout(vreg) x, options(nomem, nostack, preserves_flags)) };
                x
            }

            #[inline(always)]
            unsafe fn load_b(self, at: *const u8) -> Self::B {
                // SAFETY: see the head of this block.
                unsafe { vld1q_u8(at) }
            }
            #[inline(always)]
            unsafe fn store_b(self, at: *mut u8, v: Self::B) {
                // SAFETY: see the head of this block.
                unsafe { vst1q_u8(at, v) }
            }
            #[inline(always)]
            unsafe fn load_first(self, at: *const u8, n: usize) -> Self::B {
                let mut whole = [0u8; 16];
                // SAFETY: `n` bytes of the caller's fit the array, which is a vector long.
                unsafe {
                    std::ptr::copy_nonoverlapping(at, whole.as_mut_ptr(), n);
                    vld1q_u8(whole.as_ptr())
                }
            }
            #[inline(always)]
            unsafe fn store_first(self, at: *mut u8, v: Self::B, n: usize) {
                let mut whole = [0u8; 16];
                // SAFETY: the array is a vector long, and `n` bytes of it fit the caller's.
                unsafe {
                    vst1q_u8(whole.as_mut_ptr(), v);
                    std::ptr::copy_nonoverlapping(whole.as_ptr(), at, n);
                }
            }
            #[inline(always)]
            unsafe fn store_quarters(self, v: Self::B, at: [*mut u8; 4]) {
                // SAFETY: see the head of this block.
                unsafe {
                    let quarters = vreinterpretq_u32_u8(v);
                    at[0].cast::<u32>().write_unaligned(vgetq_lane_u32::<0>(quarters));
                    at[1].cast::<u32>().write_unaligned(vgetq_lane_u32::<1>(quarters));
                    at[2].cast::<u32>().write_unaligned(vgetq_lane_u32::<2>(quarters));
                    at[3].cast::<u32>().write_unaligned(vgetq_lane_u32::<3>(quarters));
                }
            }
            #[inline(always)]
            unsafe fn load_lanes(self, at: *const u8) -> Self::I {
                // SAFETY: see the head of this block.
                unsafe {
                    let bytes = vcreate_u8(at.cast::<u32>().read_unaligned().into());
                    vreinterpretq_s32_u32(vmovl_u16(vget_low_u16(vmovl_u8(bytes))))
                }
            }
            #[inline(always)]
            unsafe fn load_i(self, at: *const i32) -> Self::I {
                // SAFETY: see the head of this block.
                unsafe { vld1q_s32(at) }
            }
            #[inline(always)]
            unsafe fn store_i(self, at: *mut i32, v: Self::I) {
                // SAFETY: see the head of this block.
                unsafe { vst1q_s32(at, v) }
            }
            #[inline(always)]
            unsafe fn load_f(self, at: *const f32) -> Self::F {
                // SAFETY: see the head of this block.
                unsafe { vld1q_f32(at) }
            }
        }
    };
}

neon!(NeonDot, dotprod, "neon,dotprod");
neon!(NeonI8mm, i8mm, "neon,i8mm");
