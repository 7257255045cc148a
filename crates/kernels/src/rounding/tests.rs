//! The figures of the method's description, and every instruction set of this machine against the plain twin.

use proptest::prelude::*;

use super::*;
use crate::testing::{assert_close, noise};

/// `h(v)`, read off a grid on which the soft weight is `h` itself.
fn h(isa: Isa, v: f32) -> f32 {
    let mut weight = [f32::NAN];
    soft(isa, &Grid { scales: &[1.0], zero_points: &[0], codes: [0, 1] }, &[0.0], &[v], &mut weight);
    weight[0]
}

/// The derivative of `h`, and with a regulariser its value and derivative alone.
fn slopes(isa: Isa, v: f32, regularizer: Option<Regularizer>) -> [f64; 2] {
    let grid = Grid { scales: &[1.0], zero_points: &[0], codes: [0, 1] };
    let mut dv = [f32::NAN];
    let dw = if regularizer.is_some() { 0.0 } else { 1.0 };
    let value = backward(isa, &grid, &[0.0], &[v], &[dw], regularizer, &mut dv);
    [value, f64::from(dv[0])]
}

#[test]
fn h_is_a_sigmoid_that_reaches_its_ends() {
    for isa in Isa::supported() {
        for (v, want) in [(0.0, 0.5), (0.5, 0.646_951), (1.0, 0.777_270), (2.0, 0.956_956)] {
            assert!((h(isa, v) - want).abs() < 1e-6 && (h(isa, -v) - (1.0 - want)).abs() < 1e-6, "{isa} {v}");
        }
        assert_eq!([h(isa, 2.4), h(isa, 30.0), h(isa, -2.4), h(isa, -30.0)], [1.0, 1.0, 0.0, 0.0]);
        for (v, want) in [(0.0, 0.3), (1.0, 0.235_934), (2.0, 0.125_992), (3.0, 0.0), (-3.0, 0.0)] {
            assert!((slopes(isa, v, None)[1] - want).abs() < 1e-6, "{isa} {v}");
        }
    }
}

#[test]
fn the_initial_variable_gives_the_fraction_back() {
    let table = [
        (0.0, -2.397_895),
        (0.1, -1.609_438),
        (0.25, -0.887_303),
        (0.5, 0.0),
        (0.75, 0.887_303),
        (0.9, 1.609_438),
        (0.999, 2.387_035),
    ];
    for (fraction, v) in table {
        assert!((initial(fraction) - v).abs() < 2e-6, "{fraction}: {}", initial(fraction));
        for isa in Isa::supported() {
            assert!((h(isa, initial(fraction)) - fraction).abs() < 1e-6, "{isa} {fraction}");
        }
    }
}

#[test]
fn a_weight_on_the_grid_still_has_a_gradient() {
    for (isa, end) in Isa::supported().flat_map(|isa| [initial(0.0), initial(1.0)].map(|end| (isa, end))) {
        assert!((slopes(isa, end, None)[1] - 1.2 * 11.0 / 144.0).abs() < 1e-6, "{isa} {end}");
        assert_eq!(slopes(isa, end * 1.000_001, None)[1], 0.0, "{isa} {end}");
    }
}

#[test]
fn codes_at_the_ends_of_the_range_pass_gradients() {
    let grid = Grid { scales: &[0.5], zero_points: &[1], codes: [0, 3] };
    // h is exactly 0, exactly 1, and between.
    let v = [initial(0.0), initial(1.0), 0.0];
    for isa in Isa::supported() {
        let passes = |floor: f32, v: f32| {
            let mut dv = [f32::NAN];
            backward(isa, &grid, &[floor], &[v], &[1.0], None, &mut dv);
            dv[0] != 0.0
        };
        let h = |v| reference::rectified(v)[0];
        // The two end variables are within a rounding of their ends.
        assert!(h(v[0]) < 1e-7 && h(v[1]) > 1.0 - 1e-7);
        assert_eq!(
            [0.0, 3.0, 4.0, -2.0].map(|floor| passes(floor, v[2])),
            [true, false, false, false],
            "{isa}"
        );
        assert!(passes(2.0, v[1]), "{isa}");
    }
}

#[test]
fn the_regularizer_has_the_values_of_the_description() {
    let table = [
        (0.1, [0.988_471, 0.914_101, 0.36]),
        (0.25, [0.999_999, 0.999_512, 0.75]),
        (0.99, [0.332_392, 0.199_269, 0.0396]),
        (0.5, [1.0, 1.0, 1.0]),
    ];
    for (isa, (fraction, values)) in Isa::supported().flat_map(|isa| table.map(|row| (isa, row))) {
        for (beta, want) in [20.0, 11.0, 2.0].into_iter().zip(values) {
            let [value, _] = slopes(isa, initial(fraction), Some(Regularizer { lambda: 1.0, beta }));
            assert!((value - want).abs() < 3e-6, "{isa} {fraction} {beta}: {value}, not {want}");
        }
    }
    // Slopes in h at 0.25.
    for (isa, (beta, want)) in Isa::supported()
        .flat_map(|isa| [(20.0, 7.6e-5), (11.0, 0.021_484), (5.0, 0.625), (2.0, 2.0)].map(|row| (isa, row)))
    {
        let [_, slope] = slopes(isa, initial(0.25), Some(Regularizer { lambda: 1.0, beta }));
        let dh = slopes(isa, initial(0.25), None)[1];
        assert!((slope / dh - want).abs() < 1e-5 * f64::max(want, 0.1), "{isa} {beta}: {}", slope / dh);
    }
}

#[test]
fn soft_weights_start_as_the_float_weights() {
    let (scales, zero_points) = ([0.014_634_667, 0.3], [9, -2]);
    let weights: Vec<f32> =
        noise(2 * 37, 3).iter().enumerate().map(|(i, x)| x * scales[i / 37] * 6.0).collect();
    let steps = |i: usize| weights[i] / scales[i / 37];
    let floor: Vec<f32> = (0..74).map(|i| steps(i).floor() + zero_points[i / 37] as f32).collect();
    let v: Vec<f32> = (0..74).map(|i| initial(steps(i) - steps(i).floor())).collect();
    for isa in Isa::supported() {
        let mut got = vec![f32::NAN; 74];
        let grid = Grid { scales: &scales, zero_points: &zero_points, codes: [-100, 100] };
        soft(isa, &grid, &floor, &v, &mut got);
        assert_close(&got, &weights, |_| 1e-6, isa);
    }
}

proptest! {
    #[test]
    fn every_instruction_set_agrees_with_the_reference(
        channels in 1usize..4, row_len in 0usize..2100, seed: u64, regularized: bool, beta in 1.5f32..20.0,
    ) {
        let len = channels * row_len;
        let scales: Vec<f32> = noise(channels, seed).iter().map(|x| 0.1 + x.abs()).collect();
        let zero_points: Vec<i32> = (0..channels as i32).map(|c| c - 1).collect();
        let floor: Vec<f32> = noise(len, seed ^ 1).iter().map(|x| (x * 6.0).floor()).collect();
        // So near an end of h, rounding decides whether a code at the end of its range is past it.
        let away = |v: f32| if (v.abs() - END).abs() < 1e-4 { 0.0 } else { v };
        let v: Vec<f32> = noise(len, seed ^ 2).iter().map(|x| away(x * 4.0)).collect();
        let dw = noise(len, seed ^ 3);
        let regularizer = regularized.then_some(Regularizer { lambda: 0.3, beta });
        let grid = Grid { scales: &scales, zero_points: &zero_points, codes: [-3, 4] };
        let twin = |i: usize| reference::soft(scales[i / row_len], zero_points[i / row_len], grid.codes, floor[i], v[i]);
        let part = |i: usize| regularizer.map_or([0.0; 2], |r| reference::regularizer(r, v[i]));
        let weights: Vec<f32> = (0..len).map(|i| twin(i)[0] as f32).collect();
        let want: Vec<f32> = (0..len).map(|i| (f64::from(dw[i]) * twin(i)[1] + part(i)[1]) as f32).collect();
        let value: f64 = (0..len).map(|i| part(i)[0]).sum();
        for isa in Isa::supported() {
            let mut got = vec![f32::NAN; len];
            soft(isa, &grid, &floor, &v, &mut got);
            assert_close(&got, &weights, |_| 5e-6, isa);
            let sum = backward(isa, &grid, &floor, &v, &dw, regularizer, &mut got);
            // The rounding of h grows beta-fold in a power of it.
            assert_close(&got, &want, |i| 5e-6 + 1e-6 * beta * want[i].abs(), isa);
            prop_assert!((sum - value).abs() <= 1e-5 * (1.0 + value), "{} {}", sum, value);
        }
    }

    #[test]
    fn the_reference_is_the_derivative(v in -4f32..4.0, floor in -6i32..6, beta in 1.5f32..20.0) {
        let near_end = (v.abs() - END).abs() < 1e-2;
        let difference = |f: &dyn Fn(f32) -> f64| {
            let (left, right) = (v - 1e-3, v + 1e-3);
            (f(right) - f(left)) / (f64::from(right) - f64::from(left))
        };
        let value = |v| reference::soft(0.7, 1, [-3, 4], floor as f32, v);
        let want = difference(&|v| value(v)[0]);
        prop_assert!(near_end || (value(v)[1] - want).abs() < 1e-4, "{} {}", value(v)[1], want);
        let value = |v| reference::regularizer(Regularizer { lambda: 0.5, beta }, v);
        let want = difference(&|v| value(v)[0]);
        // Below 2 the slope itself has a steep place at v = 0.
        let steep = beta < 2.0 && v.abs() < 0.05;
        prop_assert!(near_end || steep || (value(v)[1] - want).abs() < 1e-3, "{} {}", value(v)[1], want);
    }
}
