//! The plain twins of all integer layers: they define the answer, bit for bit.

use super::{Plane, Requantize, Weights};
use crate::Conv2d;

/// Sums `[n, out_h, out_w, out_c]` of a convolution over `input`, n images of `plane`, whose border is read as it is.
///
/// # Panics
/// A slice is shorter than `shape` and `plane` say.
pub fn conv2d(shape: &Conv2d, plane: &Plane, input: &[u8], weights: &Weights<'_>) -> Vec<i32> {
    let mut sums = Vec::new();
    for image in input.chunks_exact(plane.len()) {
        for oy in 0..shape.out_h() {
            for ox in 0..shape.out_w() {
                sums.extend((0..shape.out_c).map(|oc| window(shape, plane, image, weights, [oy, ox, oc])));
            }
        }
    }
    sums
}

/// The sum over one window.
fn window(shape: &Conv2d, plane: &Plane, image: &[u8], weights: &Weights<'_>, at: [usize; 3]) -> i32 {
    let [oy, ox, oc] = at;
    let [kh, kw] = shape.kernel;
    let group_in = shape.in_c / shape.groups;
    let first_in = oc / (shape.out_c / shape.groups) * group_in;
    let mut sum = weights.bias[oc];
    for ky in 0..kh {
        for kx in 0..kw {
            // Rows and columns of memory: the padding is part of the border.
            let y = plane.border[0] + oy * shape.stride[0] + ky * shape.dilation[0] - shape.pads[0];
            let x = plane.border[1] + ox * shape.stride[1] + kx * shape.dilation[1] - shape.pads[1];
            for ic in 0..group_in {
                let code = image[y * plane.row_len() + x * plane.c + first_in + ic];
                let w = weights.codes[((oc * group_in + ic) * kh + ky) * kw + kx];
                sum = sum.wrapping_add((i32::from(code) - i32::from(weights.zero_x)) * i32::from(w));
            }
        }
    }
    sum
}

/// Sums `[m, outputs]` of a linear layer over `input: [m, stride]`, of which each row's first `inputs` codes count.
///
/// # Panics
/// `weights` does not hold `inputs` codes per output.
pub fn linear([inputs, stride]: [usize; 2], input: &[u8], weights: &Weights<'_>) -> Vec<i32> {
    let mut sums = Vec::new();
    for row in input.chunks_exact(stride) {
        for (codes, &bias) in weights.codes.chunks_exact(inputs).zip(weights.bias) {
            let products = row
                .iter()
                .zip(codes)
                .map(|(&x, &w)| (i32::from(x) - i32::from(weights.zero_x)) * i32::from(w));
            sums.push(products.fold(bias, i32::wrapping_add));
        }
    }
    sums
}

/// Codes of `sums: [n, h, w, channels]`, written to the interiors of `output`, n images of `plane`. Stored channels
/// beyond `channels` get the code of sum 0 at scale 0.
///
/// # Panics
/// A slice does not hold n images.
pub fn requantize(
    requantize: &Requantize,
    sums: &[i32],
    residual: Option<&[u8]>,
    plane: &Plane,
    output: &mut [u8],
) {
    let channels = requantize.channels();
    let mut pixels = sums.chunks_exact(channels);
    for (n, image) in output.chunks_exact_mut(plane.len()).enumerate() {
        for (y, x) in (0..plane.h).flat_map(|y| (0..plane.w).map(move |x| (y, x))) {
            let sums = pixels.next().expect("sums of as many images as the output");
            for c in 0..plane.c {
                let residual = match (requantize.residual, residual) {
                    (Some(of), Some(codes)) => codes[n * of.plane.len() + of.plane.offset(y, x) + c],
                    _ => 0,
                };
                let sum = sums.get(c).copied().unwrap_or(0);
                image[plane.offset(y, x) + c] = requantize.encode(c, sum, residual);
            }
        }
    }
}

/// `sums[.., c]·scale[c]` in f32: what leaves the integers.
///
/// # Panics
/// `scale` is empty.
pub fn scale(sums: &[i32], scale: &[f32]) -> Vec<f32> {
    sums.iter().zip(scale.iter().cycle()).map(|(&sum, scale)| sum as f32 * scale).collect()
}
