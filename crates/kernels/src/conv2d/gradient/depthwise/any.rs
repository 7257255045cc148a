//! Any kernel, stride and dilation, any number of channels; one pixel at a time.

use super::super::super::Conv2d;
use super::{DataImage, WeightImage};
use crate::simd::{Kernel, Simd};

/// The channels from `first`, a multiple of `LANES`, on.
pub(super) struct Data<'a> {
    pub(super) image: DataImage<'a>,
    pub(super) first: usize,
}

impl Kernel for Data<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let DataImage { depthwise, dy, dx, accumulate } = self.image;
        let (Conv2d { in_w, in_c, kernel, .. }, out_w) = (depthwise.shape, depthwise.shape.out_w());
        for (pixel, dx) in dx.chunks_exact_mut(in_c).enumerate() {
            let (rows, columns) = (depthwise.rows.at(pixel / in_w), depthwise.columns.at(pixel % in_w));
            for channel in (self.first..in_c).step_by(S::LANES) {
                let to = &mut dx[channel..(channel + S::LANES).min(in_c)];
                let mut sum = if accumulate { simd.read(to) } else { simd.splat(0.0) };
                for (ky, oy) in rows {
                    for (kx, ox) in columns {
                        let dy = simd.read(&dy[(oy * out_w + ox) * in_c + channel..][..to.len()]);
                        let tap = channel * kernel[0] * kernel[1] + (ky * kernel[1] + kx) * S::LANES;
                        sum = simd.fma(dy, simd.read(&depthwise.weights[tap..]), sum);
                    }
                }
                simd.write(to, sum);
            }
        }
    }
}

/// The channels from `first`, a multiple of `LANES`, on.
pub(super) struct Weights<'a> {
    pub(super) image: WeightImage<'a>,
    pub(super) first: usize,
}

impl Kernel for Weights<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let WeightImage { shape, x, dy, sums } = self.image;
        let Conv2d { in_h, in_w, in_c, kernel: [kh, kw], stride, dilation, pads, .. } = *shape;
        for channel in (self.first..in_c).step_by(S::LANES) {
            let lanes = S::LANES.min(in_c - channel);
            for tap in 0..kh * kw {
                let mut sum = simd.splat(0.0);
                for (oy, dy) in dy.chunks_exact(shape.out_w() * in_c).enumerate() {
                    let y = (oy * stride[0] + tap / kw * dilation[0]).wrapping_sub(pads[0]);
                    if y >= in_h {
                        continue;
                    }
                    for (ox, dy) in dy.chunks_exact(in_c).enumerate() {
                        let column = (ox * stride[1] + tap % kw * dilation[1]).wrapping_sub(pads[1]);
                        if column < in_w {
                            let x = simd.read(&x[(y * in_w + column) * in_c + channel..][..lanes]);
                            sum = simd.fma(x, simd.read(&dy[channel..][..lanes]), sum);
                        }
                    }
                }
                let at = &mut sums[channel * kh * kw + tap * S::LANES..][..S::LANES];
                simd.write(at, simd.add(simd.read(at), sum));
            }
        }
    }
}
