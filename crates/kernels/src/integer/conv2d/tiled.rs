//! The same tiles on tile registers: blocks of up to 16 pixels × vectors of 16 output channels.
//!
//! The codes of a block are loaded straight from the bordered plane, a row of the tile per pixel, so that rows overlap
//! where windows do. A run of codes is cut into equal pieces of at most 64 bytes; the last overlaps the one before it
//! where nothing else is equal, and its weights are zero there.

use super::finish::{Finish, SPARE};
use super::grid::Grid;
use super::panel::Run;
use crate::integer::bytes::{ByteKernel, ByteSimd};
use crate::integer::tiles::{CODES, LANES, ROWS, SUMS, Tiles, WEIGHTS};

/// Vectors of the widest panel.
pub(super) const VECTORS: usize = 2;

/// How every run of a convolution is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Cut {
    run: usize,
    /// Quads of a piece.
    quads: usize,
}

impl Cut {
    /// Of runs that are all `run` quads long, at least one.
    pub(super) fn new(run: usize) -> Cut {
        Cut { run, quads: run.div_ceil(run.div_ceil(LANES)) }
    }

    /// The first quad of each piece.
    fn pieces(self) -> impl ExactSizeIterator<Item = usize> {
        (0..self.run).step_by(self.quads).map(move |start| start.min(self.run - self.quads))
    }

    /// The weights of one vector, `[quad][lane][4]`, piece by piece.
    pub(super) fn weights(self, widened: &[u8]) -> Vec<u8> {
        const QUAD: usize = 4 * LANES;
        let mut cut = Vec::new();
        for run in widened.chunks_exact(self.run * QUAD) {
            let mut done = 0;
            for start in self.pieces() {
                cut.resize(cut.len() + (done - start) * QUAD, 0);
                cut.extend_from_slice(&run[done * QUAD..(start + self.quads) * QUAD]);
                done = start + self.quads;
            }
        }
        cut
    }
}

/// All blocks of one panel in a grid.
#[derive(Clone, Copy)]
pub(super) struct TiledPanel<'a> {
    pub(super) cut: Cut,
    pub(super) grid: &'a Grid,
    /// Where the walk over the input starts.
    pub(super) source: *const u8,
    pub(super) runs: &'a [Run],
    /// Of each vector in turn, as [`Cut::weights`] has them.
    pub(super) weights: &'a [u8],
    pub(super) vectors: usize,
    /// `[vectors·LANES]`: what the sums start from.
    pub(super) offsets: &'a [i32],
    pub(super) finish: &'a Finish<'a>,
}

impl TiledPanel<'_> {
    /// Computes them all on `tiles`.
    ///
    /// # Safety
    /// For each pixel of the grid and each run, `source + pixel + run` is readable; `finish` is valid for the grid's walks.
    pub(super) unsafe fn run<S: ByteSimd, T: Tiles>(self, s: S, tiles: T) {
        assert!(self.runs.iter().all(|run| run.quads == self.cut.run), "runs of {:?}", self.cut);
        assert!(self.weights.len() >= self.vectors * self.vector_len(), "weights of {:?}", self.cut);
        assert!(self.offsets.len() >= self.vectors * LANES, "offsets of {} vectors", self.vectors);
        s.call(OnTiles { panel: self, tiles });
    }

    /// Bytes of the weights of one vector.
    #[inline(always)]
    fn vector_len(&self) -> usize {
        self.runs.len() * self.cut.pieces().len() * self.cut.quads * 4 * LANES
    }
}

struct OnTiles<'a, T> {
    panel: TiledPanel<'a>,
    tiles: T,
}

impl<T: Tiles> OnTiles<'_, T> {
    /// Sums and finishes `B` blocks of `pixels` pixels, each starting `at` its own place.
    ///
    /// # Safety
    /// As [`TiledPanel::run`], whose assertions hold, and the tiles are configured.
    #[inline(always)]
    unsafe fn blocks<S: ByteSimd, const B: usize, const V: usize>(
        &mut self,
        s: S,
        pixels: usize,
        at: [[usize; 3]; B],
    ) {
        let mut sums = Sums([0; (2 * ROWS * VECTORS + SPARE) * LANES]);
        let (panel, tiles) = (&self.panel, &mut self.tiles);
        let walk = &panel.grid.source;
        // SAFETY: windows and runs are readable, says the caller; of the weights each vector takes its part, whose length
        // is asserted; `sums` holds two blocks of two vectors.
        unsafe {
            let windows = at.map(|at| panel.source.add(walk.at(at)));
            let offsets = panel.offsets.as_ptr().cast::<u8>();
            tiles.load::<SUMS>(offsets, 0);
            if V == 2 {
                tiles.load::<{ SUMS + 1 }>(offsets.add(4 * LANES), 0);
            }
            if B == 2 {
                tiles.load::<{ SUMS + 2 }>(offsets, 0);
            }
            if B == 2 && V == 2 {
                tiles.load::<{ SUMS + 3 }>(offsets.add(4 * LANES), 0);
            }
            let piece = panel.cut.quads * 4 * LANES;
            let mut weights = panel.weights.as_ptr();
            let second = panel.vector_len();
            for run in panel.runs {
                for start in panel.cut.pieces() {
                    let offset = run.offset + 4 * start;
                    tiles.load::<WEIGHTS>(weights, 4 * LANES);
                    tiles.load::<CODES>(windows[0].add(offset), walk.pixel);
                    tiles.dot::<SUMS, CODES, WEIGHTS>();
                    if V == 2 {
                        tiles.load::<{ WEIGHTS + 1 }>(weights.add(second), 4 * LANES);
                        tiles.dot::<{ SUMS + 1 }, CODES, { WEIGHTS + 1 }>();
                    }
                    if B == 2 {
                        tiles.load::<{ CODES + 1 }>(windows[1].add(offset), walk.pixel);
                        tiles.dot::<{ SUMS + 2 }, { CODES + 1 }, WEIGHTS>();
                    }
                    if B == 2 && V == 2 {
                        tiles.dot::<{ SUMS + 3 }, { CODES + 1 }, { WEIGHTS + 1 }>();
                    }
                    weights = weights.add(piece);
                }
            }
            let pixel = 4 * LANES * V;
            let first = sums.0.as_mut_ptr().cast::<u8>();
            tiles.store::<SUMS>(first, pixel);
            if V == 2 {
                tiles.store::<{ SUMS + 1 }>(first.add(4 * LANES), pixel);
            }
            let other = first.add(pixels * pixel);
            if B == 2 {
                tiles.store::<{ SUMS + 2 }>(other, pixel);
            }
            if B == 2 && V == 2 {
                tiles.store::<{ SUMS + 3 }>(other.add(4 * LANES), pixel);
            }
            for (block, at) in at.into_iter().enumerate() {
                let sums = sums.0.as_ptr().add(block * pixels * V * LANES);
                s.call(panel.finish.tile(sums, pixels, at));
            }
        }
    }
}

#[repr(align(64))]
struct Sums([i32; (2 * ROWS * VECTORS + SPARE) * LANES]);

impl<T: Tiles> ByteKernel for OnTiles<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<S: ByteSimd>(mut self, s: S) {
        let TiledPanel { grid, cut, vectors, .. } = self.panel;
        let blocks = grid.width.div_ceil(ROWS);
        let pixels = grid.width.div_ceil(blocks);
        self.tiles.configure(pixels, cut.quads);
        let mut waiting = None;
        for image in 0..grid.images {
            for row in 0..grid.rows {
                for block in 0..blocks {
                    // The last one overlaps the one before it.
                    let at = [image, row, (block * pixels).min(grid.width - pixels)];
                    // SAFETY: the only caller, `TiledPanel::run`, has the promises of its own; configured above.
                    unsafe {
                        match (waiting.take(), vectors) {
                            (None, _) => waiting = Some(at),
                            (Some(first), 1) => self.blocks::<S, 2, 1>(s, pixels, [first, at]),
                            (Some(first), _) => self.blocks::<S, 2, 2>(s, pixels, [first, at]),
                        }
                    }
                }
            }
        }
        if let Some(at) = waiting {
            // SAFETY: as above.
            unsafe {
                match vectors {
                    1 => self.blocks::<S, 1, 1>(s, pixels, [at]),
                    _ => self.blocks::<S, 1, 2>(s, pixels, [at]),
                }
            }
        }
        self.tiles.release();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_are_cut_into_equal_pieces_and_overlaps_have_no_weights() {
        assert_eq!(Cut::new(12).pieces().collect::<Vec<_>>(), [0]);
        assert_eq!(Cut::new(48).pieces().collect::<Vec<_>>(), [0, 16, 32]);
        let cut = Cut::new(17);
        assert_eq!(cut.pieces().collect::<Vec<_>>(), [0, 8]);
        let widened: Vec<u8> = (0..17).flat_map(|quad| [quad + 1; 4 * LANES]).collect();
        let quads: Vec<u8> = cut.weights(&widened).chunks_exact(4 * LANES).map(|quad| quad[0]).collect();
        assert_eq!(quads, [1, 2, 3, 4, 5, 6, 7, 8, 9, 0, 10, 11, 12, 13, 14, 15, 16, 17]);
    }
}
