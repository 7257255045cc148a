//! Rounding to a code: the gradient passes straight through, and the step has one of its own.

use crate::common::noise;
use lowbit_engine::{gradient, step_gradient};
use lowbit_graph::ops::{BitWindow, FakeLevels, FakeQuantize};
use lowbit_tensor::code::window::Rounding;
use lowbit_tensor::{DType, Levels, Tensor, Uniform, Window, Windowed};

fn ones(x: &Tensor) -> Tensor {
    Tensor::from_f32(x.shape(), vec![1.0; x.len()])
}

fn straight_through(op: &FakeQuantize, x: &Tensor, dy: &Tensor) -> Vec<f32> {
    gradient(&op.clone().into(), &[Some(x)], &[Some(dy)]).unwrap()[0].as_ref().unwrap().to_f32()
}

/// The worked example of BRECQ's step gradient: M = 2, s = 0.4, z = 1.
#[test]
fn steps_and_values_of_the_worked_example() {
    let op = FakeQuantize { code: Uniform::per_tensor(2, false, 0.4, 1) };
    let table = [
        (-0.70, -1.0, 0.0),
        (-0.41, 0.025, 1.0),
        (-0.39, -0.025, 1.0),
        (0.10, -0.25, 1.0),
        (0.37, 0.075, 1.0),
        (0.70, 0.25, 1.0),
        (0.90, -0.25, 1.0),
        (1.90, 2.0, 0.0),
    ];
    for (x, by_step, by_value) in table {
        let x = Tensor::scalar(x);
        assert_eq!(straight_through(&op, &x, &ones(&x)), [by_value]);
        let found = step_gradient(&op, &x, &ones(&x)).unwrap();
        assert!(found.shape() == [1] && (found.to_f32()[0] - by_step).abs() < 1e-6, "{found:?}");
    }
}

#[test]
fn both_ends_of_the_range_pass_and_what_is_beyond_does_not() {
    let op = FakeQuantize { code: Uniform::per_tensor(2, true, 1.0, 0) };
    // Codes before the clamp: -3, -2 (a tie to even), 1, 2 (a tie to even), and not a number.
    let x = Tensor::from_f32([5], vec![-2.51, -2.5, 1.49, 1.5, f32::NAN]);
    assert_eq!(straight_through(&op, &x, &ones(&x)), [0., 1., 1., 0., 1.]);
    assert!(step_gradient(&op, &x, &ones(&x)).unwrap().to_f32()[0].is_nan(), "a broken loss stays visible");
    let infinite = Tensor::from_f32([2], vec![f32::INFINITY, f32::NEG_INFINITY]);
    assert_eq!(straight_through(&op, &infinite, &ones(&infinite)), [0., 0.]);
    assert_eq!(step_gradient(&op, &infinite, &ones(&infinite)).unwrap().to_f32(), [-1.0]);
}

#[test]
fn levels_pass_what_their_grid_passes() {
    let grid = Uniform::per_tensor(8, false, 1.0, 10);
    let op = FakeLevels { code: Levels::nearest(grid, vec![10, 60, 200]).unwrap().into() };
    let x = Tensor::from_f32([4], vec![-10.6, -9.0, 244.0, 245.6]);
    let found = gradient(&op.into(), &[Some(&x)], &[Some(&ones(&x))]).unwrap();
    assert_eq!(found[0].as_ref().unwrap().to_f32(), [0.0, 1.0, 1.0, 0.0]);
}

#[test]
fn a_window_passes_everything() {
    let window = Window::named("2opt", Rounding::Trim).unwrap();
    let op = BitWindow { read: Windowed { window, pairs: true }, axis: 1, scale: 0.5 };
    let (x, dy) =
        (Tensor::from_f32([2, 3], vec![0., 13.5, 0., 127.5, 8., 0.5]), Tensor::from_f32([2, 3], noise(6, 1)));
    let found = gradient(&op.into(), &[Some(&x)], &[Some(&dy)]).unwrap();
    assert_eq!(found, [Some(dy)]);
}

#[test]
fn each_channel_has_its_own_step_and_one_of_no_bits_has_none() {
    let code = Uniform {
        axis: Some(1),
        bits: vec![4, 2, 0],
        signed: true,
        scale: vec![0.1, 0.2, 0.3],
        zero_point: vec![0, 0, 0],
        shift: Some(vec![0.5, 0.0, 0.7]),
    };
    let op = FakeQuantize { code };
    let x = Tensor::from_f32([2, 3, 2], noise(12, 3));
    let dy = Tensor::from_f32([2, 3, 2], noise(12, 4));
    let channel = |t: &Tensor, c: usize| {
        let t = t.to_f32();
        let picked = [2 * c, 2 * c + 1, 6 + 2 * c, 7 + 2 * c].map(|i| t[i]);
        Tensor::from_f32([4], picked.to_vec())
    };
    let whole = Tensor::from_f32([2, 3, 2], straight_through(&op, &x, &dy));
    let steps = step_gradient(&op, &x, &dy).unwrap().to_f32();
    for (c, (bits, scale)) in [(4, 0.1), (2, 0.2)].into_iter().enumerate() {
        let alone = FakeQuantize { code: Uniform::per_tensor(bits, true, scale, 0) };
        let (x, dy) = (channel(&x, c), channel(&dy, c));
        assert_eq!(channel(&whole, c).to_f32(), straight_through(&alone, &x, &dy));
        assert_eq!(steps[c], step_gradient(&alone, &x, &dy).unwrap().to_f32()[0]);
    }
    assert_eq!((channel(&whole, 2).to_f32(), steps[2]), (vec![0.0; 4], 0.0));
}

/// With each rounding error held at what it is, the result is smooth in the values and in the step but for the clamp.
#[test]
fn gradients_are_slopes_once_the_rounding_errors_are_frozen() {
    let (scale, zero_point, [lo, hi]) = (0.17f32, 5, [0.0, 15.0]);
    let op = FakeQuantize { code: Uniform::per_tensor(4, false, scale, zero_point) };
    let xs: Vec<f32> = noise(200, 9).into_iter().map(|x| 2.0 * x).collect();
    let dy = noise(200, 10);
    let x = Tensor::from_f32([200], xs.clone());
    let grad = Tensor::from_f32([200], dy.clone());
    let frozen = |x: f32, by: f64, step: f64| {
        let error = f64::from((x / scale).round_ties_even()) - f64::from(x) / f64::from(scale);
        let code = ((f64::from(x) + by) / step + error + f64::from(zero_point)).clamp(lo, hi);
        (code - f64::from(zero_point)) * step
    };
    // On the very ends of the range the frozen result bends: there the worked example speaks.
    let bends = |x: f32| [lo, hi].contains(&f64::from((x / scale).round_ties_even() + zero_point as f32));
    let by_value = straight_through(&op, &x, &grad);
    let (h, s) = (1e-6, f64::from(scale));
    for (i, &x) in xs.iter().enumerate().filter(|(_, x)| !bends(**x)) {
        let slope = (frozen(x, h, s) - frozen(x, -h, s)) / (2.0 * h);
        assert!((f64::from(by_value[i]) - slope * f64::from(dy[i])).abs() < 1e-6, "{x}");
        let slope = (frozen(x, 0.0, s + h) - frozen(x, 0.0, s - h)) / (2.0 * h) * f64::from(dy[i]);
        let one = (Tensor::scalar(x).cast(DType::F64), Tensor::scalar(dy[i]));
        let found = step_gradient(&op, &one.0, &one.1).unwrap().to_f64()[0];
        assert!((found - slope).abs() < 1e-6, "{x}: {found}, {slope}");
    }
    let sum: f64 = (0..200)
        .map(|i| {
            step_gradient(&op, &Tensor::scalar(xs[i]).cast(DType::F64), &Tensor::scalar(dy[i]))
                .unwrap()
                .to_f64()[0]
        })
        .sum();
    assert!((f64::from(step_gradient(&op, &x, &grad).unwrap().to_f32()[0]) - sum).abs() < 1e-5);
}
