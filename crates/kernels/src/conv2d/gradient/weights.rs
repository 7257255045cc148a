//! Gradient of dense weights: for each tap and input channel, the sum over pixels of `x·dy`.
//!
//! A register tile holds the sums of a few consecutive input values (neighbouring channels and taps) × some vectors
//! of output channels; each pixel broadcasts those values and meets its vectors of `dy`. Blocks of
//! pixels, their padded copy and the panels of output channels are those of the forward body; within a block, all
//! tiles pass over a piece of pixels small enough for the first-level cache. Sums collect in the panels' layout,
//! over as many batches as the caller likes, and are put in ONNX order at the end.

use super::super::Conv2d;
use super::super::block::Block;
use super::super::panel::{self, Chunk, Layout, Panel};
use crate::Isa;
use crate::simd::{Kernel, Simd};

/// Values of input and output per piece of pixels: two thirds of a 48 KiB first-level cache.
const PIECE: usize = 8 * 1024;
/// Pixels per piece at least, so that fetching and storing the sums stays small beside summing.
const PIECE_PIXELS: usize = 48;

#[derive(Clone, Debug)]
pub(super) struct DenseWeights {
    isa: Isa,
    /// A pointwise convolution sees each pixel as an image of its own.
    shape: Conv2d,
    block: Block,
    chunks: Vec<Chunk>,
    panels: Vec<Panel>,
    layout: Layout,
    /// Pixels per piece.
    piece: usize,
}

impl DenseWeights {
    pub(super) fn new(isa: Isa, shape: &Conv2d) -> DenseWeights {
        let shape = shape.pixels_as_images();
        let block = Block::new(&shape);
        let chunks = panel::chunks(&shape, block.source[1]);
        let panels = panel::panels(isa, &shape);
        let values = shape.in_c * shape.stride[0] * shape.stride[1] + shape.out_c;
        let (layout, piece) = (Layout::onnx(&shape), (PIECE / values).max(PIECE_PIXELS));
        DenseWeights { isa, shape, block, chunks, panels, layout, piece }
    }

    fn terms(&self) -> usize {
        self.shape.weight_len() / self.shape.out_c
    }

    pub(super) fn sums_len(&self) -> usize {
        self.panels.iter().map(|panel| panel.lanes).sum::<usize>() * self.terms()
    }

    pub(super) fn scratch_len(&self) -> usize {
        self.block.scratch_len(&self.shape)
    }

    /// Adds to `sums`.
    pub(super) fn run(&self, x: &[f32], dy: &[f32], scratch: &mut [f32], sums: &mut [f32]) {
        self.block.for_each(&self.shape, x, scratch, |source, pixels, outputs| {
            self.isa.run(BlockKernel { weights: self, source, pixels, dy: &dy[outputs], sums });
        });
    }

    pub(super) fn unpack(&self, sums: &[f32], dw: &mut [f32]) {
        for panel in &self.panels {
            self.layout.unpack(&self.shape, panel, &sums[panel.weights..], dw);
        }
    }
}

struct BlockKernel<'a> {
    weights: &'a DenseWeights,
    source: &'a [f32],
    pixels: &'a [usize],
    dy: &'a [f32],
    sums: &'a mut [f32],
}

impl Kernel for BlockKernel<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let DenseWeights { shape, chunks, panels, piece, .. } = self.weights;
        let (group_in, out_c) = (shape.in_c / shape.groups, shape.out_c);
        // What the tiles rely on: the last pixel's last run ends inside the source, even in the last group, and
        // every panel's sums lie inside `sums`.
        let reach = chunks.iter().flat_map(|chunk| &chunk.runs).map(|run| run.offset + run.len).max();
        let last = self.pixels.iter().max();
        let end = last.zip(reach).map_or(0, |(pixel, run)| pixel + run) + (shape.groups - 1) * group_in;
        assert!(end <= self.source.len());
        assert_eq!(self.dy.len(), self.pixels.len() * out_c);
        assert_eq!(self.sums.len(), self.weights.sums_len());

        for (pixels, dy) in self.pixels.chunks(*piece).zip(self.dy.chunks(piece * out_c)) {
            for panel in panels {
                let mut term = 0;
                for run in chunks.iter().flat_map(|chunk| &chunk.runs) {
                    let tiles = run.len.div_ceil(S::ROWS[panel.vectors - 1]);
                    let mut done = 0;
                    for tile in 0..tiles {
                        let rows = (run.len - done).div_ceil(tiles - tile);
                        let at = panel.group * group_in + run.offset + done;
                        let tile = Tile {
                            source: self.source[at..].as_ptr(),
                            pixels,
                            dy: dy[panel.channel..].as_ptr(),
                            stride: out_c,
                            sums: self.sums[panel.weights + term * panel.lanes..].as_mut_ptr(),
                            last_lanes: S::LANES - (panel.lanes - panel.channels),
                        };
                        // SAFETY: the source covers every pixel and run (asserted above); `channel` plus the panel's
                        // channels is at most `out_c`, so every pixel of `dy` holds them; a panel's sums hold
                        // `lanes` values for each term, and `rows` more terms follow `term`.
                        unsafe { tile.run(simd, rows, panel.vectors) };
                        (done, term) = (done + rows, term + rows);
                    }
                }
            }
        }
    }
}

/// One tile's work. Strides and offsets count f32 values.
///
/// Valid for `R` rows and `V` vectors when: for each of `pixels`, `R` values from `source + pixel` on are readable; `dy`
/// holds, at each of as many multiples of `stride`, `(V-1)·LANES + last_lanes` values; `sums` holds `R·V·LANES`
/// values; `last_lanes` is in `1..=LANES`.
#[derive(Clone, Copy)]
struct Tile<'a> {
    source: *const f32,
    pixels: &'a [usize],
    dy: *const f32,
    stride: usize,
    /// Added to.
    sums: *mut f32,
    /// Lanes of the last vector that exist.
    last_lanes: usize,
}

struct Sized<'a, const R: usize, const V: usize>(Tile<'a>);

impl Tile<'_> {
    /// Sums the tile of `rows` rows and `vectors` vectors.
    ///
    /// # Safety
    /// The tile is valid (see the type), with `R = rows` and `V = vectors`.
    ///
    /// # Panics
    /// `S` has no tile of this size: `vectors` is not in `1..=VECTORS`, or `rows` not in `1..=ROWS[vectors - 1]`.
    #[inline(always)]
    unsafe fn run<S: Simd>(self, simd: S, rows: usize, vectors: usize) {
        // The guards are constants: tiles larger than the instruction set's are not compiled.
        macro_rules! sizes {
            ($($r:literal)*) => {
                match (rows, vectors) {
                    $(
                        ($r, 1) if $r <= S::ROWS[0] => simd.call(Sized::<$r, 1>(self)),
                        ($r, 2) if $r <= S::ROWS[1] => simd.call(Sized::<$r, 2>(self)),
                        ($r, 3) if $r <= S::ROWS[2] => simd.call(Sized::<$r, 3>(self)),
                    )*
                    size => unreachable!("no tile of {size:?}"),
                }
            };
        }
        sizes!(1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24);
    }
}

#[expect(clippy::needless_range_loop, reason = "constant bounds unroll; iterators over registers may not")]
impl<const R: usize, const V: usize> Kernel for Sized<'_, R, V> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let tile = self.0;
        // SAFETY: `Tile::run`'s caller vouches for every pointer, offset and length used below.
        unsafe {
            let mut sums = [[simd.splat(0.0); V]; R];
            let mut dy = tile.dy;
            for &pixel in tile.pixels {
                let mut d = [simd.splat(0.0); V];
                for v in 0..V {
                    let at = dy.add(v * S::LANES);
                    d[v] = if v + 1 < V || tile.last_lanes == S::LANES {
                        simd.load(at)
                    } else {
                        simd.load_first(at, tile.last_lanes)
                    };
                }
                let source = tile.source.add(pixel);
                for r in 0..R {
                    let x = simd.splat(*source.add(r));
                    for v in 0..V {
                        sums[r][v] = simd.fma(x, d[v], sums[r][v]);
                    }
                }
                // The last step may leave the slice, and is not read.
                dy = dy.wrapping_add(tile.stride);
            }
            for r in 0..R {
                for v in 0..V {
                    let at = tile.sums.add((r * V + v) * S::LANES);
                    simd.store(at, simd.add(simd.load(at), sums[r][v]));
                }
            }
        }
    }
}
