//! Vector transcendental functions, relative error below 1e-6 (in practice 2 units in the last place).
//!
//! Polynomial coefficients are minimax fits made for these intervals and forms (Lawson's iteration in f64, then
//! rounded to f32); the tests bound the error of the rounded result.

use crate::simd::Simd;

/// Horner's rule: `c[0] + c[1]·x + c[2]·x² + …`.
#[inline(always)]
fn polynomial<S: Simd, const N: usize>(s: S, x: S::V, c: [f32; N]) -> S::V {
    let mut sum = s.splat(c[N - 1]);
    for i in (0..N - 1).rev() {
        sum = s.fma(sum, x, s.splat(c[i]));
    }
    sum
}

/// `e^x`; overflows to infinity, underflows through subnormals to 0, keeps NaN.
#[inline(always)]
pub(crate) fn exp<S: Simd>(s: S, x: S::V) -> S::V {
    // x = n·ln 2 + r with |r| <= ln 2 / 2; ln 2 in two parts, the first short enough for n·LN2_HIGH to be exact.
    const LN2_HIGH: f32 = 0.693_359_4;
    const LN2_LOW: f32 = -2.121_944_4e-4;
    let x = s.clamp(x, s.splat(-104.0), s.splat(89.0));
    let n = s.round(s.mul(x, s.splat(std::f32::consts::LOG2_E)));
    let r = s.fma(n, s.splat(-LN2_HIGH), x);
    let r = s.fma(n, s.splat(-LN2_LOW), r);
    let p = polynomial(s, r, [0.499_999_94, 0.166_665_21, 0.041_668_39, 0.008_368_735, 0.001_381_456]);
    let tail = s.fma(s.mul(r, r), p, r);
    let e = s.add(tail, s.splat(1.0));
    // 2^n in two factors: n reaches -150 and 128, outside the exponents of one f32.
    let half = s.round(s.mul(n, s.splat(0.5)));
    s.mul(s.mul(e, s.exp2_int(half)), s.exp2_int(s.sub(n, half)))
}

/// The natural logarithm of positive normal `x`.
#[inline(always)]
pub(crate) fn ln<S: Simd>(s: S, x: S::V) -> S::V {
    // x = m·2^n with m in [√½, √2); ln m = 2·artanh(t) with t = (m - 1)/(m + 1), |t| <= 0.172: a short Taylor series.
    const LN2_HIGH: f32 = 0.693_359_4;
    const LN2_LOW: f32 = -2.121_944_4e-4;
    let (one, root) = (s.splat(1.0), s.splat(std::f32::consts::SQRT_2));
    let (m, n) = s.mantissa_exponent(x);
    let n = s.select_lt(m, root, n, s.add(n, one));
    let m = s.select_lt(m, root, m, s.mul(m, s.splat(0.5)));
    let f = s.sub(m, one);
    let t = s.div(f, s.add(m, one));
    let t2 = s.mul(t, t);
    let series = polynomial(s, t2, [2.0 / 3.0, 2.0 / 5.0, 2.0 / 7.0, 2.0 / 9.0]);
    // 2t + t³·series, where 2t = f - t·f keeps the rounding of the quotient small.
    let tail = s.fma(s.mul(t, t2), series, s.sub(s.splat(0.0), s.mul(t, f)));
    s.fma(n, s.splat(LN2_HIGH), s.add(f, s.fma(n, s.splat(LN2_LOW), tail)))
}

/// `1 / (1 + e^-x)`, without overflow on either side.
#[inline(always)]
pub(crate) fn sigmoid<S: Simd>(s: S, x: S::V) -> S::V {
    let one = s.splat(1.0);
    let zero = s.splat(0.0);
    let e = exp(s, s.sub(zero, s.abs(x)));
    s.div(s.select_lt(x, zero, e, one), s.add(one, e))
}

#[inline(always)]
pub(crate) fn tanh<S: Simd>(s: S, x: S::V) -> S::V {
    let size = s.abs(x);
    let x2 = s.mul(x, x);
    let p = polynomial(s, x2, [-0.333_332_6, 0.133_308_3, -0.053_688_023, 0.020_469_42, -0.005_515_164]);
    let near = s.fma(s.mul(x, x2), p, x);
    let one = s.splat(1.0);
    let e = exp(s, s.add(size, size));
    let far = s.copysign(s.sub(one, s.div(s.splat(2.0), s.add(e, one))), x);
    // NaN compares false, and `far` keeps it.
    s.select_lt(size, s.splat(0.625), near, far)
}

/// The error function.
#[inline(always)]
pub(crate) fn erf<S: Simd>(s: S, x: S::V) -> S::V {
    let size = s.abs(x);
    let near_poly = polynomial(
        s,
        s.mul(x, x),
        [
            0.128_379_17,
            -0.376_126_26,
            0.112_835_854,
            -0.026_853_813,
            0.005_188_328,
            -8.010_198_4e-4,
            7.853_876e-5,
        ],
    );
    let near = s.fma(x, near_poly, x);
    // 1 - e^-q(|x|); beyond 4 the result rounds to 1.
    let q = polynomial(
        s,
        s.clamp(size, s.splat(0.0), s.splat(4.0)),
        [
            2.810_963_5e-4,
            1.127_328_5,
            0.637_757_6,
            0.103_434,
            -0.021_990_322,
            0.002_984_612_5,
            -1.900_324_7e-4,
        ],
    );
    let one = s.splat(1.0);
    let far = s.copysign(s.sub(one, exp(s, s.sub(s.splat(0.0), q))), x);
    s.select_lt(size, one, near, far)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Isa;
    use crate::simd::Kernel;

    #[derive(Clone, Copy, Debug)]
    enum Function {
        Exp,
        Sigmoid,
        Tanh,
        Erf,
        Ln,
    }

    struct Evaluate<'a>(Function, &'a mut [f32]);

    impl Kernel for Evaluate<'_> {
        type Output = ();
        #[inline(always)]
        fn run<S: Simd>(self, s: S) {
            for x in self.1.chunks_mut(S::LANES) {
                let v = s.read(x);
                let y = match self.0 {
                    Function::Exp => exp(s, v),
                    Function::Sigmoid => sigmoid(s, v),
                    Function::Tanh => tanh(s, v),
                    Function::Erf => erf(s, v),
                    Function::Ln => ln(s, v),
                };
                s.write(x, y);
            }
        }
    }

    fn evaluate(isa: Isa, function: Function, x: &[f32]) -> Vec<f32> {
        let mut y = x.to_vec();
        isa.run(Evaluate(function, &mut y));
        y
    }

    fn exact(function: Function, x: f32) -> f64 {
        let x = f64::from(x);
        match function {
            Function::Exp => x.exp(),
            Function::Sigmoid => 1.0 / (1.0 + (-x).exp()),
            Function::Tanh => x.tanh(),
            Function::Erf => crate::elementwise::reference::erf(x),
            Function::Ln => x.ln(),
        }
    }

    #[test]
    fn relative_error_stays_below_three_units_in_the_last_place() {
        for isa in Isa::supported() {
            for function in [Function::Exp, Function::Sigmoid, Function::Tanh, Function::Erf] {
                let x: Vec<f32> = (-87_000..=87_000).map(|i| i as f32 * 1e-3 + 1e-5).collect();
                for (&x, y) in x.iter().zip(evaluate(isa, function, &x)) {
                    let want = exact(function, x);
                    let error = (f64::from(y) - want).abs() / want.abs();
                    assert!(error < 3.6e-7, "{isa} {function:?}({x}) = {y}, not {want}: {error:e}");
                }
            }
        }
    }

    #[test]
    fn logarithms_of_all_normal_sizes_are_close() {
        let mut x: Vec<f32> = (0..2000).map(|i| f32::MIN_POSITIVE * 1.09f32.powi(i)).collect();
        x.retain(|x| x.is_finite());
        x.extend((1..40_000).map(|i| i as f32 * 5e-5));
        for isa in Isa::supported() {
            for (&x, y) in x.iter().zip(evaluate(isa, Function::Ln, &x)) {
                let want = exact(Function::Ln, x);
                let error = (f64::from(y) - want).abs() / want.abs().max(f64::MIN_POSITIVE);
                assert!(
                    error < 3.6e-7 || y == 0.0 && want == 0.0,
                    "{isa} ln({x}) = {y}, not {want}: {error:e}"
                );
            }
        }
    }

    #[test]
    fn ends_of_the_range_and_nan_are_what_the_functions_say() {
        for isa in Isa::supported() {
            let x = [f32::NEG_INFINITY, f32::INFINITY, 0.0, -0.0, f32::NAN];
            for (function, want) in [
                (Function::Exp, [0.0, f32::INFINITY, 1.0, 1.0]),
                (Function::Sigmoid, [0.0, 1.0, 0.5, 0.5]),
                (Function::Tanh, [-1.0, 1.0, 0.0, -0.0]),
                (Function::Erf, [-1.0, 1.0, 0.0, -0.0]),
            ] {
                let y = evaluate(isa, function, &x);
                assert_eq!(y[..4], want, "{isa} {function:?}");
                assert!(y[4].is_nan(), "{isa} {function:?}");
            }
        }
    }
}
