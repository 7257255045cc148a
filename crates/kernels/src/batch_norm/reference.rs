//! The plain twins, value by value in f64.

/// Mean and `Σ (x - mean)²` of each channel of `x: [rows, channels]`.
pub fn moments(channels: usize, x: &[f32]) -> [Vec<f64>; 2] {
    let column = |c: usize| x.iter().skip(c).step_by(channels).map(|&x| f64::from(x));
    let rows = (x.len() / channels) as f64;
    let mean: Vec<f64> = (0..channels).map(|c| column(c).sum::<f64>() / rows).collect();
    let squares = (0..channels).map(|c| column(c).map(|x| (x - mean[c]).powi(2)).sum()).collect();
    [mean, squares]
}

/// See [`super::normalize`].
pub fn normalize(
    x: &[f32],
    [factor, shift]: [&[f32]; 2],
    residual: Option<&[f32]>,
    [lo, hi]: [f32; 2],
) -> Vec<f32> {
    let one = |(i, &x): (usize, &f32)| {
        let c = i % factor.len();
        let y = f64::from(x) * f64::from(factor[c]) + f64::from(shift[c]);
        let y = y + residual.map_or(0.0, |r| f64::from(r[i]));
        y.clamp(f64::from(lo), f64::from(hi)) as f32
    };
    x.iter().enumerate().map(one).collect()
}

/// `dy` behind the activation, `Σ dy` and `Σ dy·(x - mean)`; see [`super::slopes`].
pub fn slopes(
    x: &[f32],
    mean: &[f32],
    y: &[f32],
    [lo, hi]: [f32; 2],
    dy: &[f32],
) -> (Vec<f32>, [Vec<f64>; 2]) {
    let mut sums = [vec![0.0; mean.len()], vec![0.0; mean.len()]];
    let kept: Vec<f32> = dy.iter().zip(y).map(|(&dy, &y)| if lo < y && y < hi { dy } else { 0.0 }).collect();
    for (i, (&dy, &x)) in kept.iter().zip(x).enumerate() {
        let c = i % mean.len();
        sums[0][c] += f64::from(dy);
        sums[1][c] += f64::from(dy) * (f64::from(x) - f64::from(mean[c]));
    }
    (kept, sums)
}

/// See [`super::backward`].
pub fn backward(dy: &[f32], x: &[f32], factors: [&[f32]; 3]) -> Vec<f32> {
    let one = |(i, (&dy, &x)): (usize, (&f32, &f32))| {
        let [by_dy, by_x, shift] = factors.map(|f| f64::from(f[i % f.len()]));
        (by_dy * f64::from(dy) + by_x * f64::from(x) + shift) as f32
    };
    dy.iter().zip(x).enumerate().map(one).collect()
}
