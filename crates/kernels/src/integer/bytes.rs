//! The vector operations that the integer kernels beside the dense products are written in, once per instruction set.
//!
//! One vector of bytes is four vectors of 32-bit lanes. [`ByteSimd::widen`] deals the bytes out to them in whatever order
//! the CPU finds easiest and [`ByteSimd::narrow`] undoes it, so kernels that treat all lanes alike never see the order;
//! constants per channel are put into it once, when they are packed ([`order`]). A value of an implementing type is
//! the proof that the CPU has its instructions, which is why arithmetic is safe.
//!
//! Floats are multiplied and added, never fused, and integers wrap: every instruction set gives the same bits.

mod code;
mod generic;
#[cfg(all(target_arch = "aarch64", not(miri)))]
mod neon;
#[cfg(target_arch = "x86_64")]
mod x86;

pub(crate) use code::{CodeLanes, StepLanes};
pub(crate) use generic::Generic;
#[cfg(all(target_arch = "aarch64", not(miri)))]
pub(crate) use neon::{NeonDot, NeonI8mm};
#[cfg(target_arch = "x86_64")]
pub(crate) use x86::{Avx2, Avx2Paired, Avx512Vnni, AvxVnni};

/// A computation compiled once per instruction set. Implementations mark `run` `#[inline(always)]`.
pub(crate) trait ByteKernel {
    type Output;
    fn run<S: ByteSimd>(self, s: S) -> Self::Output;
}

/// Bytes of the widest vector.
pub(crate) const MAX_BYTES: usize = 64;

/// Vectors of `BYTES` bytes, and of `BYTES / 4` 32-bit lanes.
pub(crate) trait ByteSimd: Copy {
    /// u8 lanes.
    type B: Copy;
    /// i32 lanes.
    type I: Copy;
    /// f32 lanes.
    type F: Copy;
    /// Four factors per i32 lane: codes, less [`ByteSimd::LOWERED`].
    type X: Copy;
    /// Four s8 factors per i32 lane.
    type W: Copy;
    /// The next narrower vectors, for what is left at an end: 64, 32, 16, then 4 bytes, which are their own.
    type Narrower: ByteSimd;
    /// Bytes of a vector of bytes: 4, 16, 32 or 64.
    const BYTES: usize;
    /// ByteSimd registers: 16 or 32.
    const REGISTERS: usize;
    /// What [`ByteSimd::factors`] takes from each code: 128 where the CPU multiplies bytes of one kind of sign only. Sums
    /// then start higher by as much times the sum of their weights, which is known when those are packed.
    const LOWERED: u8 = 0;
    /// 32-bit lanes.
    const LANES: usize = Self::BYTES / 4;

    /// Whether its dot products hold only where pairs of products fit 16 bits; kernels for it split weights by that.
    const PAIRED: bool = false;
    /// Dot products that must be in flight to hide how long one takes to be added.
    const IN_FLIGHT: usize = 10;

    /// Runs `kernel` with this instruction set enabled.
    fn call<K: ByteKernel>(self, kernel: K) -> K::Output;
    fn narrower(self) -> Self::Narrower;

    fn splat_b(self, x: u8) -> Self::B;
    fn max_b(self, a: Self::B, b: Self::B) -> Self::B;
    fn min_b(self, a: Self::B, b: Self::B) -> Self::B;
    fn xor_b(self, a: Self::B, b: Self::B) -> Self::B;
    /// `sum + rise`, modulo 256, where `code >= bound`; else `sum`.
    fn add_from(self, sum: Self::B, code: Self::B, bound: Self::B, rise: Self::B) -> Self::B;
    /// The low and high four bits of each byte.
    fn nibbles(self, a: Self::B) -> [Self::B; 2];
    /// Two bits of each byte at a time, the lowest first.
    fn pairs(self, a: Self::B) -> [Self::B; 4];
    /// Bytes to lanes, in the order of [`order`].
    fn widen(self, a: Self::B) -> [Self::I; 4];
    /// The four bytes of each lane, from the lanes of four vectors, which hold 0..=255.
    fn join(self, lanes: [Self::I; 4]) -> Self::B;
    /// Lanes to bytes, one vector after the other: `clamp(lane + zero, 0, 255)`.
    fn saturate(self, lanes: [Self::I; 4], zero: u8) -> Self::B;
    /// Lanes to bytes, undoing the order of [`ByteSimd::widen`]. Lanes hold 0..=255.
    fn narrow(self, lanes: [Self::I; 4]) -> Self::B;

    fn splat_i(self, x: i32) -> Self::I;
    fn add_i(self, a: Self::I, b: Self::I) -> Self::I;
    fn sub_i(self, a: Self::I, b: Self::I) -> Self::I;
    /// To f32, to nearest even.
    fn float(self, a: Self::I) -> Self::F;
    /// To nearest even, for values in range; too low ones become the lowest.
    fn round(self, a: Self::F) -> Self::I;

    fn splat(self, x: f32) -> Self::F;
    fn add(self, a: Self::F, b: Self::F) -> Self::F;
    fn mul(self, a: Self::F, b: Self::F) -> Self::F;
    fn div(self, a: Self::F, b: Self::F) -> Self::F;
    /// The greater; `b` if either is NaN.
    fn max(self, a: Self::F, b: Self::F) -> Self::F;
    /// The smaller; `b` if either is NaN.
    fn min(self, a: Self::F, b: Self::F) -> Self::F;
    /// 0 where `a` is NaN.
    fn zero_nan(self, a: Self::F) -> Self::F;

    /// The bytes of four vectors side by side: factor `t` of each lane from `taps[t]`, lanes in the order of
    /// [`ByteSimd::widen`].
    fn interleave(self, taps: [Self::B; 4]) -> [Self::X; 4];
    /// The same four bytes, in the order of memory, in each lane.
    fn splat_four(self, bytes: [u8; 4]) -> Self::B;
    /// The four codes of each lane as factors.
    fn factors(self, x: Self::B) -> Self::X;
    /// The four bytes of each lane as s8 factors.
    fn weights(self, w: Self::B) -> Self::W;
    /// `acc + Σ x·w` over the four factors of each lane.
    fn dot(self, acc: Self::I, x: Self::X, w: Self::W) -> Self::I;
    /// [`ByteSimd::dot`] in what [`ByteSimd::add_pairs`] takes: where [`ByteSimd::PAIRED`] and no sum of two neighbouring
    /// products leaves 16 bits over all the steps, in two sums of 16 bits per lane, which takes one instruction less.
    #[inline(always)]
    fn dot_pairs(self, pairs: Self::I, x: Self::X, w: Self::W) -> Self::I {
        self.dot(pairs, x, w)
    }
    /// `acc` and what [`ByteSimd::dot_pairs`] summed from zero on.
    #[inline(always)]
    fn add_pairs(self, acc: Self::I, pairs: Self::I) -> Self::I {
        self.add_i(acc, pairs)
    }
    /// `x`, in registers, as the compiler must take it: for anything. What measures arithmetic needs it to be done.
    fn unknown(self, x: Self::X) -> Self::X;

    /// # Safety
    /// `BYTES` bytes are readable at `at`.
    unsafe fn load_b(self, at: *const u8) -> Self::B;
    /// # Safety
    /// `BYTES` bytes are writable at `at`.
    unsafe fn store_b(self, at: *mut u8, v: Self::B);
    /// The first `n` bytes, the rest zero.
    ///
    /// # Safety
    /// `n < BYTES`, and `n` bytes are readable at `at`.
    unsafe fn load_first(self, at: *const u8, n: usize) -> Self::B;
    /// # Safety
    /// `n < BYTES`, and `n` bytes are writable at `at`.
    unsafe fn store_first(self, at: *mut u8, v: Self::B, n: usize);
    /// A quarter of the bytes to each place.
    ///
    /// # Safety
    /// `LANES` bytes are writable at each.
    unsafe fn store_quarters(self, v: Self::B, at: [*mut u8; 4]);
    /// `LANES` bytes to lanes, in order.
    ///
    /// # Safety
    /// `LANES` bytes are readable at `at`.
    unsafe fn load_lanes(self, at: *const u8) -> Self::I;
    /// # Safety
    /// `LANES` values are readable at `at`.
    unsafe fn load_i(self, at: *const i32) -> Self::I;
    /// # Safety
    /// `LANES` values are writable at `at`.
    unsafe fn store_i(self, at: *mut i32, v: Self::I);
    /// # Safety
    /// `LANES` values are readable at `at`.
    unsafe fn load_f(self, at: *const f32) -> Self::F;

    /// The first `n[i]` bytes of quarter `i` to place `i`, multiples of 4.
    ///
    /// # Safety
    /// `n[i] <= LANES`, and `n[i]` bytes are writable at `at[i]`.
    #[inline(always)]
    unsafe fn store_quarters_first(self, v: Self::B, at: [*mut u8; 4], n: [usize; 4]) {
        let mut bytes = [0u8; MAX_BYTES];
        // SAFETY: the array holds the widest vector, the places are the caller's.
        unsafe {
            self.store_b(bytes.as_mut_ptr(), v);
            for i in 0..4 {
                copy_fours(bytes.as_ptr().add(i * Self::LANES), at[i], n[i]);
            }
        }
    }

    /// `n` bytes, a multiple of 4, to as many lanes; the others are zero.
    ///
    /// # Safety
    /// `n <= LANES`, and `n` bytes are readable at `at`.
    #[inline(always)]
    unsafe fn load_lanes_first(self, at: *const u8, n: usize) -> Self::I {
        let mut bytes = [0; MAX_BYTES / 4];
        // SAFETY: the bytes are the caller's, and the array holds those of the widest vector.
        unsafe {
            copy_fours(at, bytes.as_mut_ptr(), n);
            self.load_lanes(bytes.as_ptr())
        }
    }

    /// The bytes at the start of `x`; where `x` is shorter than a vector, the others are 0.
    #[inline(always)]
    fn read(self, x: &[u8]) -> Self::B {
        if x.len() >= Self::BYTES {
            // SAFETY: the slice holds at least `BYTES` bytes.
            unsafe { self.load_b(x.as_ptr()) }
        } else {
            // SAFETY: the slice holds `x.len() < BYTES` bytes.
            unsafe { self.load_first(x.as_ptr(), x.len()) }
        }
    }

    /// Writes `v` to the start of `x`, as far as `x` goes.
    #[inline(always)]
    fn write(self, x: &mut [u8], v: Self::B) {
        if x.len() >= Self::BYTES {
            // SAFETY: the slice holds at least `BYTES` bytes.
            unsafe { self.store_b(x.as_mut_ptr(), v) }
        } else {
            // SAFETY: the slice holds `x.len() < BYTES` bytes.
            unsafe { self.store_first(x.as_mut_ptr(), v, x.len()) }
        }
    }
}

/// The byte that [`ByteSimd::widen`] puts into each lane: entry `v · LANES + lane` for lane `lane` of vector `v`.
#[inline(always)]
pub(crate) fn order<S: ByteSimd>(s: S) -> [usize; MAX_BYTES] {
    let bytes: [u8; MAX_BYTES] = std::array::from_fn(|i| i as u8);
    let mut lanes = [0i32; MAX_BYTES];
    for (v, lane) in s.widen(s.read(&bytes)).into_iter().enumerate() {
        // SAFETY: four vectors of `LANES` lanes are at most `MAX_BYTES` lanes.
        unsafe { s.store_i(lanes.as_mut_ptr().add(v * S::LANES), lane) }
    }
    lanes.map(|byte| byte as usize)
}

/// Copies `len` bytes, a multiple of 4 and at most 16. Not a loop, which would become a call.
///
/// # Safety
/// They are readable and writable, and do not overlap.
#[inline(always)]
unsafe fn copy_fours(from: *const u8, to: *mut u8, len: usize) {
    macro_rules! four {
        ($($at:literal)*) => {$(
            if len > $at {
                // SAFETY: the caller's bytes, which need no alignment.
                unsafe { to.add($at).cast::<[u8; 4]>().write(from.add($at).cast::<[u8; 4]>().read()) }
            }
        )*};
    }
    four!(0 4 8 12);
}
