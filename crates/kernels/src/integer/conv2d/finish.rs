//! What becomes of a tile's sums: codes or f32.

use super::grid::Walk;
use crate::integer::Requantize;
use crate::integer::bytes::{ByteKernel, ByteSimd, MAX_BYTES};
use crate::integer::requantize::Encoder;

/// Vectors that sums have room for after the last one: they are finished in fours.
pub(super) const SPARE: usize = 3;

/// Where sums go. Valid when `output` and, unless null, `residual` hold the panel's channels at each pixel of their
/// walks; `residual` is not null if `requantize` adds one.
#[derive(Clone, Copy)]
pub(super) enum Form<'a> {
    Codes { requantize: &'a Requantize, residual: *const u8, output: *mut u8 },
    Reals { output: *mut f32 },
}

/// What follows the sums of one panel.
#[derive(Clone, Copy)]
pub(super) struct Finish<'a> {
    form: Form<'a>,
    /// Of the panel's channels; zero where it ends.
    scale: &'a [f32],
    /// Channels of the panel that are written, at least one.
    channels: usize,
    vectors: usize,
    residual_at: Walk,
    output_at: Walk,
    /// Of vectors 0 to 3, and of vectors 4 to 7 if there are so many.
    fours: [Fours; 2],
}

/// Four vectors of sums that are finished together, of as many pixels as they come from; of three vectors, a pixel's.
#[derive(Clone, Copy)]
#[repr(align(64))]
struct Fours {
    /// Of their lanes, one vector after the other.
    scale: [f32; MAX_BYTES],
    /// How many pixels they come from.
    pixels: usize,
    /// Of each: which pixel.
    pixel: [usize; 4],
    /// Of each: how many of its lanes are channels.
    lanes: [usize; 4],
    /// All lanes of all four are.
    whole: bool,
    /// Of each: where from the first channel of the first pixel its first lane lies.
    residual: [usize; 4],
    output: [usize; 4],
}

impl<'a> Finish<'a> {
    /// Of `channels` channels in `vectors` vectors of `lanes` lanes, up to 4 vectors or 8.
    pub(super) fn new(
        form: Form<'a>,
        scale: &'a [f32],
        channels: usize,
        [vectors, lanes]: [usize; 2],
        [residual_at, output_at]: [Walk; 2],
    ) -> Finish<'a> {
        let fours = [0, 4].map(|vector: usize| {
            let together = vectors.saturating_sub(vector).clamp(1, 4);
            let pixels = 4 / together;
            let pixel: [usize; 4] = std::array::from_fn(|i| (i / together).min(pixels - 1));
            let channel: [usize; 4] = std::array::from_fn(|i| (vector + i % together) * lanes);
            let count = |i: usize| {
                let exists = i < pixels * together && vector + i % together < vectors;
                if exists { channels.saturating_sub(channel[i]).min(lanes) } else { 0 }
            };
            let counts: [usize; 4] = std::array::from_fn(count);
            let mut scales = [0.0; MAX_BYTES];
            for (i, to) in scales.chunks_exact_mut(lanes).take(4).enumerate() {
                let from = &scale[channel[i].min(scale.len())..];
                to.iter_mut().zip(from).for_each(|(to, from)| *to = *from);
            }
            let places = |walk: &Walk| std::array::from_fn(|i| pixel[i] * walk.pixel + channel[i]);
            Fours {
                scale: scales,
                pixels,
                pixel,
                lanes: counts,
                whole: counts == [lanes; 4],
                residual: places(&residual_at),
                output: places(&output_at),
            }
        });
        Finish { form, scale, channels, vectors, residual_at, output_at, fours }
    }

    /// For tiles of `V` vectors that are still in registers, where no levels are to be looked up.
    #[inline(always)]
    pub(super) fn direct<S: ByteSimd, const V: usize>(&self, s: S) -> Option<Direct<'a, S, V>> {
        match self.form {
            Form::Codes { requantize, residual, output }
                if requantize.steps.is_none() && self.channels > (V - 1) * S::LANES =>
            {
                // SAFETY: the scales of the first four vectors are whole ones.
                let scale = |v: usize| unsafe { s.load_f(self.fours[0].scale.as_ptr().add(v * S::LANES)) };
                Some(Direct {
                    encoder: Encoder::new(s, requantize),
                    scale: std::array::from_fn(scale),
                    last: self.channels - (V - 1) * S::LANES,
                    residual,
                    output,
                    residual_at: self.residual_at,
                    output_at: self.output_at,
                })
            }
            _ => None,
        }
    }

    /// # Safety
    /// The form is valid and its walks cover `pixels` pixels from `at = [image, row, pixel]` on; `sums: [pixels][vectors]
    /// [lanes]` are of the instruction set that this will run on, with room for [`SPARE`] more vectors.
    #[inline(always)]
    pub(super) unsafe fn tile(&'a self, sums: *const i32, pixels: usize, at: [usize; 3]) -> FinishTile<'a> {
        FinishTile { finish: self, sums, pixels, at }
    }
}

/// Compiled into each size of tile, so that sums never leave their registers.
#[derive(Clone, Copy)]
pub(super) struct Direct<'a, S: ByteSimd, const V: usize> {
    encoder: Encoder<'a, S>,
    scale: [S::F; V],
    /// Lanes of the last vector that are channels.
    last: usize,
    residual: *const u8,
    output: *mut u8,
    residual_at: Walk,
    output_at: Walk,
}

impl<S: ByteSimd, const V: usize> Direct<'_, S, V> {
    /// # Safety
    /// The form of the [`Finish`] that it is from is valid, and its walks cover `P` pixels from `at` on.
    #[inline(always)]
    pub(super) unsafe fn tile<const P: usize>(&self, s: S, tile: &[[S::I; V]; P], at: [usize; 3]) {
        let mut places = Places {
            residual: self.residual.wrapping_add(self.residual_at.at(at)),
            output: self.output.wrapping_add(self.output_at.at(at)),
        };
        // In full, or the tile would have to be in memory to be counted through.
        macro_rules! fours {
            ($($four:literal)*) => {$(
                if 4 * $four < P * V {
                    // SAFETY: passed on to the caller.
                    unsafe { self.four::<P, $four>(s, tile, &mut places) }
                }
            )*};
        }
        fours!(0 1 2 3 4 5 6);
    }

    /// # Safety
    /// As [`Direct::tile`]; `places` are those of the pixel of the first vector.
    #[inline(always)]
    unsafe fn four<const P: usize, const FOUR: usize>(
        &self,
        s: S,
        tile: &[[S::I; V]; P],
        places: &mut Places,
    ) {
        let first = 4 * FOUR / V;
        let (mut sums, mut scale) = ([tile[0][0]; 4], [self.scale[0]; 4]);
        let (mut residual, mut output) = ([places.residual; 4], [places.output; 4]);
        let mut lanes = [S::LANES; 4];
        for i in 0..4 {
            // After the last vector comes the last one again.
            let vector = (4 * FOUR + i).min(P * V - 1);
            let (p, v) = (vector / V, vector % V);
            (sums[i], scale[i]) = (tile[p][v], self.scale[v]);
            residual[i] = residual[i].wrapping_add((p - first) * self.residual_at.pixel + v * S::LANES);
            output[i] = output[i].wrapping_add((p - first) * self.output_at.pixel + v * S::LANES);
            if v + 1 == V {
                lanes[i] = self.last;
            }
        }
        let whole = self.last == S::LANES;
        // SAFETY: the caller vouches for the places.
        unsafe {
            let mut added = [s.splat_i(0); 4];
            if self.encoder.adds() {
                for i in 0..4 {
                    added[i] = if whole {
                        s.load_lanes(residual[i])
                    } else {
                        s.load_lanes_first(residual[i], lanes[i])
                    };
                }
            }
            let codes = self.encoder.encode(s, sums, scale, added);
            if whole {
                s.store_quarters(codes, output);
            } else {
                s.store_quarters_first(codes, output, lanes);
            }
        }
        let next = 4 * (FOUR + 1) / V - first;
        places.residual = places.residual.wrapping_add(next * self.residual_at.pixel);
        places.output = places.output.wrapping_add(next * self.output_at.pixel);
    }
}

/// Where a pixel's residual and output lie.
struct Places {
    residual: *const u8,
    output: *mut u8,
}

/// One tile's sums, in memory: this is compiled once, not into each size of tile.
pub(super) struct FinishTile<'a> {
    finish: &'a Finish<'a>,
    sums: *const i32,
    pixels: usize,
    at: [usize; 3],
}

impl ByteKernel for FinishTile<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: ByteSimd>(self, s: S) {
        match self.finish.form {
            Form::Codes { requantize, residual, output } => {
                let residual = residual.wrapping_add(self.finish.residual_at.at(self.at));
                let output = output.wrapping_add(self.finish.output_at.at(self.at));
                for vector in (0..self.finish.vectors).step_by(4) {
                    self.codes(s, vector, requantize, residual, output);
                }
            }
            Form::Reals { output } => self.reals::<S>(output.wrapping_add(self.finish.output_at.at(self.at))),
        }
    }
}

impl FinishTile<'_> {
    /// Of up to four vectors from `vector` on.
    #[inline(always)]
    fn codes<S: ByteSimd>(
        &self,
        s: S,
        vector: usize,
        requantize: &Requantize,
        mut residual: *const u8,
        mut output: *mut u8,
    ) {
        let Finish { vectors, residual_at, output_at, .. } = *self.finish;
        let fours = &self.finish.fours[vector / 4];
        let encoder = Encoder::new(s, requantize);
        let mut sums = self.sums.wrapping_add(vector * S::LANES);
        let mut left = self.pixels;
        loop {
            // SAFETY: `tile`'s caller vouches for sums, walks and channels; sums are read in whole fours, but of pixels
            // after the last no residual is read and nothing written.
            unsafe {
                let (mut tile, mut scale) = ([s.splat_i(0); 4], [s.splat(0.0); 4]);
                for i in 0..4 {
                    tile[i] = s.load_i(sums.add(i * S::LANES));
                    scale[i] = s.load_f(fours.scale.as_ptr().add(i * S::LANES));
                }
                let whole = fours.whole && fours.pixels <= left;
                let exist = |i: usize| if fours.pixel[i] < left { fours.lanes[i] } else { 0 };
                let mut added = [s.splat_i(0); 4];
                if encoder.adds() {
                    for (i, added) in added.iter_mut().enumerate() {
                        let at = residual.wrapping_add(fours.residual[i]);
                        *added = if whole { s.load_lanes(at) } else { s.load_lanes_first(at, exist(i)) };
                    }
                }
                let codes = encoder.encode(s, tile, scale, added);
                let to = fours.output.map(|place| output.wrapping_add(place));
                if whole {
                    s.store_quarters(codes, to);
                } else {
                    s.store_quarters_first(codes, to, [exist(0), exist(1), exist(2), exist(3)]);
                }
            }
            if left <= fours.pixels {
                break;
            }
            left -= fours.pixels;
            sums = sums.wrapping_add(fours.pixels * vectors * S::LANES);
            residual = residual.wrapping_add(fours.pixels * residual_at.pixel);
            output = output.wrapping_add(fours.pixels * output_at.pixel);
        }
    }

    #[inline(always)]
    fn reals<S: ByteSimd>(&self, output: *mut f32) {
        let Finish { scale, channels, vectors, output_at, .. } = *self.finish;
        for pixel in 0..self.pixels {
            // SAFETY: `tile`'s caller vouches for sums, walk and channels.
            let (sums, output) = unsafe {
                let sums = self.sums.add(pixel * vectors * S::LANES);
                (
                    std::slice::from_raw_parts(sums, channels),
                    std::slice::from_raw_parts_mut(output.add(pixel * output_at.pixel), channels),
                )
            };
            for ((to, &sum), scale) in output.iter_mut().zip(sums).zip(scale) {
                *to = sum as f32 * scale;
            }
        }
    }
}
