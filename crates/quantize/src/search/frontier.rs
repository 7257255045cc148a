//! The points that no other beats.

/// Places of the points that no other beats, by their first number. A point beats another when no number of it is larger and
/// one is smaller; of equal ones, the first counts.
pub fn frontier<const N: usize>(points: &[[f64; N]]) -> Vec<usize> {
    let beats = |a: &[f64; N], b: &[f64; N]| a.iter().zip(b).all(|(a, b)| a <= b) && a != b;
    let free = |&i: &usize| {
        let p = &points[i];
        p.iter().all(|x| x.is_finite()) && !points.iter().any(|q| beats(q, p)) && !points[..i].contains(p)
    };
    let mut found: Vec<usize> = (0..points.len()).filter(free).collect();
    found.sort_by(|&a, &b| points[a][0].total_cmp(&points[b][0]).then(a.cmp(&b)));
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn beaten_and_repeated_points_go() {
        let points =
            [[3.0, 1.0], [1.0, 3.0], [2.0, 2.0], [3.0, 1.0], [2.0, 3.0], [f64::NAN, 0.0], [1.0, 4.0]];
        assert_eq!(frontier(&points), [1, 2, 0]);
        assert!(frontier::<2>(&[]).is_empty());
    }
}
