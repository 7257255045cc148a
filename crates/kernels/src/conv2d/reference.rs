//! The plain twin of every convolution body: it defines the answer.

use super::Conv2d;

/// Convolves `input: [n, in_h, in_w, in_c]` with `weights: [out, in/groups, kh, kw]` and `bias: [out]` into
/// `[n, out_h, out_w, out_c]`, each output accumulated in f64 and rounded once.
///
/// # Panics
/// A slice is shorter than `shape` says.
pub fn conv2d(shape: &Conv2d, input: &[f32], weights: &[f32], bias: Option<&[f32]>) -> Vec<f32> {
    let images = input.len() / shape.in_len();
    let mut output = Vec::with_capacity(images * shape.out_len());
    for image in input.chunks_exact(shape.in_len()) {
        for oy in 0..shape.out_h() {
            for ox in 0..shape.out_w() {
                for oc in 0..shape.out_c {
                    let bias = bias.map_or(0.0, |bias| f64::from(bias[oc]));
                    output.push((bias + window(shape, image, weights, oy, ox, oc)) as f32);
                }
            }
        }
    }
    output
}

/// The sum over one window, without the bias.
fn window(shape: &Conv2d, image: &[f32], weights: &[f32], oy: usize, ox: usize, oc: usize) -> f64 {
    let [kh, kw] = shape.kernel;
    let group_in = shape.in_c / shape.groups;
    let first_in = oc / (shape.out_c / shape.groups) * group_in;
    let mut sum = 0.0;
    for ky in 0..kh {
        for kx in 0..kw {
            // Off the image on either side: wrapping makes both one comparison.
            let iy = (oy * shape.stride[0] + ky * shape.dilation[0]).wrapping_sub(shape.pads[0]);
            let ix = (ox * shape.stride[1] + kx * shape.dilation[1]).wrapping_sub(shape.pads[1]);
            if iy >= shape.in_h || ix >= shape.in_w {
                continue;
            }
            for ic in 0..group_in {
                let x = image[(iy * shape.in_w + ix) * shape.in_c + first_in + ic];
                let w = weights[((oc * group_in + ic) * kh + ky) * kw + kx];
                sum += f64::from(x) * f64::from(w);
            }
        }
    }
    sum
}
