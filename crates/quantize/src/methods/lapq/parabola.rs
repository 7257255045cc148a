//! The loss over `p` is taken for a parabola, whose vertex is the `p` to start from.

/// Coefficients `[z2, z1, z0]` of the parabola `z2·p² + z1·p + z0` of least squares through points `(p, loss)`; `None`
/// for fewer than three different `p`.
pub fn fit(points: &[(f64, f64)]) -> Option<[f64; 3]> {
    let n = points.len() as f64;
    // Around the mean of p the normal equations are well conditioned.
    let centre = points.iter().map(|point| point.0).sum::<f64>() / n;
    let sum = |power: i32| points.iter().map(|&(p, _)| (p - centre).powi(power)).sum::<f64>();
    let product = |power: i32| points.iter().map(|&(p, y)| (p - centre).powi(power) * y).sum::<f64>();
    let (s2, s3, s4) = (sum(2), sum(3), sum(4));
    let determinant = n * (s2 * s4 - s3 * s3) - s2 * s2 * s2;
    if determinant.is_nan() || determinant <= 1e-12 * n * s2 * s4 {
        return None;
    }
    let (y0, y1, y2) = (product(0), product(1), product(2));
    // Cramer's rule on [s4 s3 s2; s3 s2 0; s2 0 n].
    let z2 = (y2 * s2 * n - s3 * y1 * n - s2 * s2 * y0) / determinant;
    let z1 = (y1 - s3 * z2) / s2;
    let z0 = (y0 - s2 * z2) / n;
    Some([z2, z1 - 2.0 * z2 * centre, z0 - z1 * centre + z2 * centre * centre])
}

/// The `p` where the parabola through the points is least, if it has a minimum among them.
pub fn vertex(points: &[(f64, f64)]) -> Option<f64> {
    let [z2, z1, _] = fit(points)?;
    let p = -z1 / (2.0 * z2);
    let [lo, hi] =
        points.iter().fold([f64::INFINITY, f64::NEG_INFINITY], |[lo, hi], &(p, _)| [lo.min(p), hi.max(p)]);
    (z2 > 0.0 && (lo..=hi).contains(&p)).then_some(p)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn assert_fits(points: &[(f64, f64)], expected: [f64; 3], least: f64) {
        let found = fit(points).unwrap();
        assert!(found.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-6), "{found:?}");
        assert!((vertex(points).unwrap() - least).abs() < 1e-6);
    }

    #[test]
    fn parabolas_of_the_worked_examples() {
        let losses = [2.91, 2.74, 2.60, 2.52, 2.47, 2.46, 2.49, 2.57, 2.66, 2.81];
        let points: Vec<(f64, f64)> =
            losses.iter().enumerate().map(|(k, &loss)| (2.0 + 2.0 * k as f64 / 9.0, loss)).collect();
        assert_fits(&points, [0.398864, -2.439818, 6.190182], 3.058462);
        let [z2, z1, z0] = fit(&points).unwrap();
        assert!((z0 - z1 * z1 / (4.0 * z2) - 2.459137).abs() < 1e-6);
        let points = [(2.0, 3.0), (2.5, 2.5), (3.0, 2.2), (3.5, 2.3), (4.0, 2.6)];
        assert_fits(&points, [0.571429, -3.628571, 7.977143], 3.175);
    }

    #[test]
    fn a_hill_a_slope_and_too_few_points_have_no_least() {
        let of = |f: fn(f64) -> f64| [2.0, 2.5, 3.0, 3.5, 4.0].map(|p| (p, f(p)));
        assert_eq!(vertex(&of(|p| -(p - 3.0).powi(2))), None);
        assert_eq!(vertex(&of(|p| (p - 7.0).powi(2))), None);
        assert_eq!(vertex(&of(|_| 1.0)), None);
        assert_eq!(
            (vertex(&[(2.0, 1.0), (3.0, 0.5)]), vertex(&[(2.0, 1.0); 4]), vertex(&[])),
            (None, None, None)
        );
    }
}
