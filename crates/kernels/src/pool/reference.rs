//! The plain twin: every tap of every window, in f64.

use super::Pool2d;

/// Where the values of the window at `(oy, ox)` lie in the image, and the number of taps inside the padded image.
fn window(pool: &Pool2d, oy: usize, ox: usize, channel: usize) -> (Vec<usize>, usize) {
    let mut places = Vec::new();
    let mut padded = 0;
    for ky in 0..pool.kernel[0] {
        for kx in 0..pool.kernel[1] {
            let y = (oy * pool.stride[0] + ky * pool.dilation[0]) as isize - pool.pads[0] as isize;
            let x = (ox * pool.stride[1] + kx * pool.dilation[1]) as isize - pool.pads[1] as isize;
            let (h, w) = (pool.in_h as isize, pool.in_w as isize);
            padded += usize::from(y < h + pool.pads[2] as isize && x < w + pool.pads[3] as isize);
            if (0..h).contains(&y) && (0..w).contains(&x) {
                places.push((y * w + x) as usize * pool.channels + channel);
            }
        }
    }
    (places, padded)
}

fn pool2d(pool: &Pool2d, input: &[f32], f: impl Fn(Vec<f64>, usize) -> f64) -> Vec<f32> {
    let mut output = Vec::new();
    for image in input.chunks_exact(pool.in_len()) {
        for oy in 0..pool.out_h() {
            for ox in 0..pool.out_w() {
                for channel in 0..pool.channels {
                    let (places, padded) = window(pool, oy, ox, channel);
                    let values = places.iter().map(|&at| f64::from(image[at])).collect();
                    output.push(f(values, padded) as f32);
                }
            }
        }
    }
    output
}

/// Twin of [`max_pool`](super::max_pool).
pub fn max_pool(pool: &Pool2d, input: &[f32]) -> Vec<f32> {
    let greater = |a: f64, b: f64| if b > a || b.is_nan() { b } else { a };
    pool2d(pool, input, |values, _| values.into_iter().fold(f64::NEG_INFINITY, greater))
}

/// Twin of [`average_pool`](super::average_pool).
pub fn average_pool(pool: &Pool2d, count_pad: bool, input: &[f32]) -> Vec<f32> {
    pool2d(pool, input, |values, padded| {
        let count = if count_pad { padded } else { values.len() };
        values.iter().sum::<f64>() / count.max(1) as f64
    })
}

/// `f(x of the image, dy of the window, places, padded taps)` gives what each place receives.
fn backward(
    pool: &Pool2d,
    x: &[f32],
    dy: &[f32],
    f: impl Fn(&[f32], f64, &[usize], usize) -> Vec<f64>,
) -> Vec<f32> {
    let mut dx = Vec::new();
    for (x, dy) in x.chunks_exact(pool.in_len()).zip(dy.chunks_exact(pool.out_len())) {
        let mut image = vec![0.0; x.len()];
        for (nth, &dy) in dy.iter().enumerate() {
            let (pixel, channel) = (nth / pool.channels, nth % pool.channels);
            let (places, padded) = window(pool, pixel / pool.out_w(), pixel % pool.out_w(), channel);
            let parts = f(x, f64::from(dy), &places, padded);
            places.iter().zip(parts).for_each(|(&at, part)| image[at] += part);
        }
        dx.extend(image.iter().map(|&x| x as f32));
    }
    dx
}

/// Twin of [`max_pool_backward`](super::max_pool_backward), without what `dx` held.
pub fn max_pool_backward(pool: &Pool2d, x: &[f32], dy: &[f32]) -> Vec<f32> {
    backward(pool, x, dy, |x, dy, places, _| {
        let max = places.iter().map(|&at| x[at]).fold(f32::NEG_INFINITY, f32::max);
        let first = places.iter().position(|&at| x[at] == max);
        (0..places.len()).map(|i| if Some(i) == first { dy } else { 0.0 }).collect()
    })
}

/// Twin of [`average_pool_backward`](super::average_pool_backward), without what `dx` held; `x` only gives the
/// number of images.
pub fn average_pool_backward(pool: &Pool2d, count_pad: bool, x: &[f32], dy: &[f32]) -> Vec<f32> {
    backward(pool, x, dy, |_, dy, places, padded| {
        let count = if count_pad { padded } else { places.len() };
        vec![dy / count.max(1) as f64; places.len()]
    })
}
