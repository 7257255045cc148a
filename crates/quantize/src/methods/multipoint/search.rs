//! The best points for a vector: one by an exact search over its scale, several greedily.
//!
//! A point is `step · codes` with integer codes; the paper writes `a · v` with `a = step · L` and `v = codes / L`, `L` the
//! highest code. All in f64: later points are of what little the earlier ones left.

/// One low-bit vector and its scale.
#[derive(Clone, Debug, PartialEq)]
pub struct Fit {
    /// Real units per code, positive.
    pub step: f64,
    /// Codes.
    pub codes: Vec<i8>,
}

/// Below this share of a vector's norm what is left over is rounding noise of its f32 values.
const EXACT: f64 = 1e-7;

/// The point with codes in `[lo, hi]` nearest to `r`, `None` for a vector of zeros.
///
/// For a given step the best codes are the nearest ones, which change only where the step passes some
/// `|r_j| / (m + 1/2)`. In each interval between those the best step for its codes is `⟨r, q⟩ / ⟨q, q⟩` with error
/// `‖r‖² − ⟨r, q⟩² / ⟨q, q⟩`, and one of the intervals has the optimum's codes. Going down from a step where all codes are
/// zero, each crossing moves one code by one, so that all of them take `O(d L log(d L))`.
pub fn best_point(r: &[f64], [lo, hi]: [i32; 2]) -> Option<Fit> {
    let top = |x: f64| if x > 0.0 { hi } else { -lo };
    let mut crossings: Vec<(f64, usize)> = Vec::with_capacity(r.len() * hi.max(1) as usize);
    for (j, &x) in r.iter().enumerate().filter(|(_, x)| **x != 0.0) {
        crossings.extend((0..top(x)).map(|m| (x.abs() / (f64::from(m) + 0.5), j)));
    }
    crossings.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
    let mut codes = vec![0i32; r.len()];
    let (mut dot, mut norm, mut best, mut crossed) = (0.0, 0.0, 0.0, 0);
    for (i, &(at, j)) in crossings.iter().enumerate() {
        dot += r[j].abs();
        norm += f64::from(2 * codes[j] + 1);
        codes[j] += 1;
        // Equal crossings are one: the interval between them is empty.
        if crossings.get(i + 1).is_none_or(|next| next.0 < at) && dot * dot / norm > best {
            (best, crossed) = (dot * dot / norm, i + 1);
        }
    }
    if crossed == 0 {
        return None;
    }
    codes.fill(0);
    crossings[..crossed].iter().for_each(|&(_, j)| codes[j] += if r[j] > 0.0 { 1 } else { -1 });
    let codes: Vec<i8> = codes.into_iter().map(|q| q as i8).collect();
    let step = least_squares_step(r, &codes)?;
    Some(Fit { step, codes })
}

/// `⟨r, q⟩ / ⟨q, q⟩`, `None` for codes of zeros.
fn least_squares_step(r: &[f64], codes: &[i8]) -> Option<f64> {
    let (mut dot, mut norm) = (0.0, 0.0);
    for (&x, &q) in r.iter().zip(codes) {
        dot += x * f64::from(q);
        norm += f64::from(q) * f64::from(q);
    }
    (norm > 0.0).then(|| dot / norm)
}

/// Adds best points of what is left over to `points` until there are `n`, or nothing is left over.
pub fn extend(w: &[f64], points: &mut Vec<Fit>, range: [i32; 2], n: usize) {
    let mut left = residual(w, points);
    while points.len() < n && norm(&left) > EXACT * norm(w) {
        let Some(point) = best_point(&left, range) else { break };
        subtract(&mut left, &point);
        points.push(point);
    }
}

/// What points leave of `w`.
pub fn residual(w: &[f64], points: &[Fit]) -> Vec<f64> {
    let mut left = w.to_vec();
    points.iter().for_each(|point| subtract(&mut left, point));
    left
}

fn subtract(left: &mut [f64], point: &Fit) {
    left.iter_mut().zip(&point.codes).for_each(|(x, &q)| *x -= point.step * f64::from(q));
}

/// Euclidean norm.
pub fn norm(x: &[f64]) -> f64 {
    x.iter().map(|x| x * x).sum::<f64>().sqrt()
}

/// Replaces the steps of `points` by those of least squared error for all their codes together, the first
/// `fixed` as they are. Where that asks for a step that is not positive, or two points have the same direction,
/// nothing changes.
pub fn refit(w: &[f64], points: &mut [Fit], fixed: usize) {
    let left = residual(w, &points[..fixed]);
    let free = &mut points[fixed..];
    let n = free.len();
    let product =
        |a: &[i8], b: &[i8]| a.iter().zip(b).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum::<f64>();
    // Normal equations with the right-hand side as a last column.
    let mut rows: Vec<Vec<f64>> = (0..n)
        .map(|i| {
            let of = |j: usize| product(&free[i].codes, &free[j].codes);
            let right = left.iter().zip(&free[i].codes).map(|(x, &q)| x * f64::from(q)).sum::<f64>();
            (0..n).map(of).chain([right]).collect()
        })
        .collect();
    for i in 0..n {
        let pivot = rows[i].clone();
        // Gram matrices need no exchange of rows; a vanishing pivot says that codes depend on each other.
        if pivot[i] <= 1e-9 * product(&free[i].codes, &free[i].codes) {
            return;
        }
        for k in (0..n).filter(|&k| k != i) {
            let share = rows[k][i] / pivot[i];
            rows[k].iter_mut().zip(&pivot).for_each(|(x, p)| *x -= share * p);
        }
    }
    let steps: Vec<f64> = (0..n).map(|i| rows[i][n] / rows[i][i]).collect();
    if steps.iter().all(|s| *s > 0.0) {
        free.iter_mut().zip(steps).for_each(|(point, step)| point.step = step);
    }
}

#[cfg(test)]
mod tests;
