//! Every function, on every instruction set of this machine, against the plain twin.

use proptest::prelude::*;

use super::*;
use crate::testing::{assert_close, noise};

const UNARY: [Unary; 12] = [
    Unary::Relu,
    Unary::LeakyRelu { alpha: 0.1 },
    Unary::Clip { lo: -1.5, hi: 6.0 },
    Unary::Sigmoid,
    Unary::Silu,
    Unary::Tanh,
    Unary::Erf,
    Unary::Gelu,
    Unary::Exp,
    Unary::HardSwish,
    Unary::HardSigmoid { alpha: 0.2, beta: 0.5 },
    Unary::Clip { lo: f32::NEG_INFINITY, hi: 0.0 },
];

const BINARY: [Binary; 6] = [Binary::Add, Binary::Sub, Binary::Mul, Binary::Div, Binary::Max, Binary::Min];

proptest! {
    #[test]
    fn functions_agree_with_the_reference(len in 0usize..70, seed: u64, scale in 0.01f32..20.0) {
        let x: Vec<f32> = noise(len, seed).iter().map(|x| x * scale).collect();
        for (isa, op) in Isa::supported().flat_map(|isa| UNARY.map(|op| (isa, op))) {
            let mut y = vec![f32::NAN; len];
            unary(isa, op, &x, &mut y);
            let want: Vec<f32> = x.iter().map(|&x| reference::unary(op, x)).collect();
            let tolerance = |i: usize| match op {
                // Their sums cancel: the error is relative to the input, not to the result.
                Unary::Gelu | Unary::HardSwish | Unary::HardSigmoid { .. } => 1e-6 * x[i].abs().max(1.0),
                _ => 1e-6 * want[i].abs(),
            };
            assert_close(&y, &want, tolerance, (isa, op));
        }
    }

    #[test]
    fn a_result_does_not_depend_on_its_position(len in 1usize..50, x in -10f32..10.0) {
        for (isa, op) in Isa::supported().flat_map(|isa| UNARY.map(|op| (isa, op))) {
            let mut y = vec![x; len];
            unary_in_place(isa, op, &mut y);
            prop_assert!(y.iter().all(|&other| other == y[0]), "{} {:?}", isa, op);
        }
    }

    #[test]
    fn arithmetic_equals_the_reference(rows in 0usize..5, channels in 1usize..40, seed: u64) {
        let (a, b) = (noise(rows * channels, seed), noise(rows * channels, !seed));
        for (isa, op) in Isa::supported().flat_map(|isa| BINARY.map(|op| (isa, op))) {
            let mut y = vec![f32::NAN; a.len()];
            binary(isa, op, &a, &b, &mut y);
            let want: Vec<f32> = a.iter().zip(&b).map(|(&a, &b)| reference::binary(op, a, b)).collect();
            prop_assert_eq!(&y, &want);

            if let Some(b) = b.get(..channels) {
                let mut y = a.clone();
                binary_channel_in_place(isa, op, &mut y, b);
                let want: Vec<f32> = a.iter().zip(b.iter().cycle()).map(|(&a, &b)| reference::binary(op, a, b)).collect();
                prop_assert_eq!(&y, &want);
            }
        }
    }
}

#[test]
fn long_slices_are_covered_and_the_residual_end_equals_its_parts() {
    let (a, b) = (noise(3 * PIECE + 5, 1), noise(3 * PIECE + 5, 2));
    for isa in Isa::supported() {
        let mut y = vec![f32::NAN; a.len()];
        add_activate(isa, &a, &b, Some(Unary::Relu), &mut y);
        assert!(y.iter().zip(a.iter().zip(&b)).all(|(&y, (a, b))| y == (a + b).max(0.0)), "{isa}");
    }
}

proptest! {
    #[test]
    fn gradients_agree_with_the_reference(len in 0usize..70, seed: u64, scale in 0.01f32..8.0) {
        let x: Vec<f32> = noise(len, seed).iter().map(|x| x * scale).collect();
        let dy = noise(len, !seed);
        for (isa, op) in Isa::supported().flat_map(|isa| UNARY.map(|op| (isa, op))) {
            let mut kept = x.clone();
            if op.kept() == Kept::Output {
                unary_in_place(isa, op, &mut kept);
            }
            let mut dx = dy.clone();
            unary_backward(isa, op, &kept, &mut dx);
            let slopes: Vec<f32> = x.iter().map(|&x| reference::derivative(op, x) as f32).collect();
            let want: Vec<f32> = dy.iter().zip(&slopes).map(|(dy, slope)| dy * slope).collect();
            // From the output near 1 the complement is all that is known of the input.
            assert_close(&dx, &want, |i| 2e-6 * slopes[i].abs().max(1.0), (isa, op));
        }
    }

    #[test]
    fn the_derivative_is_the_limit_of_differences(x in -8f32..8.0) {
        for op in UNARY {
            let (left, right) = (x - 1e-2, x + 1e-2);
            let difference = f64::from(reference::unary(op, right)) - f64::from(reference::unary(op, left));
            let want = difference / (f64::from(right) - f64::from(left));
            let near_corner = [0.0, -1.5, 6.0, 3.0, -3.0, 2.5, -2.5].iter().any(|c| (c - x).abs() < 0.02);
            let size = want.abs().max(1.0);
            prop_assert!(near_corner || (reference::derivative(op, x) - want).abs() < 1e-3 * size, "{:?} {}", op, x);
        }
    }
}

#[test]
fn at_a_corner_the_gradient_is_that_of_the_flat_side() {
    for isa in Isa::supported() {
        let slope = |op: Unary, kept: f32| {
            let mut dy = [1.0];
            unary_backward(isa, op, &[kept], &mut dy);
            dy[0]
        };
        assert_eq!([0.0, -0.0, f32::MIN_POSITIVE].map(|y| slope(Unary::Relu, y)), [0.0, 0.0, 1.0]);
        assert_eq!([0.0, 5.9, 6.0].map(|y| slope(Unary::Clip { lo: 0.0, hi: 6.0 }, y)), [0.0, 1.0, 0.0]);
        assert_eq!(slope(Unary::LeakyRelu { alpha: 0.25 }, 0.0), 0.25);
        assert_eq!([-3.0, 3.0].map(|x| slope(Unary::HardSwish, x)), [0.0, 1.0]);
    }
}

#[test]
fn nan_stays_nan() {
    for (isa, op) in Isa::supported().flat_map(|isa| UNARY.map(|op| (isa, op))) {
        let mut y = [f32::NAN; 19];
        unary_in_place(isa, op, &mut y);
        assert!(y.iter().all(|y| y.is_nan()), "{isa} {op:?}");
    }
}
