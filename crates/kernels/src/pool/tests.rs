//! Every instruction set of this machine against the plain twin.

use proptest::prelude::*;

use super::*;
use crate::testing::{assert_close, noise, pools};

proptest! {
    #[test]
    fn pooling_agrees_with_the_reference(pool in pools(1..40, 1..5), images in 0usize..3, count_pad: bool) {
        let input = noise(images * pool.in_len(), 5);
        for isa in Isa::supported() {
            let mut output = vec![f32::NAN; images * pool.out_len()];
            max_pool(isa, &pool, &input, &mut output);
            prop_assert_eq!(&output, &reference::max_pool(&pool, &input));
            average_pool(isa, &pool, count_pad, &input, &mut output);
            let want = reference::average_pool(&pool, count_pad, &input);
            assert_close(&output, &want, |_| 1e-6, (isa, pool));
        }
    }

    #[test]
    fn gradients_agree_with_the_reference(pool in pools(1..40, 1..5), images in 0usize..3, count_pad: bool, coarse: bool) {
        // Coarse values are often equal.
        let round = |x: &f32| if coarse { (x * 2.0).round() } else { *x };
        let x: Vec<f32> = noise(images * pool.in_len(), 5).iter().map(round).collect();
        let (dy, before) = (noise(images * pool.out_len(), 6), noise(x.len(), 7));
        let max = reference::max_pool_backward(&pool, &x, &dy);
        let average = reference::average_pool_backward(&pool, count_pad, &x, &dy);
        for isa in Isa::supported() {
            let mut dx = vec![f32::NAN; x.len()];
            max_pool_backward(isa, &pool, &x, &dy, &mut dx, false);
            assert_close(&dx, &max, |_| 1e-5, (isa, pool));
            dx.copy_from_slice(&before);
            max_pool_backward(isa, &pool, &x, &dy, &mut dx, true);
            let sum: Vec<f32> = max.iter().zip(&before).map(|(a, b)| a + b).collect();
            assert_close(&dx, &sum, |_| 1e-5, (isa, pool));
            average_pool_backward(isa, &pool, count_pad, &dy, &mut dx, false);
            assert_close(&dx, &average, |_| 1e-5, (isa, pool));
        }
    }

    #[test]
    fn the_references_of_gradients_are_derivatives(pool in pools(1..40, 1..5), count_pad: bool, seed: u64) {
        let (x, dy) = (noise(pool.in_len(), seed), noise(pool.out_len(), !seed));
        let at = seed as usize % x.len();
        let difference = |f: &dyn Fn(&[f32]) -> Vec<f32>, step: f32| {
            let loss = |x: &[f32]| -> f64 {
                let y = f(x);
                y.iter().zip(&dy).filter(|(y, _)| y.is_finite()).map(|(y, dy)| f64::from(y * dy)).sum()
            };
            let mut moved = x.clone();
            moved[at] = x[at] + step;
            let above = loss(&moved);
            moved[at] = x[at] - step;
            (above - loss(&moved)) / (2.0 * f64::from(step))
        };
        let want = difference(&|x| reference::average_pool(&pool, count_pad, x), 0.5);
        let got = reference::average_pool_backward(&pool, count_pad, &x, &dy)[at];
        prop_assert!((f64::from(got) - want).abs() < 1e-4, "{} {}", got, want);
        // Where no other value of its channel is near, no window changes its maximum.
        let near = |i: usize| i != at && i % pool.channels == at % pool.channels && (x[i] - x[at]).abs() < 2e-2;
        if !(0..x.len()).any(near) {
            let want = difference(&|x| reference::max_pool(&pool, x), 1e-2);
            let got = reference::max_pool_backward(&pool, &x, &dy)[at];
            prop_assert!((f64::from(got) - want).abs() < 1e-2, "{} {}", got, want);
        }
    }
}

#[test]
fn each_pixel_receives_its_part_of_the_global_average() {
    for isa in Isa::supported() {
        let mut dx = [1.0; 4];
        global_average_pool_backward(isa, 2, 2, &[3.0, 5.0], &mut dx, true);
        assert_eq!(dx, [2.5, 3.5, 2.5, 3.5]);
    }
}

#[test]
fn rounding_up_adds_a_window_only_if_it_starts_inside() {
    let pool = Pool2d {
        in_h: 4,
        in_w: 5,
        channels: 1,
        kernel: [2, 2],
        stride: [3, 2],
        dilation: [1; 2],
        pads: [0, 0, 1, 0],
        ceil: true,
    };
    assert_eq!([pool.out_h(), pool.out_w()], [2, 3]);
    assert_eq!(Pool2d { in_h: 3, pads: [0, 0, 2, 0], ..pool }.out_h(), 2);
    assert_eq!(Pool2d { in_h: 3, stride: [4, 2], pads: [0, 0, 2, 0], ..pool }.out_h(), 1);
}

#[test]
fn the_global_average_is_the_mean_of_each_channel() {
    for isa in Isa::supported() {
        let mut output = [0.0; 2];
        global_average_pool(isa, 3, 2, &[1.0, 10.0, 2.0, 20.0, 6.0, 60.0], &mut output);
        assert_eq!(output, [3.0, 30.0]);
    }
}

#[test]
fn nan_wins_over_numbers() {
    let pool = Pool2d {
        in_h: 1,
        in_w: 3,
        channels: 1,
        kernel: [1, 3],
        stride: [1; 2],
        dilation: [1; 2],
        pads: [0; 4],
        ceil: false,
    };
    for (isa, at) in Isa::supported().flat_map(|isa| [0, 1, 2].map(|at| (isa, at))) {
        let mut input = [1.0, 2.0, 3.0];
        input[at] = f32::NAN;
        let mut output = [0.0];
        max_pool(isa, &pool, &input, &mut output);
        assert!(output[0].is_nan(), "{isa} {at}");
    }
}
