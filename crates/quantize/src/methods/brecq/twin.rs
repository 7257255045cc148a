//! The description's example of roundings that depend on each other, run by a plain twin in f64.

use super::schedule;

const ROWS: [[f64; 3]; 4] = [[1.0, 0.9, -0.2], [0.8, 1.1, 0.1], [-0.5, -0.4, 1.0], [1.2, 1.0, 0.3]];
const W: [f64; 3] = [0.36, 0.32, -0.23];
const STEP: f64 = 0.25;

fn output(w: [f64; 3], row: [f64; 3]) -> f64 {
    (0..3).map(|i| w[i] * row[i]).sum()
}

/// Mean squared error of the output with each weight rounded down (0) or up (1).
fn error(up: [f64; 3]) -> f64 {
    let rounded = [0, 1, 2].map(|i| ((W[i] / STEP).floor() + up[i]) * STEP);
    ROWS.iter().map(|&row| (output(rounded, row) - output(W, row)).powi(2)).sum::<f64>() / 4.0
}

/// The rounding variables after 8,000 and after 20,000 full-batch iterations.
fn learned(lambda: f64) -> [[f64; 3]; 2] {
    const TOTAL: usize = 20_000;
    let mut v = W.map(|w| {
        let fraction = w / STEP - (w / STEP).floor();
        -(1.2 / (fraction + 0.1) - 1.0).ln()
    });
    let (mut first, mut second, mut middle) = ([0.0; 3], [0.0; 3], v);
    for t in 1..=TOTAL {
        let sigma = v.map(|v| 1.0 / (1.0 + (-v).exp()));
        let h = sigma.map(|s| (1.2 * s - 0.1).clamp(0.0, 1.0));
        let soft = [0, 1, 2].map(|i| ((W[i] / STEP).floor() + h[i]) * STEP);
        for i in 0..3 {
            let data: f64 = ROWS
                .iter()
                .map(|&row| 2.0 * (output(soft, row) - output(W, row)) * row[i] * STEP / 4.0)
                .sum();
            let regulariser = schedule::beta(t, TOTAL).map_or(0.0, |beta| {
                let side = 2.0 * h[i] - 1.0;
                -lambda * 2.0 * beta * side.abs().powf(beta - 1.0) * side.signum()
            });
            let inside = (0.0..=1.0).contains(&(1.2 * sigma[i] - 0.1));
            let slope = if inside { 1.2 * sigma[i] * (1.0 - sigma[i]) } else { 0.0 };
            let g = (data + regulariser) * slope;
            first[i] = 0.9 * first[i] + 0.1 * g;
            second[i] = 0.999 * second[i] + 0.001 * g * g;
            let [m, s] =
                [first[i] / (1.0 - 0.9f64.powi(t as i32)), second[i] / (1.0 - 0.999f64.powi(t as i32))];
            v[i] -= 1e-3 * m / (s.sqrt() + 1e-8);
        }
        if t == 8000 {
            middle = v;
        }
    }
    [middle, v]
}

#[test]
fn rounding_is_not_independent() {
    let expected = [
        ([0.0, 0.0, 0.0], 0.025_920_75),
        ([0.0, 0.0, 1.0], 0.045_945_75),
        ([0.0, 1.0, 0.0], 0.004_483_25),
        ([0.0, 1.0, 1.0], 0.019_195_75),
        ([1.0, 0.0, 0.0], 0.004_989_5),
        ([1.0, 0.0, 1.0], 0.016_889_5),
        ([1.0, 1.0, 0.0], 0.082_927),
        ([1.0, 1.0, 1.0], 0.089_514_5),
    ];
    for (up, value) in expected {
        assert!((error(up) - value).abs() < 1e-10, "{up:?}: {}", error(up));
    }
}

#[test]
fn the_twin_learns_what_the_description_says() {
    let expected = [
        (0.01, [-0.3639, -0.6055, -2.4495], [1.0, 0.0, 0.0]),
        (0.001, [-0.3640, -0.6054, -2.4472], [1.0, 0.0, 0.0]),
        (0.0001, [-0.2219, -0.7471, -1.8051], [0.0, 0.0, 0.0]),
    ];
    for (lambda, middle, choice) in expected {
        let [found, last] = learned(lambda);
        assert!(found.iter().zip(middle).all(|(a, b)| (a - b).abs() < 2e-3), "{lambda}: {found:?}");
        assert_eq!(last.map(|v| f64::from(u8::from(v >= 0.0))), choice, "{lambda}: {last:?}");
    }
}
