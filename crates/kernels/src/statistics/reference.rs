//! The plain loops.

/// See [`super::extremes`].
pub fn extremes(x: &[f32], [min, max, sum]: [&mut [f32]; 3]) {
    for row in x.chunks_exact(sum.len()) {
        for (c, &v) in row.iter().enumerate() {
            min[c] = min[c].min(v);
            max[c] = max[c].max(v);
            sum[c] += v;
        }
    }
}

/// See [`super::deviations`].
pub fn deviations(x: &[f32], mean: &[f32], centre: f32, [absolute, square, around]: [&mut [f32]; 3]) {
    for row in x.chunks_exact(mean.len()) {
        for (c, &v) in row.iter().enumerate() {
            absolute[c] += (v - mean[c]).abs();
            square[c] += (v - mean[c]) * (v - mean[c]);
            around[c] += (v - centre).abs();
        }
    }
}

/// See [`super::histogram`]; one table.
pub fn histogram(x: &[f32], scale: f32, first: i32, bins: usize) -> Vec<u32> {
    let mut counts = vec![0; bins];
    for v in x {
        let bin = ((v * scale).floor() as i32).clamp(first, first + bins as i32 - 1);
        counts[(bin - first) as usize] += 1;
    }
    counts
}
