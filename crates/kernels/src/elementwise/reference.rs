//! The plain twin: each operation in f64, rounded once.

use super::{Binary, Unary};

/// `op(x)`.
pub fn unary(op: Unary, x: f32) -> f32 {
    let wide = f64::from(x);
    let clip = |x: f64, lo: f64, hi: f64| {
        if x < lo {
            lo
        } else if x > hi {
            hi
        } else {
            x
        }
    };
    let y = match op {
        Unary::Relu => clip(wide, 0.0, f64::INFINITY),
        Unary::LeakyRelu { alpha } => {
            if x < 0.0 {
                wide * f64::from(alpha)
            } else {
                wide
            }
        }
        Unary::Clip { lo, hi } => clip(wide, f64::from(lo), f64::from(hi)),
        Unary::Sigmoid => 1.0 / (1.0 + (-wide).exp()),
        Unary::Silu => wide / (1.0 + (-wide).exp()),
        Unary::Tanh => wide.tanh(),
        Unary::Erf => erf(wide),
        Unary::Gelu => wide * (1.0 + erf(wide / std::f64::consts::SQRT_2)) / 2.0,
        Unary::Exp => wide.exp(),
        Unary::HardSwish => wide * clip(wide / 6.0 + 0.5, 0.0, 1.0),
        Unary::HardSigmoid { alpha, beta } => clip(wide * f64::from(alpha) + f64::from(beta), 0.0, 1.0),
    };
    y as f32
}

/// `op'(x)`; at a corner that of the flat side.
pub fn derivative(op: Unary, x: f32) -> f64 {
    use std::f64::consts::{FRAC_2_SQRT_PI, SQRT_2};
    let x = f64::from(x);
    let sigmoid = 1.0 / (1.0 + (-x).exp());
    let inside = |x: f64, lo: f64, hi: f64| f64::from(lo < x && x < hi);
    match op {
        Unary::Relu => inside(x, 0.0, f64::INFINITY),
        Unary::LeakyRelu { alpha } => {
            if x > 0.0 {
                1.0
            } else {
                f64::from(alpha)
            }
        }
        Unary::Clip { lo, hi } => inside(x, f64::from(lo), f64::from(hi)),
        Unary::Sigmoid => sigmoid * (1.0 - sigmoid),
        Unary::Silu => sigmoid * (1.0 + x * (1.0 - sigmoid)),
        Unary::Tanh => 1.0 - x.tanh().powi(2),
        Unary::Erf => FRAC_2_SQRT_PI * (-x * x).exp(),
        Unary::Gelu => {
            (1.0 + erf(x / SQRT_2)) / 2.0 + x * (-x * x / 2.0).exp() * FRAC_2_SQRT_PI / SQRT_2 / 2.0
        }
        Unary::Exp => x.exp(),
        Unary::HardSwish => (x / 6.0 + 0.5).clamp(0.0, 1.0) + x / 6.0 * inside(x, -3.0, 3.0),
        Unary::HardSigmoid { alpha, beta } => {
            let [alpha, beta] = [alpha, beta].map(f64::from);
            alpha * inside(alpha * x + beta, 0.0, 1.0)
        }
    }
}

/// `op(a, b)`.
pub fn binary(op: Binary, a: f32, b: f32) -> f32 {
    match op {
        Binary::Add => a + b,
        Binary::Sub => a - b,
        Binary::Mul => a * b,
        Binary::Div => a / b,
        Binary::Max => {
            if a > b {
                a
            } else {
                b
            }
        }
        Binary::Min => {
            if a < b {
                a
            } else {
                b
            }
        }
    }
}

/// The error function: Taylor series near zero, continued fraction of the complement beyond.
pub fn erf(x: f64) -> f64 {
    let t = x.abs();
    let root_pi = std::f64::consts::PI.sqrt();
    let size = if t <= 2.5 {
        let mut term = t;
        let mut sum = t;
        for n in 1..100 {
            term *= -t * t / f64::from(n);
            sum += term / f64::from(2 * n + 1);
        }
        sum * 2.0 / root_pi
    } else {
        let fraction = (1..100).rev().fold(t, |f, n| t + f64::from(n) / 2.0 / f);
        1.0 - (-t * t).exp() / (fraction * root_pi)
    };
    size.copysign(x)
}
