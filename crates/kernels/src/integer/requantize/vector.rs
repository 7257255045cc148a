//! Requantization of vectors of sums, in registers: [`Requantize::encode`] lane by lane.

use super::{Code, Requantize, Steps};
use crate::integer::simd::{Floats, IntSimd};
use crate::simd::Simd;

/// The constants of a [`Requantize`] as vectors.
#[derive(Clone, Copy)]
pub(crate) struct Encoder<'a, S: IntSimd> {
    bounds: [Floats<S>; 2],
    zero: S::I,
    inner: Option<([Floats<S>; 2], Floats<S>)>,
    residual: Option<(Floats<S>, Floats<S>)>,
    steps: Option<&'a Steps>,
}

#[inline(always)]
fn bounds<S: IntSimd>(simd: S, code: Code) -> [Floats<S>; 2] {
    code.bounds().map(|end| simd.float().splat(end))
}

/// `x` held to bounds, the lower one if it is NaN.
#[inline(always)]
fn clip<S: IntSimd>(simd: S, x: Floats<S>, [lo, hi]: [Floats<S>; 2]) -> Floats<S> {
    simd.float().min(simd.float().max(x, lo), hi)
}

impl<'a, S: IntSimd> Encoder<'a, S> {
    #[inline(always)]
    pub(crate) fn new(simd: S, of: &'a Requantize) -> Encoder<'a, S> {
        let splat = |x: f32| simd.float().splat(x);
        Encoder {
            bounds: bounds(simd, of.code),
            zero: simd.splat(of.code.zero.into()),
            inner: of.inner.map(|inner| (bounds(simd, inner.code), splat(inner.scale))),
            residual: of.residual.map(|added| (splat(added.zero.into()), splat(added.scale))),
            steps: of.steps.as_ref(),
        }
    }

    /// Whether `encode` reads its `residual`.
    #[inline(always)]
    pub(crate) fn adds(&self) -> bool {
        self.residual.is_some()
    }

    /// The codes of `sums` with their channels' `scale`; `residual` are codes, as [`IntSimd::load_bytes`] reads them.
    #[inline(always)]
    pub(crate) fn encode(&self, simd: S, sums: S::I, scale: Floats<S>, residual: S::I) -> S::I {
        let f = simd.float();
        let mut v = f.mul(simd.to_f32(sums), scale);
        if let Some((bounds, scale)) = self.inner {
            v = f.mul(f.round(clip(simd, v, bounds)), scale);
        }
        if let Some((zero, scale)) = self.residual {
            v = f.add(v, f.mul(f.sub(simd.to_f32(residual), zero), scale));
        }
        match self.steps {
            None => simd.add(simd.to_i32(clip(simd, v, self.bounds)), self.zero),
            Some(steps) => {
                let v = f.max(v, f.splat(f32::NEG_INFINITY));
                let [none, one] = [f.splat(0.0), f.splat(1.0)];
                let below = steps
                    .thresholds
                    .iter()
                    .fold(none, |count, &t| f.add(count, f.select_lt(v, f.splat(t), none, one)));
                simd.lookup(&steps.levels, simd.to_i32(below))
            }
        }
    }
}
