//! The plain twins: every product of the definition, accumulated in f64 and rounded once.

use super::Conv2d;

/// Calls `f(input, output, weight)` with the flat indices of each product of one image.
fn products(shape: &Conv2d, mut f: impl FnMut(usize, usize, usize)) {
    let [kh, kw] = shape.kernel;
    let (group_in, group_out) = (shape.in_c / shape.groups, shape.out_c / shape.groups);
    for (oy, ox) in (0..shape.out_h()).flat_map(|oy| (0..shape.out_w()).map(move |ox| (oy, ox))) {
        for (ky, kx) in (0..kh).flat_map(|ky| (0..kw).map(move |kx| (ky, kx))) {
            // Off the image on either side: wrapping makes both one comparison.
            let y = (oy * shape.stride[0] + ky * shape.dilation[0]).wrapping_sub(shape.pads[0]);
            let x = (ox * shape.stride[1] + kx * shape.dilation[1]).wrapping_sub(shape.pads[1]);
            if y >= shape.in_h || x >= shape.in_w {
                continue;
            }
            for (oc, ic) in (0..shape.out_c).flat_map(|oc| (0..group_in).map(move |ic| (oc, ic))) {
                let input = (y * shape.in_w + x) * shape.in_c + oc / group_out * group_in + ic;
                let output = (oy * shape.out_w() + ox) * shape.out_c + oc;
                f(input, output, ((oc * group_in + ic) * kh + ky) * kw + kx);
            }
        }
    }
}

/// Gradient of the inputs, `[n, in_h, in_w, in_c]`, from `dy: [n, out_h, out_w, out_c]`.
pub fn data(shape: &Conv2d, weights: &[f32], dy: &[f32]) -> Vec<f32> {
    let mut dx = Vec::new();
    for dy in dy.chunks_exact(shape.out_len()) {
        let mut image = vec![0.0; shape.in_len()];
        products(shape, |x, y, w| image[x] += f64::from(dy[y]) * f64::from(weights[w]));
        dx.extend(image.iter().map(|&x| x as f32));
    }
    dx
}

/// Gradient of the weights, `[out, in/groups, kh, kw]`, from `x: [n, in_h, in_w, in_c]` and
/// `dy: [n, out_h, out_w, out_c]`.
pub fn weights(shape: &Conv2d, x: &[f32], dy: &[f32]) -> Vec<f32> {
    let mut dw = vec![0.0; shape.weight_len()];
    for (x, dy) in x.chunks_exact(shape.in_len()).zip(dy.chunks_exact(shape.out_len())) {
        products(shape, |i, o, w| dw[w] += f64::from(x[i]) * f64::from(dy[o]));
    }
    dw.iter().map(|&x| x as f32).collect()
}

/// Gradient of the bias, `[out]`, from `dy: [n, out_h, out_w, out_c]`.
pub fn bias(shape: &Conv2d, dy: &[f32]) -> Vec<f32> {
    let channel = |c| dy.iter().skip(c).step_by(shape.out_c).map(|&y| f64::from(y)).sum::<f64>() as f32;
    (0..shape.out_c).map(channel).collect()
}
