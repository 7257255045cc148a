//! The few vector operations that the kernels are written in, once per instruction set.
//!
//! A kernel body is generic over [`Simd`] and marked `#[inline(always)]`; [`Simd::call`] compiles it inside a
//! function that has the instruction set's `#[target_feature]`. A value of an implementing type is the proof
//! that the CPU has those features, which is why the arithmetic methods are safe.

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
mod generic;

#[cfg(target_arch = "x86_64")]
pub(crate) use avx2::Avx2;
#[cfg(target_arch = "x86_64")]
pub(crate) use avx512::Avx512;
pub(crate) use generic::Generic;

/// A computation compiled once per instruction set. Implementations mark `run` `#[inline(always)]`.
pub(crate) trait Kernel {
    type Output;
    fn run<S: Simd>(self, simd: S) -> Self::Output;
}

/// Vectors of `LANES` f32 values.
pub(crate) trait Simd: Copy {
    /// One vector.
    type V: Copy;
    /// f32 values per vector.
    const LANES: usize;
    /// Vectors of output channels of the widest register tile of a dense convolution (at most 3).
    const VECTORS: usize;
    /// Pixels of the largest tile of 1, 2 and 3 vectors (at most 12; 0 where there is none): what fills the register
    /// file with a sum per pixel and vector, the weights, and one broadcast input. Each pixel also takes a pointer.
    const PIXELS: [usize; 3];
    /// Rows (input values) of the largest tile of 1, 2 and 3 vectors that sums the gradient of dense weights (at most
    /// 24; 0 where there is none). Rows are neighbours in memory and take no pointers.
    const ROWS: [usize; 3];
    /// Output columns of a depthwise tile (4 or 8).
    const COLUMNS: usize;

    /// Runs `kernel` with this instruction set enabled.
    fn call<K: Kernel>(self, kernel: K) -> K::Output;

    fn splat(self, x: f32) -> Self::V;
    fn add(self, a: Self::V, b: Self::V) -> Self::V;
    fn sub(self, a: Self::V, b: Self::V) -> Self::V;
    fn mul(self, a: Self::V, b: Self::V) -> Self::V;
    fn div(self, a: Self::V, b: Self::V) -> Self::V;
    /// `a·b + c`, rounded once where the CPU can.
    fn fma(self, a: Self::V, b: Self::V, c: Self::V) -> Self::V;
    fn sqrt(self, a: Self::V) -> Self::V;
    /// The greater; `b` if either is NaN.
    fn max(self, a: Self::V, b: Self::V) -> Self::V;
    /// The smaller; `b` if either is NaN.
    fn min(self, a: Self::V, b: Self::V) -> Self::V;
    /// To the nearest integer, ties to even.
    fn round(self, a: Self::V) -> Self::V;
    /// `2^n` for integral `n` in -126..=127.
    fn exp2_int(self, n: Self::V) -> Self::V;
    /// `(m, e)` with `a = m·2^e` and `m` in `[1, 2)`, for positive normal `a`.
    fn mantissa_exponent(self, a: Self::V) -> (Self::V, Self::V);
    /// Per lane `if a < b { x } else { y }`; `y` where a comparison has NaN.
    fn select_lt(self, a: Self::V, b: Self::V, x: Self::V, y: Self::V) -> Self::V;
    /// Per lane `a` where it is NaN, else `b`.
    fn nan_or(self, a: Self::V, b: Self::V) -> Self::V;
    fn abs(self, a: Self::V) -> Self::V;
    /// The magnitude of `a` with the sign of `b`.
    fn copysign(self, a: Self::V, b: Self::V) -> Self::V;

    /// # Safety
    /// `LANES` values are readable at `at`.
    unsafe fn load(self, at: *const f32) -> Self::V;
    /// The first `n` lanes, the rest zero.
    ///
    /// # Safety
    /// `n <= LANES`, and `n` values are readable at `at`.
    unsafe fn load_first(self, at: *const f32, n: usize) -> Self::V;
    /// # Safety
    /// `LANES` values are writable at `at`.
    unsafe fn store(self, at: *mut f32, v: Self::V);
    /// # Safety
    /// `n <= LANES`, and `n` values are writable at `at`.
    unsafe fn store_first(self, at: *mut f32, v: Self::V, n: usize);

    /// `x` held to `[lo, hi]`; NaN stays NaN.
    #[inline(always)]
    fn clamp(self, x: Self::V, lo: Self::V, hi: Self::V) -> Self::V {
        self.min(hi, self.max(lo, x))
    }

    /// The vector at the start of `x`; where `x` is shorter, the other lanes are zero.
    #[inline(always)]
    fn read(self, x: &[f32]) -> Self::V {
        if x.len() >= Self::LANES {
            // SAFETY: the slice holds at least `LANES` values.
            unsafe { self.load(x.as_ptr()) }
        } else {
            // SAFETY: the slice holds `x.len() < LANES` values.
            unsafe { self.load_first(x.as_ptr(), x.len()) }
        }
    }

    /// Writes `v` to the start of `x`, as far as `x` goes.
    #[inline(always)]
    fn write(self, x: &mut [f32], v: Self::V) {
        if x.len() >= Self::LANES {
            // SAFETY: the slice holds at least `LANES` values.
            unsafe { self.store(x.as_mut_ptr(), v) }
        } else {
            // SAFETY: the slice holds `x.len() < LANES` values.
            unsafe { self.store_first(x.as_mut_ptr(), v, x.len()) }
        }
    }
}
