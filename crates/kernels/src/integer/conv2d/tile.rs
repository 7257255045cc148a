//! The register tile of the integer convolution: `P` pixels × `V` vectors of output channels.
//!
//! Each step loads `V` vectors of weights, broadcasts four codes per pixel, and does `P·V` dot products. The pixels of a
//! tile lie a constant distance apart, so that addresses are one register and an addition. One call does all tiles of a
//! block: their short sums would not hide a call each.

use super::finish::{Finish, FinishTile};
use super::grid::Grid;
use super::panel::Run;
use crate::integer::simd::{IntKernel, IntSimd};

/// Pixels that tiles come in.
const SIZES: [usize; 12] = [1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 14, 16];
/// Values of the largest tile: pixels × vectors × lanes.
const SUMS: usize = 28 * 16;

/// The tiles of one panel in all rows of a grid.
#[derive(Clone, Copy)]
pub(super) struct RegisterTiles<'a> {
    pub(super) grid: &'a Grid,
    /// Where the walk over the input starts.
    pub(super) source: *const u8,
    pub(super) runs: &'a [Run],
    /// `[quad][V·LANES][4]`, all runs one after the other.
    pub(super) weights: *const u8,
    /// `[V·LANES]`: what the sums start from.
    pub(super) offsets: *const i32,
    pub(super) finish: &'a Finish<'a>,
}

/// Dot products in flight that hide their latency: 5 cycles, two units.
const IN_FLIGHT: usize = 10;

/// Time of one step of a tile in half cycles, of dot products, loads or latency, and a little for being a tile.
fn step_time(pixels: usize, vectors: usize) -> usize {
    (pixels * vectors).max(pixels + vectors).max(IN_FLIGHT) + 1
}

/// `(time of a step, pixels per tile)` of the best tiles of `vectors` vectors for rows of `width` pixels, at most `most`
/// pixels each. The last tile of a row overlaps the one before it.
pub(super) fn tiling(width: usize, vectors: usize, most: usize) -> (usize, usize) {
    let sizes = SIZES.into_iter().filter(|&size| size <= most.min(width));
    let timed = sizes.map(|size| (width.div_ceil(size) * step_time(size, vectors), size));
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
    pub(super) unsafe fn run<S: IntSimd>(self, simd: S, vectors: usize) {
        let (_, pixels) = tiling(self.grid.width, vectors, S::PIXELS[vectors - 1]);
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
        unsafe { call(self, simd) }
    }

    /// Runs tiles of one size; those larger than the instruction set's are not compiled.
    ///
    /// # Safety
    /// As [`RegisterTiles::run`].
    unsafe fn call<S: IntSimd, const P: usize, const V: usize>(self, simd: S) {
        if const { P <= S::PIXELS[V - 1] } {
            simd.call(Sized::<P, V>(self));
        } else {
            unreachable!("no tile of {P} × {V}");
        }
    }
}

struct Sized<'a, const P: usize, const V: usize>(RegisterTiles<'a>);

#[repr(align(64))]
struct Sums([i32; SUMS]);

impl<const P: usize, const V: usize> IntKernel for Sized<'_, P, V> {
    type Output = ();

    #[inline(always)]
    fn run<S: IntSimd>(self, simd: S) {
        assert!(P * V * S::LANES <= SUMS, "room for the sums");
        let RegisterTiles { grid, source, finish, .. } = self.0;
        let mut sums = Sums([0; SUMS]);
        for image in 0..grid.images {
            for row in 0..grid.rows {
                for tile in 0..grid.width.div_ceil(P) {
                    let at = [image, row, (tile * P).min(grid.width - P)];
                    // SAFETY: `RegisterTiles::run`'s caller vouches for every pointer and walk; `sums` has room, see above.
                    unsafe {
                        self.sum(simd, source.add(grid.source.at(at)), sums.0.as_mut_ptr());
                        simd.call(FinishTile::new(finish, sums.0.as_ptr(), P, V, at));
                    }
                }
            }
        }
    }
}

#[expect(clippy::needless_range_loop, reason = "constant bounds unroll; iterators over registers may not")]
impl<const P: usize, const V: usize> Sized<'_, P, V> {
    /// Writes `sums: [P][V·LANES]` of the tile whose first window starts at `window`.
    ///
    /// # Safety
    /// As [`RegisterTiles::run`], and `sums` has room.
    #[inline(always)]
    unsafe fn sum<S: IntSimd>(&self, simd: S, window: *const u8, sums: *mut i32) {
        let RegisterTiles { grid, runs, mut weights, offsets, .. } = self.0;
        let pixel = grid.source.pixel;
        // SAFETY: the caller vouches for every pointer and length.
        unsafe {
            let mut tile = [[simd.splat(0); V]; P];
            for v in 0..V {
                let offset = simd.load(offsets.add(v * S::LANES));
                for p in 0..P {
                    tile[p][v] = offset;
                }
            }
            for run in runs {
                let mut codes = window.add(run.offset);
                for _ in 0..run.quads {
                    let mut w = [simd.weights(weights); V];
                    for v in 1..V {
                        w[v] = simd.weights(weights.add(4 * v * S::LANES));
                    }
                    for p in 0..P {
                        let x = simd.codes(codes.add(p * pixel));
                        for v in 0..V {
                            tile[p][v] = simd.dot(tile[p][v], x, w[v]);
                        }
                    }
                    weights = weights.add(4 * V * S::LANES);
                    codes = codes.wrapping_add(4);
                }
            }
            for p in 0..P {
                for v in 0..V {
                    simd.store(sums.add((p * V + v) * S::LANES), tile[p][v]);
                }
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
        assert_eq!(tiling(32, 1, 16).1, 16);
        assert_eq!(tiling(28, 2, 14).1, 14);
        assert_eq!(tiling(7, 2, 14).1, 7);
        // An overlap where nothing divides: 8 + 8 rather than 4 + 4 + 3.
        assert_eq!(tiling(11, 2, 14).1, 6);
        assert_eq!(tiling(1, 4, 6).1, 1);
    }
}
