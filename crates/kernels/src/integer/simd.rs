//! The few vector operations that integer kernels are written in, once per instruction set.
//!
//! As [`Simd`] for floats: bodies are generic over [`IntSimd`] and marked `#[inline(always)]`, [`IntSimd::call`]
//! compiles them with the instruction set's features, and a value of an implementing type is the proof that the CPU
//! has those. The f32 arithmetic of requantization is that of [`IntSimd::Float`].

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
mod generic;

#[cfg(target_arch = "x86_64")]
pub(crate) use avx2::{Int256, Paired, Vnni, Widened};
#[cfg(target_arch = "x86_64")]
pub(crate) use avx512::Avx512Vnni;
pub(crate) use generic::GenericInt;

use crate::simd::Simd;

/// An integer computation compiled once per instruction set. Implementations mark `run` `#[inline(always)]`.
pub(crate) trait IntKernel {
    type Output;
    fn run<S: IntSimd>(self, simd: S) -> Self::Output;
}

/// The f32 vector that belongs to an [`IntSimd`].
pub(crate) type Floats<S> = <<S as IntSimd>::Float as Simd>::V;

/// Vectors of `LANES` 32-bit sums. Arithmetic wraps.
pub(crate) trait IntSimd: Copy {
    /// The f32 side, with as many lanes.
    type Float: Simd;
    /// One vector of i32.
    type I: Copy;
    /// Four codes, the same in every lane, as `dot` takes them.
    type X: Copy;
    /// Four weights per lane, as `dot` takes them.
    type W: Copy;
    /// i32 values per vector.
    const LANES: usize = <Self::Float as Simd>::LANES;
    /// Pixels of the largest register tile of 1, 2, 3 and 4 vectors of output channels (0 where there is none).
    const PIXELS: [usize; 4];

    /// Runs `kernel` with this instruction set enabled.
    fn call<K: IntKernel>(self, kernel: K) -> K::Output;
    /// The f32 side.
    fn float(self) -> Self::Float;

    fn splat(self, x: i32) -> Self::I;
    fn add(self, a: Self::I, b: Self::I) -> Self::I;
    /// `sums[l] + Σ x[i]·w[l][i]` over four codes and weights per lane.
    fn dot(self, sums: Self::I, x: Self::X, w: Self::W) -> Self::I;
    /// Rounded to nearest f32, ties to even.
    fn to_f32(self, a: Self::I) -> Floats<Self>;
    /// Rounded to the nearest integer, ties to even; defined for |a| < 2^31.
    fn to_i32(self, a: Floats<Self>) -> Self::I;
    /// `table[index]` per lane; each index is below `table.len()`, at most 256.
    fn lookup(self, table: &[u8], index: Self::I) -> Self::I;

    /// Four codes for `dot`.
    ///
    /// # Safety
    /// 4 bytes are readable at `at`.
    unsafe fn codes(self, at: *const u8) -> Self::X;
    /// Weights `[lane][4]` for `dot`.
    ///
    /// # Safety
    /// `4 · LANES` bytes are readable at `at`.
    unsafe fn weights(self, at: *const u8) -> Self::W;
    /// `N` = 2 or 4 times weights `[lane][4]` of `8 / N` bits that share bytes, the first in the lowest bits of each, as
    /// unsigned numbers.
    ///
    /// # Safety
    /// `4 · LANES` bytes are readable at `at`.
    unsafe fn unpack<const N: usize>(self, at: *const u8) -> [Self::W; N];
    /// # Safety
    /// `LANES` values are readable at `at`.
    unsafe fn load(self, at: *const i32) -> Self::I;
    /// # Safety
    /// `LANES` values are writable at `at`.
    unsafe fn store(self, at: *mut i32, v: Self::I);
    /// The first `n` lanes from bytes, the rest zero.
    ///
    /// # Safety
    /// `n <= LANES`, and `n` bytes are readable at `at`.
    unsafe fn load_bytes(self, at: *const u8, n: usize) -> Self::I;
    /// The first `n` lanes, each in `0..=255`, as bytes.
    ///
    /// # Safety
    /// `n <= LANES`, and `n` bytes are writable at `at`.
    unsafe fn store_bytes(self, at: *mut u8, v: Self::I, n: usize);
}
