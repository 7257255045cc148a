//! Requantization of vectors of sums, in registers: [`Requantize::encode`] lane by lane.

use super::{Code, Requantize, Steps};
use crate::integer::bytes::{ByteSimd, MAX_BYTES};

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
        if let Some(steps) = self.steps {
            return levels(s, steps, v);
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
        s.min_b(s.max_b(s.saturate(codes, self.zero), self.ends[0]), self.ends[1])
    }
}

/// The level of each lane: plain loops, which the compiler turns into vectors but for the look-up.
#[inline(always)]
fn levels<S: ByteSimd>(s: S, steps: &Steps, v: [S::F; 4]) -> S::B {
    let mut values = [0.0; MAX_BYTES];
    for (i, v) in v.into_iter().enumerate() {
        // SAFETY: four vectors of `LANES` lanes are at most `MAX_BYTES` lanes.
        unsafe { s.store_f(values.as_mut_ptr().add(i * S::LANES), v) }
    }
    let mut passed = [0u32; MAX_BYTES];
    for &threshold in &steps.thresholds {
        for (passed, &value) in passed[..S::BYTES].iter_mut().zip(&values) {
            *passed += u32::from(threshold <= value);
        }
    }
    s.read(&passed.map(|passed| steps.levels[passed as usize])[..S::BYTES])
}
