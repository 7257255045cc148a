//! Where the sums of a depthwise convolution go.

use std::ops::Range;

use super::group::Group;
use crate::integer::bytes::{ByteSimd, MAX_BYTES};
use crate::integer::{Plane, Requantize};

pub(super) enum Target<'a> {
    /// To codes in a plane.
    Codes {
        plane: &'a Plane,
        requantize: &'a Requantize,
        /// The whole image of the residual's plane.
        residual: Option<&'a [u8]>,
        /// The row of the output that `output` starts with, border included.
        first: usize,
        output: &'a mut [u8],
    },
    /// To f32 `[h, w, channels]`.
    Reals { width: usize, scale: &'a [f32], output: &'a mut [f32] },
}

impl Target<'_> {
    /// Takes the sums of a group at one pixel, as they are defined.
    #[cold]
    pub(super) fn put(&mut self, group: &Group, [y, x]: [usize; 2], lanes: &[i32; MAX_BYTES]) {
        let sums = group.by_channel(lanes);
        match self {
            Target::Codes { plane, requantize, residual, first, output } => {
                let at = (y - *first) * plane.row_len() + (plane.border[1] + x) * plane.c;
                for (i, &sum) in sums[..group.bytes].iter().enumerate() {
                    let channel = group.channel + i;
                    let residual = residual_at(requantize, *residual, [y, x], channel);
                    output[at + channel] = requantize.encode(channel, sum, residual);
                }
            }
            Target::Reals { width, scale, output } => {
                let pixel = (y * *width + x) * scale.len();
                let channels = group.channel..scale.len().min(group.channel + group.bytes);
                for (channel, sum) in channels.zip(sums) {
                    output[pixel + channel] = sum as f32 * scale[channel];
                }
            }
        }
    }

    /// Writes what no group does to the stored channels from `beyond` on.
    pub(super) fn fill(&mut self, beyond: usize, rows: Range<usize>) {
        let Target::Codes { plane, requantize, residual, first, output } = self else { return };
        if beyond >= plane.c {
            return;
        }
        for (y, x) in rows.flat_map(|y| (0..plane.w).map(move |x| (y, x))) {
            let at = (y - *first) * plane.row_len() + (plane.border[1] + x) * plane.c;
            for channel in beyond..plane.c {
                let residual = residual_at(requantize, *residual, [y, x], channel);
                output[at + channel] = requantize.encode(channel, 0, residual);
            }
        }
    }
}

fn residual_at(requantize: &Requantize, codes: Option<&[u8]>, [y, x]: [usize; 2], channel: usize) -> u8 {
    match (codes, &requantize.residual) {
        (Some(codes), Some(of)) => codes[of.plane.offset(y, x) + channel],
        _ => 0,
    }
}

/// Sums of a group to codes where scale, rounding and clipping are all there is to do.
#[derive(Clone, Copy)]
pub(super) struct Plain<S: ByteSimd> {
    scale: [S::F; 4],
    bounds: [S::F; 2],
    zero: S::I,
    /// The group's first channel at the first pixel of row `first`.
    output: *mut u8,
    first: usize,
    row: usize,
    pixel: usize,
}

impl<S: ByteSimd> Plain<S> {
    /// For a band whose rows end before `end`; `None` where more is to do.
    ///
    /// # Panics
    /// The output does not hold all rows.
    #[inline(always)]
    pub(super) fn new(s: S, to: &mut Target<'_>, group: &Group, end: usize) -> Option<Plain<S>> {
        let Target::Codes { plane, requantize, first, output, .. } = to else { return None };
        let Requantize { code, inner: None, residual: None, steps: None, .. } = requantize else {
            return None;
        };
        let start = plane.border[1] * plane.c + group.channel;
        let last = (end - 1 - *first) * plane.row_len() + (plane.w - 1) * plane.c + start;
        assert!(last + group.bytes <= output.len(), "output rows of {plane:?}");
        let scale = group.by_lane(requantize.scales());
        Some(Plain {
            // SAFETY: the array holds four vectors of the widest kind.
            scale: std::array::from_fn(|v| unsafe { s.load_f(scale.as_ptr().add(v * S::LANES)) }),
            bounds: code.bounds().map(|bound| s.splat(bound)),
            zero: s.splat_i(code.zero.into()),
            output: output[start..].as_mut_ptr(),
            first: *first,
            row: plane.row_len(),
            pixel: plane.c,
        })
    }

    /// Takes the sums of the group at one pixel.
    ///
    /// # Safety
    /// The pixel is one of the band's.
    #[inline(always)]
    pub(super) unsafe fn put(&self, s: S, [y, x]: [usize; 2], sums: [S::I; 4]) {
        let [lo, hi] = self.bounds;
        let codes = std::array::from_fn(|v| {
            let value = s.mul(s.float(sums[v]), self.scale[v]);
            s.add_i(s.round(s.min(s.max(value, lo), hi)), self.zero)
        });
        // SAFETY: `new` asserts that the output holds the group's channels at the last pixel.
        unsafe { s.store_b(self.output.add((y - self.first) * self.row + x * self.pixel), s.narrow(codes)) }
    }
}
