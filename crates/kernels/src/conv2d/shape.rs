//! The sizes of a convolution, and what follows from them.

use crate::error::{ShapeError, nonzero, volume};

/// Sizes and attributes of a 2-D convolution of one image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Conv2d {
    /// Input height in pixels.
    pub in_h: usize,
    /// Input width in pixels.
    pub in_w: usize,
    /// Input channels, over all groups.
    pub in_c: usize,
    /// Output channels, over all groups.
    pub out_c: usize,
    /// Kernel `[height, width]`.
    pub kernel: [usize; 2],
    /// Step between windows `[down, right]`.
    pub stride: [usize; 2],
    /// Step between taps of a window `[down, right]`; 1 is an ordinary convolution.
    pub dilation: [usize; 2],
    /// Zeros around the input `[top, left, bottom, right]`.
    pub pads: [usize; 4],
    /// Groups; both channel counts are multiples of it.
    pub groups: usize,
}

impl Conv2d {
    /// An undilated convolution of one group with the same padding on all sides.
    pub const fn square(
        [in_h, in_w, in_c]: [usize; 3],
        out_c: usize,
        kernel: usize,
        stride: usize,
        pad: usize,
    ) -> Conv2d {
        Conv2d {
            in_h,
            in_w,
            in_c,
            out_c,
            kernel: [kernel; 2],
            stride: [stride; 2],
            dilation: [1; 2],
            pads: [pad; 4],
            groups: 1,
        }
    }

    /// Whether a kernel can compute this shape.
    ///
    /// # Errors
    /// A size is zero, groups do not divide the channels, the dilated kernel does not fit the padded input, or
    /// a tensor would exceed the address space.
    pub fn check(&self) -> Result<(), ShapeError> {
        nonzero(&[
            ("input height", self.in_h),
            ("input width", self.in_w),
            ("input channels", self.in_c),
            ("output channels", self.out_c),
            ("kernel height", self.kernel[0]),
            ("kernel width", self.kernel[1]),
            ("stride", self.stride[0].min(self.stride[1])),
            ("dilation", self.dilation[0].min(self.dilation[1])),
            ("groups", self.groups),
        ])?;
        for (what, channels) in [("input channels", self.in_c), ("output channels", self.out_c)] {
            if channels % self.groups != 0 {
                return Err(ShapeError::Groups { what, channels, groups: self.groups });
            }
        }
        let too_large = ShapeError::TooLarge { what: "padded input" };
        let mut padded = [0; 2];
        for (i, (axis, size)) in [("height", self.in_h), ("width", self.in_w)].into_iter().enumerate() {
            let pads = self.pads[i].checked_add(self.pads[i + 2]);
            let input = pads.and_then(|pads| pads.checked_add(size)).ok_or(too_large.clone())?;
            let kernel = (self.kernel[i] - 1)
                .checked_mul(self.dilation[i])
                .and_then(|reach| reach.checked_add(1))
                .ok_or(too_large.clone())?;
            if kernel > input {
                return Err(ShapeError::KernelTooLarge { axis, kernel, input });
            }
            padded[i] = input;
        }
        volume("padded input", &[padded[0], padded[1], self.in_c])?;
        volume("output", &[self.out_h(), self.out_w(), self.out_c])?;
        volume("weights", &[self.out_c, self.in_c / self.groups, self.kernel[0], self.kernel[1]])?;
        Ok(())
    }

    /// Output height in pixels.
    pub fn out_h(&self) -> usize {
        let span = (self.kernel[0] - 1) * self.dilation[0] + 1;
        (self.in_h + self.pads[0] + self.pads[2] - span) / self.stride[0] + 1
    }

    /// Output width in pixels.
    pub fn out_w(&self) -> usize {
        let span = (self.kernel[1] - 1) * self.dilation[1] + 1;
        (self.in_w + self.pads[1] + self.pads[3] - span) / self.stride[1] + 1
    }

    /// Values of one input image.
    pub fn in_len(&self) -> usize {
        self.in_h * self.in_w * self.in_c
    }

    /// Values of one output image.
    pub fn out_len(&self) -> usize {
        self.out_h() * self.out_w() * self.out_c
    }

    /// Values of the weights `[out, in/groups, kh, kw]`.
    pub fn weight_len(&self) -> usize {
        self.out_c * (self.in_c / self.groups) * self.kernel[0] * self.kernel[1]
    }

    /// Multiply-accumulates for one image, padding included.
    pub fn macs(&self) -> usize {
        self.out_h() * self.out_w() * self.weight_len()
    }

    /// A pointwise convolution as one of a single pixel, so that pixels count as images; others as they are.
    pub(super) fn pixels_as_images(&self) -> Conv2d {
        let pointwise = self.kernel == [1; 2] && self.stride == [1; 2] && self.pads == [0; 4];
        if pointwise { Conv2d { in_h: 1, in_w: 1, ..*self } } else { *self }
    }

    /// One input and one output channel per group, and more than one group.
    pub fn is_depthwise(&self) -> bool {
        self.groups > 1 && self.groups == self.in_c && self.groups == self.out_c
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn output_sizes_follow_onnx() {
        let conv = Conv2d { pads: [0, 1, 2, 3], ..Conv2d::square([10, 10, 3], 8, 3, 2, 0) };
        assert_eq!([conv.out_h(), conv.out_w()], [5, 6]);
        let dilated = Conv2d { dilation: [2, 3], ..conv };
        assert_eq!([dilated.out_h(), dilated.out_w()], [4, 4]);
    }

    #[test]
    fn what_cannot_be_computed_is_refused_by_name() {
        let good = Conv2d::square([4, 4, 6], 4, 3, 1, 1);
        assert_eq!(good.check(), Ok(()));
        assert_eq!(Conv2d { stride: [1, 0], ..good }.check(), Err(ShapeError::Zero { what: "stride" }));
        let refusal = Conv2d { groups: 4, ..good }.check().unwrap_err();
        assert_eq!(refusal.to_string(), "6 input channels do not divide into 4 groups");
        let refusal = Conv2d { kernel: [7, 3], ..good }.check().unwrap_err();
        assert_eq!(refusal.to_string(), "kernel spans 7 along height, but the padded input is only 6");
        assert!(Conv2d { pads: [usize::MAX, 0, 0, 0], ..good }.check().is_err());
    }
}
