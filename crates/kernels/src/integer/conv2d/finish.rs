//! What becomes of a tile's sums: codes or f32.

use super::grid::Walk;
use crate::integer::Requantize;
use crate::integer::requantize::Encoder;
use crate::integer::simd::{IntKernel, IntSimd};
use crate::simd::Simd;

/// Where the sums of a panel go.
#[derive(Clone, Copy)]
pub(super) struct Finish<'a> {
    /// Of the panel's channels; zero where it ends.
    pub(super) scale: &'a [f32],
    /// Channels of the panel that are written, at least one.
    pub(super) channels: usize,
    pub(super) residual_at: Walk,
    pub(super) output_at: Walk,
    pub(super) form: Form<'a>,
}

/// Valid when `output` and, unless null, `residual` hold the panel's channels at each pixel of their walks; `residual`
/// is not null if `requantize` adds one.
#[derive(Clone, Copy)]
pub(super) enum Form<'a> {
    Codes { requantize: &'a Requantize, residual: *const u8, output: *mut u8 },
    Reals { output: *mut f32 },
}

/// One tile's sums, in memory: this is compiled once, not into each size of tile.
pub(super) struct FinishTile<'a> {
    finish: &'a Finish<'a>,
    /// `[pixels][vectors][lanes]`
    sums: *const i32,
    pixels: usize,
    vectors: usize,
    /// `[image, row, first pixel]`
    at: [usize; 3],
}

impl<'a> FinishTile<'a> {
    /// # Safety
    /// `finish` is valid and its walks cover `pixels` pixels from `at` on; `sums` holds `pixels · vectors` vectors of the
    /// instruction set that this will run on.
    #[inline(always)]
    pub(super) unsafe fn new(
        finish: &'a Finish<'a>,
        sums: *const i32,
        pixels: usize,
        vectors: usize,
        at: [usize; 3],
    ) -> FinishTile<'a> {
        FinishTile { finish, sums, pixels, vectors, at }
    }
}

impl IntKernel for FinishTile<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: IntSimd>(self, simd: S) {
        let Finish { scale, channels, residual_at, output_at, form } = *self.finish;
        let f = simd.float();
        for v in 0..self.vectors.min(channels.div_ceil(S::LANES)) {
            let channel = v * S::LANES;
            let scale = f.read(&scale[channel.min(scale.len())..]);
            let lanes = S::LANES.min(channels - channel);
            // SAFETY: `new`'s caller vouches for sums, walks and channels.
            unsafe {
                let mut sums = self.sums.add(channel);
                let next = self.vectors * S::LANES;
                match form {
                    Form::Codes { requantize, residual, output } => {
                        let encoder = Encoder::new(simd, requantize);
                        let mut output = output.add(output_at.at(self.at) + channel);
                        let mut residual = residual.wrapping_add(residual_at.at(self.at) + channel);
                        for _ in 0..self.pixels {
                            let added =
                                if encoder.adds() { simd.load_bytes(residual, lanes) } else { simd.splat(0) };
                            let codes = encoder.encode(simd, simd.load(sums), scale, added);
                            simd.store_bytes(output, codes, lanes);
                            sums = sums.wrapping_add(next);
                            residual = residual.wrapping_add(residual_at.pixel);
                            output = output.wrapping_add(output_at.pixel);
                        }
                    }
                    Form::Reals { output } => {
                        let mut output = output.add(output_at.at(self.at) + channel);
                        for _ in 0..self.pixels {
                            let v = f.mul(simd.to_f32(simd.load(sums)), scale);
                            if lanes == S::LANES {
                                f.store(output, v);
                            } else {
                                f.store_first(output, v, lanes);
                            }
                            sums = sums.wrapping_add(next);
                            output = output.wrapping_add(output_at.pixel);
                        }
                    }
                }
            }
        }
    }
}
