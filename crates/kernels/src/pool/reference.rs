//! The plain twin: every tap of every window, in f64.

use super::Pool2d;

/// The values of the window at `(oy, ox)`, and the number of taps inside the padded image.
fn window(pool: &Pool2d, image: &[f32], oy: usize, ox: usize, channel: usize) -> (Vec<f64>, usize) {
    let mut values = Vec::new();
    let mut padded = 0;
    for ky in 0..pool.kernel[0] {
        for kx in 0..pool.kernel[1] {
            let y = (oy * pool.stride[0] + ky * pool.dilation[0]) as isize - pool.pads[0] as isize;
            let x = (ox * pool.stride[1] + kx * pool.dilation[1]) as isize - pool.pads[1] as isize;
            let (h, w) = (pool.in_h as isize, pool.in_w as isize);
            padded += usize::from(y < h + pool.pads[2] as isize && x < w + pool.pads[3] as isize);
            if (0..h).contains(&y) && (0..w).contains(&x) {
                values.push(f64::from(image[(y * w + x) as usize * pool.channels + channel]));
            }
        }
    }
    (values, padded)
}

fn pool2d(pool: &Pool2d, input: &[f32], f: impl Fn(Vec<f64>, usize) -> f64) -> Vec<f32> {
    let mut output = Vec::new();
    for image in input.chunks_exact(pool.in_len()) {
        for oy in 0..pool.out_h() {
            for ox in 0..pool.out_w() {
                for channel in 0..pool.channels {
                    let (values, padded) = window(pool, image, oy, ox, channel);
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
