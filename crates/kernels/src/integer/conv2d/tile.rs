//! The register tile of the integer convolution: `P` pixels × `V` vectors of output channels.
//!
//! Each step loads `V` vectors of weights, broadcasts four codes per pixel, and does `P·V` dot products. The pixels of a
//! tile lie a constant distance apart, so that addresses are one register and an addition. One call does all tiles of a
//! block: their short sums would not hide a call each.

use super::finish::{Finish, SPARE};
use super::grid::Grid;
use super::panel::Run;
use crate::integer::bytes::{ByteKernel, ByteSimd};

/// Pixels that tiles come in.
const SIZES: [usize; 12] = [1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 14, 16];
/// Values of the largest tile: pixels × vectors × lanes, and what finishing it takes.
const SUMS: usize = (28 + SPARE) * 16;

/// Pixels of the largest tile of `vectors` vectors: what fills the registers with a sum per pixel and vector, the
/// weights, one four of codes, and what a dot product needs in between.
pub(super) const fn most_pixels<S: ByteSimd>(vectors: usize) -> usize {
    let (codes, weights) = (size_of::<S::X>() / size_of::<S::B>(), size_of::<S::W>() / size_of::<S::B>());
    S::REGISTERS.saturating_sub(vectors * weights + 2 * codes) / vectors
}

/// Four codes in every lane.
///
/// # Safety
/// 4 bytes are readable at `at`.
#[inline(always)]
pub(super) unsafe fn four_codes<S: ByteSimd>(s: S, at: *const u8) -> S::X {
    // SAFETY: the caller gives 4 readable bytes.
    s.factors(s.splat_four(unsafe { at.cast::<[u8; 4]>().read() }))
}

/// Four weights for each lane.
///
/// # Safety
/// `BYTES` bytes are readable at `at`.
#[inline(always)]
unsafe fn weights_at<S: ByteSimd>(s: S, at: *const u8) -> S::W {
    // SAFETY: the caller gives a vector of readable bytes.
    s.weights(unsafe { s.load_b(at) })
}

/// The tiles of one panel in all rows of a grid.
#[derive(Clone, Copy)]
pub(super) struct RegisterTiles<'a> {
    pub(super) grid: &'a Grid,
    /// Where the walk over the input starts.
    pub(super) source: *const u8,
    pub(super) runs: &'a [Run],
    /// Where these are fours of codes in another order: the offsets of those, and of fours with codes to complement.
    pub(super) quads: &'a [u32],
    pub(super) flipped: &'a [u32],
    /// How many of `quads` add up in 16 bits before their sums go to 32; where more than one, nothing is complemented.
    pub(super) steps: usize,
    /// `[quad][V·LANES][4]`, all runs one after the other; of complemented ones `[quad][2]` such, weights and masks.
    pub(super) weights: *const u8,
    /// `[V·LANES]`: what the sums start from.
    pub(super) offsets: *const i32,
    pub(super) finish: &'a Finish<'a>,
}

/// Time of one step of a tile in half cycles, of dot products, loads or latency, and a little for being a tile.
fn step_time(pixels: usize, vectors: usize, in_flight: usize) -> usize {
    (pixels * vectors).max(pixels + vectors).max(in_flight) + 1
}

/// `(time of a step, pixels per tile)` of the best tiles of `vectors` vectors for rows of `width` pixels.
pub(super) fn best<S: ByteSimd>(width: usize, vectors: usize) -> (usize, usize) {
    tiling(width, vectors, most_pixels::<S>(vectors), S::IN_FLIGHT)
}

/// [`best`] tiles of at most `most` pixels each. The last tile of a row overlaps the one before it.
fn tiling(width: usize, vectors: usize, most: usize, in_flight: usize) -> (usize, usize) {
    let sizes = SIZES.into_iter().filter(|&size| size <= most.min(width));
    let timed = sizes.map(|size| (width.div_ceil(size) * step_time(size, vectors, in_flight), size));
    timed.min().unwrap_or((usize::MAX, 0))
}

impl RegisterTiles<'_> {
    /// Computes them all.
    ///
    /// # Safety
    /// For each pixel of the grid and each run, `source + pixel + run` is readable; weights and offsets are as long as
    /// described; `finish` is valid for the grid's walks.
    ///
    /// # Panics
    /// `vectors` is not in `1..=4`, or `S` has no tiles of so many.
    #[inline(always)]
    pub(super) unsafe fn run<S: ByteSimd>(self, s: S, vectors: usize) {
        let (_, pixels) = best::<S>(self.grid.width, vectors);
        macro_rules! sizes {
            ($($p:literal)*) => {
                match (pixels, vectors) {
                    $(
                        ($p, 1) => Self::call::<S, $p, 1>,
                        ($p, 2) => Self::call::<S, $p, 2>,
                        ($p, 3) => Self::call::<S, $p, 3>,
                        ($p, 4) => Self::call::<S, $p, 4>,
                    )*
                    size => unreachable!("no tile of {size:?}"),
                }
            };
        }
        let call: unsafe fn(Self, S) = sizes!(1 2 3 4 5 6 7 8 10 12 14 16);
        // SAFETY: passed on to the caller.
        unsafe { call(self, s) }
    }

    /// Runs tiles of one size; those larger than the instruction set's are not compiled.
    ///
    /// # Safety
    /// As [`RegisterTiles::run`].
    unsafe fn call<S: ByteSimd, const P: usize, const V: usize>(self, s: S) {
        if const { P <= most_pixels::<S>(V) } {
            if const { S::PAIRED } && self.steps > 1 {
                s.call(Sized::<P, V, true>(self));
            } else {
                s.call(Sized::<P, V, false>(self));
            }
        } else {
            unreachable!("no tile of {P} × {V}");
        }
    }
}

/// `LONG` where sums of 16 bits are to grow over several steps.
struct Sized<'a, const P: usize, const V: usize, const LONG: bool>(RegisterTiles<'a>);

#[repr(align(64))]
struct Sums([i32; SUMS]);

impl<const P: usize, const V: usize, const LONG: bool> ByteKernel for Sized<'_, P, V, LONG> {
    type Output = ();

    #[inline(always)]
    fn run<S: ByteSimd>(self, s: S) {
        assert!(P * V * S::LANES <= SUMS, "room for the sums");
        let RegisterTiles { grid, source, finish, .. } = self.0;
        let direct = finish.direct::<S, V>(s);
        let mut sums = Sums([0; SUMS]);
        for image in 0..grid.images {
            for row in 0..grid.rows {
                for tile in 0..grid.width.div_ceil(P) {
                    let at = [image, row, (tile * P).min(grid.width - P)];
                    // SAFETY: `RegisterTiles::run`'s caller vouches for every pointer and walk; `sums` has room, see above.
                    unsafe {
                        let window = source.add(grid.source.at(at));
                        let tile = if LONG {
                            self.long_sum(s, window, sums.0.as_mut_ptr())
                        } else {
                            self.sum(s, window)
                        };
                        match &direct {
                            Some(direct) => direct.tile(s, &tile, at),
                            None => {
                                for (i, &sum) in tile.as_flattened().iter().enumerate() {
                                    s.store_i(sums.0.as_mut_ptr().add(i * S::LANES), sum);
                                }
                                s.call(finish.tile(sums.0.as_ptr(), P, at));
                            }
                        }
                    }
                }
            }
        }
    }
}

#[expect(clippy::needless_range_loop, reason = "constant bounds unroll; iterators over registers may not")]
impl<const P: usize, const V: usize, const LONG: bool> Sized<'_, P, V, LONG> {
    /// The sums of the tile whose first window starts at `window`.
    ///
    /// # Safety
    /// As [`RegisterTiles::run`].
    #[inline(always)]
    unsafe fn sum<S: ByteSimd>(&self, s: S, window: *const u8) -> [[S::I; V]; P] {
        let RegisterTiles { grid, runs, mut weights, offsets, .. } = self.0;
        let pixel = grid.source.pixel;
        // SAFETY: the caller vouches for every pointer and length.
        unsafe {
            let mut tile = [[s.splat_i(0); V]; P];
            for v in 0..V {
                let offset = s.load_i(offsets.add(v * S::LANES));
                for p in 0..P {
                    tile[p][v] = offset;
                }
            }
            if S::PAIRED {
                for &offset in self.0.quads {
                    let codes = window.add(offset as usize);
                    let mut w = [weights_at(s, weights); V];
                    for v in 1..V {
                        w[v] = weights_at(s, weights.add(v * S::BYTES));
                    }
                    for p in 0..P {
                        let x = four_codes(s, codes.add(p * pixel));
                        for v in 0..V {
                            tile[p][v] = s.dot(tile[p][v], x, w[v]);
                        }
                    }
                    weights = weights.add(V * S::BYTES);
                }
                for &offset in self.0.flipped {
                    let codes = window.add(offset as usize);
                    let mut w = [weights_at(s, weights); V];
                    let mut masks = [s.load_b(weights.add(V * S::BYTES)); V];
                    for v in 1..V {
                        w[v] = weights_at(s, weights.add(v * S::BYTES));
                        masks[v] = s.load_b(weights.add((V + v) * S::BYTES));
                    }
                    for p in 0..P {
                        let x = s.splat_four(codes.add(p * pixel).cast::<[u8; 4]>().read());
                        for v in 0..V {
                            tile[p][v] = s.dot(tile[p][v], s.factors(s.xor_b(x, masks[v])), w[v]);
                        }
                    }
                    weights = weights.add(2 * V * S::BYTES);
                }
                return tile;
            }
            for run in runs {
                let mut codes = window.add(run.offset);
                for _ in 0..run.quads {
                    let mut w = [weights_at(s, weights); V];
                    for v in 1..V {
                        w[v] = weights_at(s, weights.add(v * S::BYTES));
                    }
                    for p in 0..P {
                        let x = four_codes(s, codes.add(p * pixel));
                        for v in 0..V {
                            tile[p][v] = s.dot(tile[p][v], x, w[v]);
                        }
                    }
                    weights = weights.add(V * S::BYTES);
                    codes = codes.wrapping_add(4);
                }
            }
            tile
        }
    }

    /// The same where sums of 16 bits grow over several steps. Those of 32 bits are at `waiting` meanwhile: registers are for what
    /// grows, and memory takes a load and a store per sum and `steps` dot products, beside which they cost little.
    ///
    /// # Safety
    /// As [`RegisterTiles::run`], there are `quads`, and `P·V` vectors are writable at `waiting`.
    #[inline(always)]
    unsafe fn long_sum<S: ByteSimd>(&self, s: S, window: *const u8, waiting: *mut i32) -> [[S::I; V]; P] {
        let RegisterTiles { grid, quads: mut left, steps, mut weights, offsets, .. } = self.0;
        let pixel = grid.source.pixel;
        // What the sums are so far: at first the same for each pixel.
        let (mut sums, mut of_pixel) = (offsets, 0);
        // SAFETY: the caller vouches for every pointer and length.
        unsafe {
            loop {
                let (quads, rest) = left.split_at(steps.min(left.len()));
                let mut tile = [[s.splat_i(0); V]; P];
                for &offset in quads {
                    let codes = window.add(offset as usize);
                    let mut w = [weights_at(s, weights); V];
                    for v in 1..V {
                        w[v] = weights_at(s, weights.add(v * S::BYTES));
                    }
                    for p in 0..P {
                        let x = four_codes(s, codes.add(p * pixel));
                        for v in 0..V {
                            tile[p][v] = s.dot_pairs(tile[p][v], x, w[v]);
                        }
                    }
                    weights = weights.add(V * S::BYTES);
                }
                for p in 0..P {
                    for v in 0..V {
                        let sum = s.load_i(sums.add(p * of_pixel + v * S::LANES));
                        tile[p][v] = s.add_pairs(sum, tile[p][v]);
                    }
                }
                if rest.is_empty() {
                    return tile;
                }
                for p in 0..P {
                    for v in 0..V {
                        s.store_i(waiting.add((p * V + v) * S::LANES), tile[p][v]);
                    }
                }
                (sums, of_pixel, left) = (waiting, V * S::LANES, rest);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_covered_in_as_few_steps_as_registers_allow() {
        // One vector: whole rows of 32 in two tiles.
        assert_eq!(tiling(32, 1, 16, 10).1, 16);
        assert_eq!(tiling(28, 2, 14, 10).1, 14);
        assert_eq!(tiling(7, 2, 14, 10).1, 7);
        // An overlap where nothing divides: 8 + 8 rather than 4 + 4 + 3.
        assert_eq!(tiling(11, 2, 14, 10).1, 6);
        assert_eq!(tiling(1, 4, 6, 10).1, 1);
    }
}
