//! Gradient of the input for any shape: each output adds its kernel, scaled, to the input under it.

use super::super::Conv2d;

/// Weights as the loop reads them.
#[derive(Clone, Debug)]
pub(super) struct General {
    /// `[kh, kw, out, in/groups]`.
    weights: Vec<f32>,
}

impl General {
    /// With all weights zero.
    pub(super) fn new(shape: &Conv2d) -> General {
        General { weights: vec![0.0; shape.weight_len()] }
    }

    pub(super) fn set_weights(&mut self, shape: &Conv2d, weights: &[f32]) {
        let taps = shape.kernel[0] * shape.kernel[1];
        crate::layout::transpose(shape.weight_len() / taps, taps, weights, &mut self.weights);
    }

    pub(super) fn run(&self, shape: &Conv2d, dy: &[f32], dx: &mut [f32], accumulate: bool) {
        if !accumulate {
            dx.fill(0.0);
        }
        for (dy, dx) in dy.chunks_exact(shape.out_len()).zip(dx.chunks_exact_mut(shape.in_len())) {
            self.add_image(shape, dy, dx);
        }
    }

    fn add_image(&self, shape: &Conv2d, dy: &[f32], dx: &mut [f32]) {
        let Conv2d { in_h, in_w, in_c, out_c, kernel: [kh, kw], stride, dilation, pads, groups } = *shape;
        let (group_in, group_out) = (in_c / groups, out_c / groups);
        let (out_w, tap_len) = (shape.out_w(), out_c * group_in);
        for (nth, dy) in dy.chunks_exact(out_c).enumerate() {
            let (oy, ox) = (nth / out_w, nth % out_w);
            for (tap, weights) in self.weights.chunks_exact(tap_len).enumerate().take(kh * kw) {
                // Off the image on either side: wrapping makes both one comparison.
                let y = (oy * stride[0] + tap / kw * dilation[0]).wrapping_sub(pads[0]);
                let x = (ox * stride[1] + tap % kw * dilation[1]).wrapping_sub(pads[1]);
                if y >= in_h || x >= in_w {
                    continue;
                }
                let pixel = &mut dx[(y * in_w + x) * in_c..][..in_c];
                let groups = weights.chunks_exact(group_out * group_in).zip(dy.chunks_exact(group_out));
                for (dx, (weights, dy)) in pixel.chunks_exact_mut(group_in).zip(groups) {
                    for (weights, dy) in weights.chunks_exact(group_in).zip(dy) {
                        dx.iter_mut().zip(weights).for_each(|(dx, w)| *dx += w * dy);
                    }
                }
            }
        }
    }
}
