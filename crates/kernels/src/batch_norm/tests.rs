//! Every instruction set against the plain twins.

use super::*;
use crate::testing::{assert_close, noise};
use proptest::prelude::*;

const RELU: [f32; 2] = [0.0, f32::INFINITY];

proptest! {
    #[test]
    fn moments_of_pieces_are_those_of_all_rows(
        channels in 1usize..150, rows in 1usize..400, cut in 0usize..400, offset in -50f32..50.0, seed: u64,
    ) {
        let x: Vec<f32> = noise(rows * channels, seed).into_iter().map(|x| x + offset).collect();
        let [mean, squares] = reference::moments(channels, &x);
        for isa in Isa::supported() {
            let mut moments = Moments::new(channels);
            let mut other = moments.clone();
            let cut = cut.min(rows) * channels;
            moments.add(isa, &x[..cut]);
            other.add(isa, &x[cut..]);
            moments.merge(&other);
            prop_assert_eq!(moments.rows, rows);
            for c in 0..channels {
                prop_assert!((moments.mean[c] - mean[c]).abs() < 1e-5, "{} {}", isa, c);
                prop_assert!((moments.squares[c] - squares[c]).abs() <= 1e-4 * (squares[c] + 1e-3), "{} {}", isa, c);
            }
            moments.clear();
            prop_assert_eq!(moments, Moments::new(channels));
        }
    }

    #[test]
    fn passes_agree_with_the_reference(
        channels in 1usize..150, rows in 1usize..40, residual: bool, clips: bool, accumulate: bool, seed: u64,
    ) {
        let of = |which, len| noise(len, seed ^ which);
        let (x, dy, other) = (of(1, rows * channels), of(2, rows * channels), of(3, rows * channels));
        let [a, b, c] = [4, 5, 6].map(|which| of(which, channels));
        let residual = residual.then_some(&other[..]);
        let bounds = if clips { RELU } else { [f32::NEG_INFINITY, f32::INFINITY] };
        let y = reference::normalize(&x, [&a, &b], residual, bounds);
        let (kept, sums) = reference::slopes(&x, &a, &y, bounds, &dy);
        let mut dx = reference::backward(&dy, &x, [&a, &b, &c]);
        if accumulate {
            dx.iter_mut().zip(&other).for_each(|(dx, o)| *dx += o);
        }
        for isa in Isa::supported() {
            let mut got = vec![f32::NAN; x.len()];
            normalize(isa, &x, [&a, &b], residual, bounds, &mut got);
            assert_close(&got, &y, |_| 1e-6, (isa, "normalize"));
            let (mut got, mut totals) = (dy.clone(), [vec![0.5; channels], vec![0.25; channels]]);
            let [first, second] = &mut totals;
            slopes(isa, &x, &a, &y, bounds, &mut got, [first, second]);
            assert_eq!(got, kept, "{isa}");
            for (c, (first, second)) in totals[0].iter().zip(&totals[1]).enumerate() {
                prop_assert!((first - 0.5 - sums[0][c]).abs() < 1e-4 && (second - 0.25 - sums[1][c]).abs() < 1e-4);
            }
            let mut got = other.clone();
            backward(isa, &dy, &x, [&a, &b, &c], &mut got, accumulate);
            assert_close(&got, &dx, |_| 2e-6, (isa, "backward"));
        }
    }
}

#[test]
fn a_large_mean_leaves_the_variance_exact() {
    for isa in Isa::supported() {
        let x: Vec<f32> = (0..6000).map(|i| 4096.0 + (i / 3 % 2) as f32).collect();
        let mut moments = Moments::new(3);
        moments.add(isa, &x);
        assert_eq!(moments.mean, [4096.5; 3]);
        assert!(moments.variance().all(|v| v == 0.25), "{isa}");
    }
}
