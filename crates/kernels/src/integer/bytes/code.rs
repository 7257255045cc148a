//! [`Code::encode`] and its kin, lane by lane.
//!
//! Loops over four vectors are written out: a closure has none of the instruction sets of the function around it, and what
//! is called in it stays a call where the compiler does not inline it.

use super::ByteSimd;
use crate::integer::Code;

/// The constants of a [`Code`].
#[derive(Clone, Copy)]
pub(crate) struct CodeLanes<S: ByteSimd> {
    bounds: [S::F; 2],
    zero: S::I,
}

impl<S: ByteSimd> CodeLanes<S> {
    #[inline(always)]
    pub(crate) fn new(s: S, code: Code) -> CodeLanes<S> {
        let [lo, hi] = code.bounds();
        CodeLanes { bounds: [s.splat(lo), s.splat(hi)], zero: s.splat_i(code.zero.into()) }
    }

    /// The codes of `steps`; the lowest where they are not numbers.
    #[inline(always)]
    pub(crate) fn encode(&self, s: S, steps: S::F) -> S::I {
        let [lo, hi] = self.bounds;
        s.add_i(s.round(s.min(s.max(steps, lo), hi)), self.zero)
    }

    /// The codes of `sums` times their scales.
    #[inline(always)]
    pub(crate) fn of_sums(&self, s: S, sums: [S::I; 4], scales: [S::F; 4]) -> S::B {
        let mut codes = sums;
        for v in 0..4 {
            codes[v] = self.encode(s, s.mul(s.float(sums[v]), scales[v]));
        }
        s.narrow(codes)
    }
}

/// Distances of codes from `zero`, in steps of `scale`.
#[derive(Clone, Copy)]
pub(crate) struct StepLanes<S: ByteSimd> {
    zero: S::I,
    scale: S::F,
}

impl<S: ByteSimd> StepLanes<S> {
    #[inline(always)]
    pub(crate) fn new(s: S, zero: u8, scale: f32) -> StepLanes<S> {
        StepLanes { zero: s.splat_i(zero.into()), scale: s.splat(scale) }
    }

    #[inline(always)]
    pub(crate) fn decode(&self, s: S, codes: S::I) -> S::F {
        s.mul(s.float(s.sub_i(codes, self.zero)), self.scale)
    }
}
