//! Every instruction set of this machine gives the codes of the plain twin, bit for bit.

use proptest::prelude::*;

use super::*;
use crate::testing::noise;

fn quants() -> impl Strategy<Value = FakeQuant> {
    (1e-6f32..10.0, -200i32..200, 0i32..300, 0i32..300).prop_map(|(scale, zero_point, below, above)| {
        FakeQuant { scale, zero_point, lo: zero_point - below, hi: zero_point + above }
    })
}

proptest! {
    #[test]
    fn values_equal_the_reference(quant in quants(), len in 0usize..70, seed: u64, spread in 0.1f32..400.0) {
        // Ties, the specials, and values on both sides of the range.
        let mut x: Vec<f32> = noise(len, seed).iter().map(|x| x * spread * quant.scale).collect();
        x.extend((-9..9).map(|i| (i as f32 + 0.5) * quant.scale));
        x.extend([f32::NAN, f32::INFINITY, f32::NEG_INFINITY, 0.0, -0.0, f32::MAX, f32::MIN_POSITIVE, -1e-30]);
        let want: Vec<u32> = x.iter().map(|&x| reference::fake_quant(&quant, x).to_bits()).collect();
        for isa in Isa::supported() {
            let mut y = vec![0.0; x.len()];
            fake_quant(isa, &quant, &x, &mut y);
            let got: Vec<u32> = y.iter().map(|y| y.to_bits()).collect();
            prop_assert_eq!(&got, &want);
        }
    }

    #[test]
    fn each_channel_equals_its_own_quantizer(rows in 0usize..4, quants in proptest::collection::vec(quants(), 1..40)) {
        let scales: Vec<f32> = quants.iter().map(|quant| quant.scale).collect();
        let zero_points: Vec<i32> = quants.iter().map(|quant| quant.zero_point).collect();
        let codes = [-250, 270];
        let x: Vec<f32> = noise(rows * quants.len(), 7).iter().map(|x| x * 50.0).collect();
        for isa in Isa::supported() {
            let mut y = x.clone();
            fake_quant_channel_in_place(isa, &scales, &zero_points, codes, &mut y);
            for (i, (&x, y)) in x.iter().zip(y).enumerate() {
                let quant = FakeQuant { lo: codes[0], hi: codes[1], ..quants[i % quants.len()] };
                prop_assert_eq!(y.to_bits(), reference::fake_quant(&quant, x).to_bits());
            }
        }
    }
}

proptest! {
    #[test]
    fn gradients_agree_with_the_reference(quant in quants(), len in 0usize..3000, seed: u64, spread in 0.1f32..400.0) {
        let x: Vec<f32> = noise(len, seed).iter().map(|x| x * spread * quant.scale).collect();
        let (dy, before) = (noise(len, !seed), noise(len, 7));
        let derivatives: Vec<[f64; 2]> = x.iter().map(|&x| reference::derivatives(&quant, x)).collect();
        let want: Vec<f32> = dy.iter().zip(&derivatives).map(|(dy, [d, _])| dy * *d as f32).collect();
        let terms = || dy.iter().zip(&derivatives).map(|(&dy, [_, d])| f64::from(dy) * d);
        let (d_scale, size): (f64, f64) = (terms().sum(), terms().map(f64::abs).sum());
        for isa in Isa::supported() {
            let (mut dx, mut added, mut in_place) = (vec![f32::NAN; len], before.clone(), dy.clone());
            let sums = [
                backward(isa, &quant, &x, &dy, &mut dx, false),
                backward(isa, &quant, &x, &dy, &mut added, true),
                backward_in_place(isa, &quant, &x, &mut in_place),
            ];
            prop_assert!(dx == want && in_place == want);
            prop_assert!(added.iter().zip(&before).zip(&want).all(|((&a, b), w)| a == b + w));
            for sum in sums {
                // Inside, `round(x/s) - x/s` cancels: its error is that of the quotient.
                prop_assert!((sum - d_scale).abs() <= 1e-6 * size + 1e-5 * len as f64, "{} {}", sum, d_scale);
            }
        }
    }

    #[test]
    fn the_derivative_by_the_scale_is_that_of_rounding_by_a_fixed_amount(quant in quants(), x in -200f32..200.0) {
        let x = x * quant.scale;
        // Rounding passes gradients on as if it added a constant.
        let [scale, x64, lo, hi] =
            [quant.scale, x, (quant.lo - quant.zero_point) as f32, (quant.hi - quant.zero_point) as f32].map(f64::from);
        let added = f64::from((x / quant.scale).round_ties_even()) - x64 / scale;
        let value = |scale: f64| scale * (x64 / scale + added).clamp(lo, hi);
        let [_, slope] = reference::derivatives(&quant, x);
        let steps = x64 / scale + added;
        // Away from the corners, where a difference is a derivative.
        if (steps - lo).abs() > 0.1 && (steps - hi).abs() > 0.1 {
            let h = 1e-6 * scale;
            let want = (value(scale + h) - value(scale - h)) / (2.0 * h);
            prop_assert!((slope - want).abs() < 1e-3, "{} {}", slope, want);
        }
    }
}

#[test]
fn both_ends_of_the_range_are_inside() {
    // x, code before clamping, gradient of the scale, gradient of x.
    const TABLE: [(f32, i32, f64, f32); 8] = [
        (-0.70, -1, -1.0, 0.0),
        (-0.41, 0, 0.025, 1.0),
        (-0.39, 0, -0.025, 1.0),
        (0.10, 1, -0.25, 1.0),
        (0.37, 2, 0.075, 1.0),
        (0.70, 3, 0.25, 1.0),
        (0.90, 3, -0.25, 1.0),
        (1.90, 6, 2.0, 0.0),
    ];
    let quant = FakeQuant { scale: 0.4, zero_point: 1, lo: 0, hi: 3 };
    for isa in Isa::supported() {
        for (x, code, d_scale, d_x) in TABLE {
            assert_eq!((x / quant.scale).round_ties_even() as i32 + quant.zero_point, code);
            let mut dx = [f32::NAN];
            let got = backward(isa, &quant, &[x], &[1.0], &mut dx, false);
            assert!((got - d_scale).abs() < 1e-6, "{isa} {x}: {got}, not {d_scale}");
            assert_eq!(dx[0], d_x, "{isa} {x}");
        }
    }
}

#[test]
fn each_row_of_weights_has_its_own_gradient() {
    let (scales, zero_points, codes) = ([0.1, 0.3], [2, 1], [0, 3]);
    let (x, dy) = (noise(2 * 21, 1), noise(2 * 21, 2));
    for isa in Isa::supported() {
        let (mut dx, mut d_scales) = (dy.clone(), [f32::NAN; 2]);
        backward_rows_in_place(isa, &scales, &zero_points, codes, &x, &mut dx, &mut d_scales);
        for (c, &scale) in scales.iter().enumerate() {
            let quant = FakeQuant { scale, zero_point: zero_points[c], lo: codes[0], hi: codes[1] };
            let mut want = dy[c * 21..][..21].to_vec();
            let sum = backward_in_place(isa, &quant, &x[c * 21..][..21], &mut want);
            assert_eq!((&dx[c * 21..][..21], d_scales[c]), (&want[..], sum as f32));
        }
    }
}

#[test]
fn the_quotient_decides_ties_not_the_product_with_the_reciprocal() {
    // 4.5 / 0.6 is exactly 7.5 in f32 and goes to the even 8; 4.5 · (1 / 0.6) is not a tie.
    let quant = FakeQuant { scale: 0.6, zero_point: 0, lo: -128, hi: 127 };
    assert_eq!(reference::encode(&quant, 4.5), (4.5f32 / 0.6).round_ties_even() as i32);
    assert_eq!(reference::encode(&quant, f32::NAN), 0);
}
