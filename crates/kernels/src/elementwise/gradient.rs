//! Gradients of the functions of one value.
//!
//! Where a function has a corner, its gradient there is that of the flat side: ReLU passes nothing at 0, Clip and the
//! hard functions nothing at a bound, LeakyRelu `alpha` at 0.

use super::Unary;
use crate::simd::{Kernel, Simd};
use crate::{Isa, math};

/// The tensor from which a gradient is computed, kept from the forward pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kept {
    /// `x`.
    Input,
    /// `y`; the input may be overwritten.
    Output,
}

impl Unary {
    /// What [`unary_backward`] needs: the output wherever it tells enough, as it is there after a fused layer too.
    pub fn kept(self) -> Kept {
        match self {
            Unary::Relu
            | Unary::Clip { .. }
            | Unary::Sigmoid
            | Unary::Tanh
            | Unary::Exp
            | Unary::HardSigmoid { .. } => Kept::Output,
            Unary::LeakyRelu { .. } | Unary::Silu | Unary::Erf | Unary::Gelu | Unary::HardSwish => {
                Kept::Input
            }
        }
    }
}

/// Turns the gradient of the outputs, `dy`, into that of the inputs, in place: `dy[i] *= op'`, from the inputs or
/// outputs `kept`, as [`Unary::kept`] says. NaN in `kept` gives 0 for the functions with a flat side, NaN for the others.
///
/// # Panics
/// The lengths differ.
pub fn unary_backward(isa: Isa, op: Unary, kept: &[f32], dy: &mut [f32]) {
    assert_eq!(kept.len(), dy.len(), "lengths of input or output and gradient");
    isa.run(Backward(op, kept, dy));
}

struct Backward<'a>(Unary, &'a [f32], &'a mut [f32]);

impl Kernel for Backward<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let Backward(op, kept, dy) = self;
        // A macro, not a closure: closures do not take part in the caller's target features.
        macro_rules! each {
            ($kept:ident, $dy:ident => $dx:expr) => {{
                let (mut gradients, mut values) =
                    (dy.chunks_exact_mut(S::LANES), kept.chunks_exact(S::LANES));
                for (at, kept) in (&mut gradients).zip(&mut values) {
                    let ($kept, $dy) = (s.read(kept), s.read(at));
                    s.write(at, $dx);
                }
                let (at, kept) = (gradients.into_remainder(), values.remainder());
                let ($kept, $dy) = (s.read(kept), s.read(at));
                s.write(at, $dx);
            }};
        }
        let (zero, half, one) = (s.splat(0.0), s.splat(0.5), s.splat(1.0));
        match op {
            Unary::Relu => each!(y, dy => s.select_lt(zero, y, dy, zero)),
            Unary::LeakyRelu { alpha } => {
                let alpha = s.splat(alpha);
                each!(x, dy => s.select_lt(zero, x, dy, s.mul(dy, alpha)));
            }
            Unary::Clip { lo, hi } => {
                let (lo, hi) = (s.splat(lo), s.splat(hi));
                each!(y, dy => s.select_lt(lo, y, s.select_lt(y, hi, dy, zero), zero));
            }
            Unary::Sigmoid => each!(y, dy => s.mul(dy, s.mul(y, s.sub(one, y)))),
            Unary::Silu => each!(x, dy => {
                // σ·(1 + x·(1 - σ))
                let y = math::sigmoid(s, x);
                s.mul(dy, s.mul(y, s.fma(x, s.sub(one, y), one)))
            }),
            Unary::Tanh => each!(y, dy => s.mul(dy, s.mul(s.sub(one, y), s.add(one, y)))),
            Unary::Erf => {
                let scale = s.splat(std::f32::consts::FRAC_2_SQRT_PI);
                each!(x, dy => s.mul(dy, s.mul(scale, math::exp(s, s.sub(zero, s.mul(x, x))))));
            }
            Unary::Gelu => {
                // (1 + erf(x/√2))/2 + x·e^(-x²/2)/√(2π)
                let scale = s.splat(std::f32::consts::FRAC_1_SQRT_2);
                let height =
                    s.splat(0.5 * std::f32::consts::FRAC_2_SQRT_PI * std::f32::consts::FRAC_1_SQRT_2);
                each!(x, dy => {
                    let below = s.mul(half, s.add(one, math::erf(s, s.mul(x, scale))));
                    let density = s.mul(height, math::exp(s, s.mul(s.splat(-0.5), s.mul(x, x))));
                    s.mul(dy, s.fma(x, density, below))
                });
            }
            Unary::Exp => each!(y, dy => s.mul(dy, y)),
            Unary::HardSwish => {
                let sixth = s.splat(1.0 / 6.0);
                each!(x, dy => {
                    let gate = s.fma(x, sixth, half);
                    let moving = s.select_lt(zero, gate, s.select_lt(gate, one, s.mul(x, sixth), zero), zero);
                    s.mul(dy, s.add(s.clamp(gate, zero, one), moving))
                });
            }
            Unary::HardSigmoid { alpha, .. } => {
                let alpha = s.splat(alpha);
                each!(y, dy => s.select_lt(zero, y, s.select_lt(y, one, s.mul(dy, alpha), zero), zero));
            }
        }
    }
}
