//! Functions of each value, and of pairs of values: activations, arithmetic, residual additions.
//!
//! Results depend on the value alone, never on its position: the ends of a slice go through the same vector code.

mod gradient;
pub mod reference;
#[cfg(test)]
mod tests;

pub use gradient::{Kept, unary_backward};

use crate::simd::{Kernel, Simd};
use crate::{Isa, math};

/// A function of one value. NaN stays NaN.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Unary {
    /// `max(0, x)`.
    Relu,
    /// `x`, or `alpha·x` where negative.
    LeakyRelu {
        /// Slope of the negative side.
        alpha: f32,
    },
    /// `min(max(x, lo), hi)`.
    Clip {
        /// Lower bound.
        lo: f32,
        /// Upper bound, not below `lo`.
        hi: f32,
    },
    /// `1 / (1 + e^-x)`.
    Sigmoid,
    /// `x·sigmoid(x)`, also called swish.
    Silu,
    /// Hyperbolic tangent.
    Tanh,
    /// The error function.
    Erf,
    /// `x·(1 + erf(x/√2))/2`, the exact form; absolute error below 1e-6·max(1, |x|).
    Gelu,
    /// `e^x`.
    Exp,
    /// `x·clip(x/6 + 1/2, 0, 1)`.
    HardSwish,
    /// `clip(alpha·x + beta, 0, 1)`.
    HardSigmoid {
        /// Slope.
        alpha: f32,
        /// Value at zero.
        beta: f32,
    },
}

/// An operation on two values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Binary {
    /// `a + b`.
    Add,
    /// `a - b`.
    Sub,
    /// `a · b`.
    Mul,
    /// `a / b`.
    Div,
    /// The greater; `b` if either is NaN.
    Max,
    /// The smaller; `b` if either is NaN.
    Min,
}

/// Values copied at a time by the forms that do not work in place: they stay in the first-level cache.
const PIECE: usize = 2048;

/// `y[i] = op(x[i])`.
///
/// # Panics
/// The lengths differ.
pub fn unary(isa: Isa, op: Unary, x: &[f32], y: &mut [f32]) {
    assert_eq!(x.len(), y.len(), "lengths of input and output");
    for (x, y) in x.chunks(PIECE).zip(y.chunks_mut(PIECE)) {
        y.copy_from_slice(x);
        unary_in_place(isa, op, y);
    }
}

/// `y[i] = op(y[i])`.
pub fn unary_in_place(isa: Isa, op: Unary, y: &mut [f32]) {
    isa.run(UnaryKernel(op, y));
}

/// `y[i] = op(a[i], b[i])`.
///
/// # Panics
/// The lengths differ.
pub fn binary(isa: Isa, op: Binary, a: &[f32], b: &[f32], y: &mut [f32]) {
    add_like(isa, op, a, b, None, y);
}

/// `y[i] = op(y[i], b[i])`.
///
/// # Panics
/// The lengths differ.
pub fn binary_in_place(isa: Isa, op: Binary, y: &mut [f32], b: &[f32]) {
    assert_eq!(y.len(), b.len(), "lengths of both operands");
    isa.run(BinaryKernel(op, y, Operand::Same(b)));
}

/// `y[.., c] = op(y[.., c], b[c])`: `b` runs along the last axis of `y`, or is one value for all.
///
/// # Panics
/// `b` is empty, or its length does not divide that of `y`.
pub fn binary_channel_in_place(isa: Isa, op: Binary, y: &mut [f32], b: &[f32]) {
    assert!(!b.is_empty() && y.len().is_multiple_of(b.len()), "{} channels for {} values", b.len(), y.len());
    isa.run(BinaryKernel(op, y, Operand::Channels(b)));
}

/// `y[i] = activation(a[i] + b[i])`: the end of a residual block in one pass.
///
/// # Panics
/// The lengths differ.
pub fn add_activate(isa: Isa, a: &[f32], b: &[f32], activation: Option<Unary>, y: &mut [f32]) {
    add_like(isa, Binary::Add, a, b, activation, y);
}

fn add_like(isa: Isa, op: Binary, a: &[f32], b: &[f32], activation: Option<Unary>, y: &mut [f32]) {
    assert_eq!([a.len(), b.len()], [y.len(); 2], "lengths of both operands and of the output");
    for ((a, b), y) in a.chunks(PIECE).zip(b.chunks(PIECE)).zip(y.chunks_mut(PIECE)) {
        y.copy_from_slice(a);
        binary_in_place(isa, op, y, b);
        if let Some(activation) = activation {
            unary_in_place(isa, activation, y);
        }
    }
}

struct UnaryKernel<'a>(Unary, &'a mut [f32]);

impl Kernel for UnaryKernel<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let UnaryKernel(op, y) = self;
        // A macro, not a closure: closures do not take part in the caller's target features.
        macro_rules! each {
            ($x:ident => $y:expr) => {{
                let mut vectors = y.chunks_exact_mut(S::LANES);
                for at in &mut vectors {
                    let $x = s.read(at);
                    s.write(at, $y);
                }
                let rest = vectors.into_remainder();
                let $x = s.read(rest);
                s.write(rest, $y);
            }};
        }
        let (zero, half, one) = (s.splat(0.0), s.splat(0.5), s.splat(1.0));
        match op {
            Unary::Relu => each!(x => s.max(zero, x)),
            Unary::LeakyRelu { alpha } => each!(x => s.select_lt(x, zero, s.mul(x, s.splat(alpha)), x)),
            Unary::Clip { lo, hi } => {
                let (lo, hi) = (s.splat(lo), s.splat(hi));
                each!(x => s.clamp(x, lo, hi));
            }
            Unary::Sigmoid => each!(x => math::sigmoid(s, x)),
            Unary::Silu => each!(x => s.mul(x, math::sigmoid(s, x))),
            Unary::Tanh => each!(x => math::tanh(s, x)),
            Unary::Erf => each!(x => math::erf(s, x)),
            Unary::Gelu => {
                let scale = s.splat(std::f32::consts::FRAC_1_SQRT_2);
                each!(x => s.mul(s.mul(x, half), s.add(one, math::erf(s, s.mul(x, scale)))));
            }
            Unary::Exp => each!(x => math::exp(s, x)),
            Unary::HardSwish => {
                let sixth = s.splat(1.0 / 6.0);
                each!(x => s.mul(x, s.clamp(s.fma(x, sixth, half), zero, one)));
            }
            Unary::HardSigmoid { alpha, beta } => {
                let (alpha, beta) = (s.splat(alpha), s.splat(beta));
                each!(x => s.clamp(s.fma(x, alpha, beta), zero, one));
            }
        }
    }
}

/// The second operand of a [`Binary`].
enum Operand<'a> {
    /// As long as the first.
    Same(&'a [f32]),
    /// Repeated along the first.
    Channels(&'a [f32]),
}

struct BinaryKernel<'a>(Binary, &'a mut [f32], Operand<'a>);

impl Kernel for BinaryKernel<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let BinaryKernel(op, y, operand) = self;
        macro_rules! zip {
            ($y:expr, $operand:expr, $a:ident, $b:ident => $result:expr) => {{
                let (y, operand): (&mut [f32], &[f32]) = ($y, $operand);
                let (mut ys, mut bs) = (y.chunks_exact_mut(S::LANES), operand.chunks_exact(S::LANES));
                for (at, b) in (&mut ys).zip(&mut bs) {
                    let ($a, $b) = (s.read(at), s.read(b));
                    s.write(at, $result);
                }
                let (at, b) = (ys.into_remainder(), bs.remainder());
                let ($a, $b) = (s.read(at), s.read(b));
                s.write(at, $result);
            }};
        }
        macro_rules! each {
            ($a:ident, $b:ident => $result:expr) => {
                match operand {
                    Operand::Same(b) => zip!(y, b, $a, $b => $result),
                    Operand::Channels(&[b]) => {
                        let $b = s.splat(b);
                        for at in y.chunks_mut(S::LANES) {
                            let $a = s.read(at);
                            s.write(at, $result);
                        }
                    }
                    Operand::Channels(b) => {
                        for row in y.chunks_exact_mut(b.len()) {
                            zip!(row, b, $a, $b => $result);
                        }
                    }
                }
            };
        }
        match op {
            Binary::Add => each!(a, b => s.add(a, b)),
            Binary::Sub => each!(a, b => s.sub(a, b)),
            Binary::Mul => each!(a, b => s.mul(a, b)),
            Binary::Div => each!(a, b => s.div(a, b)),
            Binary::Max => each!(a, b => s.max(a, b)),
            Binary::Min => each!(a, b => s.min(a, b)),
        }
    }
}
