//! Where the sums of a depthwise convolution go.

use std::ops::Range;

use super::group::Group;
use crate::integer::bytes::{ByteSimd, CodeLanes, MAX_BYTES};
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
    scales: [S::F; 4],
    code: CodeLanes<S>,
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
        let (lanes, mut scales) = (group.by_lane(requantize.scales()), [s.splat(0.0); 4]);
        for (v, scale) in scales.iter_mut().enumerate() {
            // SAFETY: the array holds four vectors of the widest kind.
            *scale = unsafe { s.load_f(lanes.as_ptr().add(v * S::LANES)) };
        }
        Some(Plain {
            scales,
            code: CodeLanes::new(s, *code),
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
        let codes = self.code.of_sums(s, sums, self.scales);
        // SAFETY: `new` asserts that the output holds the group's channels at the last pixel.
        unsafe { s.store_b(self.output.add((y - self.first) * self.row + x * self.pixel), codes) }
    }
}
