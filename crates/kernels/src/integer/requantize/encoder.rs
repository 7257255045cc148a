//! Requantization of vectors of sums, in registers: [`Requantize::encode`] lane by lane.

use super::{Code, Requantize, Steps};
use crate::integer::bytes::ByteSimd;

/// The constants of a [`Requantize`] as vectors.
#[derive(Clone, Copy)]
pub(crate) struct Encoder<'a, S: ByteSimd> {
    /// Bounds in steps; absent where no value is too large for an i32, since bytes saturate by themselves.
    bounds: Option<[S::F; 2]>,
    zero: u8,
    ends: [S::B; 2],
    inner: Option<([S::F; 2], S::F)>,
    residual: Option<(S::I, S::F)>,
    steps: Option<&'a Steps>,
}

#[inline(always)]
fn bounds<S: ByteSimd>(s: S, code: Code) -> [S::F; 2] {
    code.bounds().map(|end| s.splat(end))
}

/// `x` held to bounds, the lower one if it is NaN.
#[inline(always)]
fn clip<S: ByteSimd>(s: S, x: S::F, [lo, hi]: [S::F; 2]) -> S::F {
    s.min(s.max(x, lo), hi)
}

impl<'a, S: ByteSimd> Encoder<'a, S> {
    #[inline(always)]
    pub(crate) fn new(s: S, of: &'a Requantize) -> Encoder<'a, S> {
        Encoder {
            bounds: (!of.is_tame()).then(|| bounds(s, of.code)),
            zero: of.code.zero,
            ends: [of.code.lo, of.code.hi].map(|end| s.splat_b(end)),
            inner: of.inner.map(|inner| (bounds(s, inner.code), s.splat(inner.scale))),
            residual: of.residual.map(|added| (s.splat_i(added.zero.into()), s.splat(added.scale))),
            steps: of.steps.as_ref(),
        }
    }

    /// Whether `encode` reads its `residual`.
    #[inline(always)]
    pub(crate) fn adds(&self) -> bool {
        self.residual.is_some()
    }

    /// The codes of four vectors of `sums`, one after the other, with the `scale` of their lanes' channels; lanes of
    /// `residual` are codes.
    #[inline(always)]
    pub(crate) fn encode(&self, s: S, sums: [S::I; 4], scale: [S::F; 4], residual: [S::I; 4]) -> S::B {
        // Plain loops: closures may become calls, without the instruction set.
        let mut v = [s.splat(0.0); 4];
        for i in 0..4 {
            v[i] = s.mul(s.float(sums[i]), scale[i]);
        }
        if let Some((bounds, scale)) = self.inner {
            for v in &mut v {
                *v = s.mul(s.float(s.round(clip(s, *v, bounds))), scale);
            }
        }
        if let Some((zero, scale)) = self.residual {
            for i in 0..4 {
                v[i] = s.add(v[i], s.mul(s.float(s.sub_i(residual[i], zero)), scale));
            }
        }
        if let Some(bounds) = self.bounds {
            for v in &mut v {
                *v = clip(s, *v, bounds);
            }
        }
        let mut codes = sums;
        for i in 0..4 {
            codes[i] = s.round(v[i]);
        }
        let codes = s.min_b(s.max_b(s.saturate(codes, self.zero), self.ends[0]), self.ends[1]);
        match self.steps {
            Some(steps) => levels(s, steps, codes),
            None => codes,
        }
    }
}

/// The level of each code.
#[inline(always)]
fn levels<S: ByteSimd>(s: S, steps: &Steps, codes: S::B) -> S::B {
    let mut levels = s.splat_b(steps.first);
    for &(bound, rise) in &steps.rises {
        levels = s.add_from(levels, codes, s.splat_b(bound), s.splat_b(rise));
    }
    levels
}
