//! The worked examples and checks of the method's description, and slower searches that the exact one may not lose to.

use super::*;

const W: [f64; 6] = [0.90, -0.35, 0.10, 0.62, -0.77, 0.28];

/// Highest code of `bits`, and the range of codes without the one more that two's complement has.
fn levels(bits: u32) -> (f64, [i32; 2]) {
    let top = (1 << (bits - 1)) - 1;
    (f64::from(top), [-top, top])
}

fn greedy(w: &[f64], bits: u32, n: usize) -> Vec<Fit> {
    let mut points = Vec::new();
    extend(w, &mut points, levels(bits).1, n);
    points
}

fn nearest(r: &[f64], step: f64, [lo, hi]: [i32; 2]) -> Vec<i8> {
    r.iter().map(|x| (x / step).round().clamp(f64::from(lo), f64::from(hi)) as i8).collect()
}

fn left_by(r: &[f64], step: f64, codes: Vec<i8>) -> f64 {
    norm(&residual(r, &[Fit { step, codes }]))
}

/// One scale per interval between break points, tried one after the other: `(a, error)` by the definition.
fn every_interval(r: &[f64], bits: u32) -> Vec<(Vec<i8>, f64, f64)> {
    let (top, range) = levels(bits);
    let magnitudes = r.iter().filter(|x| **x != 0.0).map(|x| x.abs());
    let mut at: Vec<f64> =
        magnitudes.flat_map(|x| (0..top as i32).map(move |m| x / (f64::from(m) + 0.5))).collect();
    at.sort_by(f64::total_cmp);
    at.dedup_by(|a, b| (*a - *b).abs() < 1e-12);
    let inside = std::iter::once(at[0] / 2.0).chain(at.windows(2).map(|w| (w[0] + w[1]) / 2.0));
    inside
        .map(|step| {
            let codes = nearest(r, step, range);
            let step = least_squares_step(r, &codes).unwrap();
            (codes.clone(), step * top, left_by(r, step, codes))
        })
        .collect()
}

/// The paper's grid: scales `a` in multiples of `pitch`.
fn grid(r: &[f64], bits: u32, pitch: f64) -> (f64, f64) {
    let (top, range) = levels(bits);
    let largest = r.iter().fold(0f64, |m, x| m.max(x.abs()));
    let tried = (1..=(2.0 * top * largest / pitch) as usize).map(|i| i as f64 * pitch);
    let error = |a: f64| left_by(r, a / top, nearest(r, a / top, range));
    tried.map(|a| (a, error(a))).min_by(|a, b| a.1.total_cmp(&b.1)).unwrap()
}

/// Codes and scale in turn from one start, until the codes repeat.
fn alternating(r: &[f64], bits: u32, start: f64) -> Fit {
    let (top, range) = levels(bits);
    let mut fit = Fit { step: start / top, codes: Vec::new() };
    loop {
        let codes = nearest(r, fit.step, range);
        if codes == fit.codes {
            return fit;
        }
        let step = least_squares_step(r, &codes).unwrap_or(fit.step);
        fit = Fit { step, codes };
    }
}

/// The fixed vector of 64 entries.
fn fixed_64() -> Vec<f64> {
    let mut s = 12345u64;
    let next = || {
        s = (1_103_515_245 * s + 12345) % (1 << 31);
        2.0 * s as f64 / (1u64 << 31) as f64 - 1.0
    };
    std::iter::repeat_with(next).take(64).collect()
}

#[test]
fn greedy_points_of_the_worked_example() {
    type Row = (f64, [i8; 6], f64);
    let cases: [(u32, &[Row]); 3] = [
        (
            2,
            &[
                (0.76333333, [1, 0, 0, 1, -1, 0], 0.50016664),
                (0.22750000, [1, -1, 0, -1, 0, 1], 0.20770572),
                (0.09000000, [-1, -1, 1, 1, 0, 1], 0.05139715),
                (0.03500000, [0, -1, 0, 0, 0, -1], 0.01384437),
            ],
        ),
        (
            3,
            &[
                (0.86000000, [3, -1, 0, 2, -3, 1], 0.16103830),
                (0.09791667, [1, -2, 3, 1, 3, 0], 0.01913645),
                (0.02142857, [1, 0, 0, 2, -1, -1], 0.00301012),
            ],
        ),
        (
            4,
            &[
                (0.88798387, [7, -3, 1, 5, -6, 2], 0.05266296),
                (0.03081153, [3, 7, -6, -3, -2, 6], 0.00168358),
                (0.00143506, [-6, -1, -2, -5, 0, -1], 0.00013610),
            ],
        ),
    ];
    for (bits, rows) in cases {
        let points = greedy(&W, bits, rows.len());
        for (i, (a, codes, left)) in rows.iter().enumerate() {
            assert!((points[i].step * levels(bits).0 - a).abs() < 1e-8, "{bits} bits, point {i}");
            assert_eq!(points[i].codes, codes, "{bits} bits, point {i}");
            assert!((norm(&residual(&W, &points[..=i])) - left).abs() < 1e-8, "{bits} bits, point {i}");
        }
    }
    let left = residual(&W, &greedy(&W, 3, 1));
    for (found, expected) in left.iter().zip([0.04, -0.063333, 0.1, 0.046667, 0.09, -0.006667]) {
        assert!((found - expected).abs() < 1e-6);
    }
}

#[test]
fn one_point_at_more_bits() {
    let cases =
        [(2, 0.50016664), (3, 0.16103830), (4, 0.05266296), (5, 0.03182123), (6, 0.01000302), (8, 0.0)];
    for (bits, expected) in cases {
        let left = norm(&residual(&W, &greedy(&W, bits, 1)));
        assert!((left - expected).abs() < 1e-8, "{bits}: {left}");
    }
    // Multiples of 0.01 are codes of 8 bits; the largest common scale of W leaves nothing.
    let mut hundredths = W;
    hundredths[0] = 1.27;
    let point = &greedy(&hundredths, 8, 4)[..];
    assert!(matches!(point, [p] if (p.step * 127.0 - 1.27).abs() < 1e-12), "{point:?}");
}

#[test]
fn intervals_between_break_points() {
    let expected: [([i8; 6], f64, f64); 6] = [
        ([1, -1, 1, 1, -1, 1], 0.503333, 0.691472),
        ([1, -1, 0, 1, -1, 1], 0.584000, 0.541221),
        ([1, -1, 0, 1, -1, 0], 0.660000, 0.505767),
        ([1, 0, 0, 1, -1, 0], 0.763333, 0.500167),
        ([1, 0, 0, 0, -1, 0], 0.835000, 0.777014),
        ([1, 0, 0, 0, 0, 0], 0.900000, 1.090046),
    ];
    let found = every_interval(&W, 2);
    assert_eq!(found.len(), expected.len());
    for ((codes, a, error), (c, expected_a, expected_error)) in found.iter().zip(&expected) {
        assert_eq!(codes, c);
        assert!((a - expected_a).abs() < 1e-6 && (error - expected_error).abs() < 1e-6, "{codes:?}");
    }
}

#[test]
fn the_exact_search_is_the_best_of_all_intervals_and_never_loses() {
    let long = fixed_64();
    for bits in 2..=5 {
        for r in [&W[..], &long, &long[..7], &[0.5, 0.5, -0.5, 0.25], &[0.0, -3.0]] {
            let found = norm(&residual(r, &greedy(r, bits, 1)));
            let best = every_interval(r, bits).iter().map(|i| i.2).fold(f64::INFINITY, f64::min);
            assert!((found - best).abs() < 1e-12, "{bits}: {found} {best}");
            let largest = r.iter().fold(0f64, |m, x| m.max(x.abs()));
            let (top, range) = levels(bits);
            let others = [
                grid(r, bits, largest / 1024.0).1,
                norm(&residual(r, &[alternating(r, bits, largest)])),
                left_by(r, largest / top, nearest(r, largest / top, range)),
            ];
            assert!(others.iter().all(|other| found <= other + 1e-12), "{bits}: {found} {others:?}");
        }
    }
}

#[test]
fn plain_baselines_of_the_worked_example() {
    for (bits, expected) in [(2, 0.55335341), (3, 0.17378147), (4, 0.05602478)] {
        let (top, range) = levels(bits);
        let codes = nearest(&W, 0.9 / top, range);
        let exact = greedy(&W, bits, 1).remove(0);
        assert_eq!(codes, exact.codes);
        assert!((left_by(&W, 0.9 / top, codes) - expected).abs() < 1e-8);
        assert_eq!(alternating(&W, bits, 0.9), exact);
    }
    let grids: [(u32, [(f64, f64); 3]); 3] = [
        (2, [(0.76367188, 0.50016698), (0.22753906, 0.20770656), (0.08984375, 0.05140174)]),
        (3, [(0.86035156, 0.16103932), (0.09765625, 0.01874714), (0.02050781, 0.00306455)]),
        (4, [(0.88769531, 0.05266496), (0.03125000, 0.00158179), (0.00097656, 0.00013063)]),
    ];
    for (bits, points) in grids {
        let (top, range) = levels(bits);
        let mut left = W.to_vec();
        for (a, error) in points {
            let found = grid(&left, bits, 1.0 / 1024.0);
            assert!((found.0 - a).abs() < 1e-8 && (found.1 - error).abs() < 1e-8, "{bits}: {found:?}");
            let codes = nearest(&left, found.0 / top, range);
            subtract(&mut left, &Fit { step: found.0 / top, codes });
        }
    }
}

#[test]
fn residuals_decay_geometrically() {
    let w = fixed_64();
    assert!((norm(&w) - 4.298861).abs() < 1e-6 && (w[3] + 0.786463).abs() < 1e-6);
    let cases: [(u32, &[f64]); 3] = [
        (2, &[0.368392, 0.111237, 0.040709, 0.011673, 0.004379, 0.001661]),
        (3, &[0.149179, 0.021390, 0.003320, 0.000486, 0.000094, 0.000021]),
        (4, &[0.065728, 0.004608, 0.000300, 0.000021]),
    ];
    for (bits, expected) in cases {
        let points = greedy(&w, bits, expected.len());
        for (n, expected) in expected.iter().enumerate() {
            let share = norm(&residual(&w, &points[..=n])) / norm(&w);
            assert!((share - expected).abs() < 1e-6, "{bits} bits, {} points: {share}", n + 1);
        }
    }
}

#[test]
fn every_point_leaves_less_and_nothing_of_its_own_direction() {
    let w = fixed_64();
    for bits in 2..=4 {
        let points = greedy(&w, bits, 4);
        for i in 0..4 {
            let (before, after) = (residual(&w, &points[..i]), residual(&w, &points[..=i]));
            assert!(norm(&after) < norm(&before));
            let along: f64 = after.iter().zip(&points[i].codes).map(|(x, &q)| x * f64::from(q)).sum();
            let size =
                norm(&before) * points[i].codes.iter().map(|&q| f64::from(q).powi(2)).sum::<f64>().sqrt();
            assert!((along / size).abs() < 1e-12, "{bits} bits, point {i}: {along}");
        }
    }
}

#[test]
fn scaled_vectors_have_scaled_points_and_mirrored_ones_mirrored_codes() {
    let (points, scaled) = (greedy(&W, 3, 3), greedy(&W.map(|x| 8.0 * x), 3, 3));
    let mirrored = greedy(&W.map(|x| -x), 3, 3);
    for ((p, s), m) in points.iter().zip(&scaled).zip(&mirrored) {
        assert_eq!((&p.codes, 8.0 * p.step), (&s.codes, s.step));
        assert!(p.codes.iter().zip(&m.codes).all(|(a, b)| *a == -b) && p.step == m.step);
    }
}

#[test]
fn what_is_exact_or_zero_needs_no_further_point() {
    assert!(greedy(&[0.0; 5], 3, 4).is_empty());
    let c = [0.5, 0.5, -0.5, 0.5, 0.0, -0.5];
    for bits in [2, 3] {
        assert_eq!(greedy(&c, bits, 4).len(), 1);
        assert!(norm(&residual(&c, &greedy(&c, bits, 4))) < 1e-15);
    }
    let b = [0.05, 0.02, -0.04, 0.06, 0.01, -0.03];
    let points = greedy(&b, 2, 4);
    let expected: [(f64, [i8; 6]); 3] =
        [(0.045, [1, 0, -1, 1, 0, -1]), (0.015, [0, 1, 0, 1, 1, 1]), (0.005, [1, 1, 1, 0, -1, 0])];
    assert_eq!(points.len(), 3);
    for (p, (a, codes)) in points.iter().zip(expected) {
        assert!((p.step - a).abs() < 1e-12 && p.codes == codes, "{p:?}");
    }
}

#[test]
fn a_refit_never_raises_the_error_and_leaves_fixed_points_alone() {
    let w = fixed_64();
    for bits in 2..=4 {
        for fixed in [0, 1] {
            let points = greedy(&w, bits, 3);
            let mut refitted = points.clone();
            refit(&w, &mut refitted, fixed);
            assert!(norm(&residual(&w, &refitted)) <= norm(&residual(&w, &points)) + 1e-15);
            assert_eq!(refitted[..fixed], points[..fixed]);
        }
        let mut same = vec![best_point(&w, levels(bits).1).unwrap(); 2];
        let before = same.clone();
        refit(&w, &mut same, 0);
        assert_eq!(same, before);
    }
}

#[test]
fn one_more_code_on_a_side_never_costs() {
    let w = fixed_64();
    for bits in 2..=4 {
        let (_, [lo, hi]) = levels(bits);
        let of = |range| norm(&residual(&w, &[best_point(&w, range).unwrap()]));
        assert!(of([lo - 1, hi]) <= of([lo, hi]));
    }
}
