//! Dense convolution: blocks of pixels that fit the cache, panels of output channels, register tiles.
//!
//! A group is a panel of few input channels, so that grouped convolutions are the same loop; weights of input channels
//! that an output of the panel does not see are zero.

use std::ops::Range;

use super::finish::{Finish, Form};
use super::gemv::Gemv;
use super::grid::{Grid, Walk};
use super::pairs;
use super::panel::{self, Panel, Widen, pack, packed_len, widened_len};
use super::tile::{self, RegisterTiles, most_pixels};
use super::tiled::{Cut, TiledPanel, VECTORS};
use crate::integer::bytes::{ByteKernel, ByteSimd};
use crate::integer::tiles::{self, Twin, Units};
use crate::integer::{Plane, Requantize, WeightBits, Weights};
use crate::{Aligned, AlignedBytes, Conv2d, Isa};

/// Bytes of input per block: a quarter of a common 1 MiB second-level cache.
const BLOCK: usize = 256 * 1024;

/// Bytes of a fully connected layer's weights beyond which their way from memory is all that counts.
const LARGE: usize = 8 << 20;

/// What multiplies.
#[derive(Clone, Copy, Debug)]
enum Engine {
    /// Vectors; `paired` where weights were split for those that add pairs of products in 16 bits.
    Registers { paired: bool },
    /// Tile registers.
    Tiles { units: Units, cut: Cut },
}

#[derive(Clone, Debug)]
pub(super) struct Dense {
    isa: Isa,
    shape: Conv2d,
    input: Plane,
    output: Plane,
    bits: WeightBits,
    engine: Engine,
    panels: Vec<Panel>,
    weights: AlignedBytes,
    /// What sums start from, per stored channel of all panels.
    offsets: Aligned<i32>,
    scratch_len: usize,
}

impl Dense {
    /// With `units`, on tile registers where the convolution fits them.
    pub(super) fn new(
        isa: Isa,
        units: Option<Units>,
        shape: &Conv2d,
        input: Plane,
        output: Plane,
        weights: &Weights<'_>,
    ) -> Dense {
        // Fully connected layers of narrow weights belong to `Gemv`, which reads them as they lie in memory for vectors.
        let narrow = [output.h, output.w] == [1; 2] && weights.bits != WeightBits::Eight;
        // Tiles have one shape: where all channels meet, all runs are those of the first panel, nearly always of one length.
        let units = units.filter(|_| {
            let runs = Panel::new(shape, &input, 0, 1, 1).runs;
            !narrow && shape.groups == 1 && runs.iter().all(|run| run.quads == runs[0].quads)
        });
        let large = [output.h, output.w] == [1; 2] && weights.codes.len() > LARGE;
        let narrow_or_small = weights.bits != WeightBits::Eight || !large;
        let vector = isa.run_paired(Lanes);
        let paired = units.is_none() && vector.paired && narrow_or_small;
        let (lanes, lowered) =
            if units.is_some() { (tiles::LANES, 0) } else { (vector.lanes, vector.lowered) };
        let vectors = output.c.div_ceil(lanes);
        let width =
            Dense::grid(shape, &input, Walk::interior(&output, 0), None, 1, 0..output.h).lines()[0].width;
        let split = match units {
            Some(_) => (0..vectors).step_by(VECTORS).map(|first| VECTORS.min(vectors - first)).collect(),
            None if paired => isa.run_paired(Split { width, vectors }),
            None => isa.run_bytes(Split { width, vectors }),
        };
        let (mut panels, mut packed, mut channel) = (Vec::new(), Vec::new(), 0);
        let mut engine = Engine::Registers { paired };
        let mut added = vec![0i32; output.c.next_multiple_of(lanes)];
        for vectors in split {
            let mut panel = Panel::new(shape, &input, channel, vectors, vectors * lanes);
            let mut widened = match units {
                Some(units) => {
                    let cut = Cut::new(panel.runs[0].quads);
                    engine = Engine::Tiles { units, cut };
                    let firsts = (channel..).step_by(lanes).take(vectors);
                    firsts
                        .flat_map(|first| cut.weights(&panel::widened(shape, first..first + lanes, weights)))
                        .collect()
                }
                None => panel::widened(shape, channel..channel + vectors * lanes, weights),
            };
            if paired {
                widened = pairs::split(&mut panel, &widened, weights, &mut added[channel..]);
            }
            let start = packed.len();
            packed.resize(start + packed_len(widened.len(), weights.bits), 0);
            pack(&widened, weights.bits, &mut packed[start..]);
            panel.weights = start..packed.len();
            panels.push(panel);
            channel += vectors * lanes;
        }
        let mut offsets = Aligned::zeroed(channel);
        (0..shape.out_c).for_each(|o| offsets[o] = weights.offset(o, lowered).wrapping_add(added[o]));
        let widest = panels.iter().map(|panel| panel.weights.len()).max().unwrap_or(0);
        Dense {
            isa,
            shape: *shape,
            input,
            output,
            bits: weights.bits,
            engine,
            panels,
            weights: AlignedBytes::from(&packed[..]),
            offsets,
            // Room to start on a cache line.
            scratch_len: match widened_len(widest, weights.bits) {
                0 => 0,
                len => len + 63,
            },
        }
    }

    pub(super) fn weight_bytes(&self) -> usize {
        self.weights.len() + 4 * self.offsets.len()
    }

    pub(super) fn scratch_len(&self) -> usize {
        self.scratch_len
    }

    pub(super) fn run(
        &self,
        input: &[u8],
        requantize: &Requantize,
        residual: Option<&[u8]>,
        scratch: &mut [u8],
        output: &mut [u8],
    ) {
        let images = input.len() / self.input.len();
        let walk = Walk::interior(&self.output, 0);
        let added = requantize.residual.map(|added| Walk::interior(&added.plane, 0));
        let grid = Dense::grid(&self.shape, &self.input, walk, added, images, 0..self.output.h);
        self.codes(&grid, input, requantize, residual, scratch, output);
    }

    pub(super) fn run_band(
        &self,
        image: &[u8],
        rows: Range<usize>,
        requantize: &Requantize,
        residual: Option<&[u8]>,
        scratch: &mut [u8],
        output: &mut [u8],
    ) {
        let walk = Walk { start: self.output.border[1] * self.output.c, ..Walk::interior(&self.output, 0) };
        let added = requantize.residual.map(|added| Walk::interior(&added.plane, rows.start));
        let grid = Dense::grid(&self.shape, &self.input, walk, added, 1, rows);
        self.codes(&grid, image, requantize, residual, scratch, output);
    }

    fn codes(
        &self,
        grid: &Grid,
        input: &[u8],
        requantize: &Requantize,
        residual: Option<&[u8]>,
        scratch: &mut [u8],
        output: &mut [u8],
    ) {
        if grid.is_empty() {
            return;
        }
        assert!(grid.output.at(grid.last()) + self.output.c <= output.len(), "output holds the grid");
        let residual = residual.map_or(std::ptr::null(), |residual| {
            assert!(
                grid.residual.at(grid.last()) + self.output.c <= residual.len(),
                "residual holds the grid"
            );
            residual.as_ptr()
        });
        let form = Form::Codes { requantize, residual, output: output.as_mut_ptr() };
        // SAFETY: the last pixels are inside, asserted above, and so are those before them.
        unsafe { self.compute(grid, input, scratch, requantize.scales(), self.output.c, form) }
    }

    pub(super) fn run_f32(&self, input: &[u8], scale: &[f32], scratch: &mut [u8], output: &mut [f32]) {
        let images = input.len() / self.input.len();
        let walk = Walk::dense(self.output.h, self.output.w, self.shape.out_c);
        let grid = Dense::grid(&self.shape, &self.input, walk, None, images, 0..self.output.h);
        if grid.is_empty() {
            return;
        }
        assert!(grid.output.at(grid.last()) + self.shape.out_c <= output.len(), "output holds the grid");
        let form = Form::Reals { output: output.as_mut_ptr() };
        // SAFETY: the last pixel is inside, asserted above, and so are those before it.
        unsafe { self.compute(&grid, input, scratch, scale, self.shape.out_c, form) }
    }

    /// Output rows `rows` of `images` images. Where there is no residual, its walk is the output's.
    fn grid(
        shape: &Conv2d,
        input: &Plane,
        output: Walk,
        residual: Option<Walk>,
        images: usize,
        rows: Range<usize>,
    ) -> Grid {
        let source = Walk::windows(shape, input, rows.start);
        let residual = residual.unwrap_or(output);
        Grid { images, rows: rows.len(), width: shape.out_w(), source, residual, output }
    }

    /// # Safety
    /// `form` is valid for the walks of `grid` and `channels` channels.
    unsafe fn compute(
        &self,
        grid: &Grid,
        input: &[u8],
        scratch: &mut [u8],
        scale: &[f32],
        channels: usize,
        form: Form<'_>,
    ) {
        let reach =
            self.panels.iter().flat_map(|panel| &panel.runs).map(|run| run.offset + 4 * run.quads).max();
        assert!(grid.source.at(grid.last()) + reach.unwrap_or(0) <= input.len(), "input holds all windows");
        let aligned = scratch.as_ptr().align_offset(64).min(scratch.len());
        let scratch = &mut scratch[aligned..];
        for lines in grid.lines().iter().filter(|lines| !lines.is_empty()) {
            lines.for_each_block(BLOCK, |block| {
                let kernel = BlockKernel { dense: self, grid: block, input, scratch, scale, channels, form };
                match self.engine {
                    Engine::Registers { paired: true } => self.isa.run_paired(kernel),
                    _ => self.isa.run_bytes(kernel),
                }
            });
        }
    }
}

/// What packing needs to know of an instruction set.
struct Vector {
    lanes: usize,
    lowered: u8,
    paired: bool,
}

struct Lanes;

impl ByteKernel for Lanes {
    type Output = Vector;
    #[inline(always)]
    fn run<S: ByteSimd>(self, _: S) -> Vector {
        Vector { lanes: S::LANES, lowered: S::LOWERED, paired: S::PAIRED }
    }
}

/// Vectors of each panel, for rows of `width` pixels: those whose tiles take the least time.
struct Split {
    width: usize,
    vectors: usize,
}

impl ByteKernel for Split {
    type Output = Vec<usize>;
    #[inline(always)]
    fn run<S: ByteSimd>(self, _: S) -> Vec<usize> {
        let time = |panels: &Vec<usize>| -> usize {
            panels.iter().map(|&vectors| tile::best::<S>(self.width, vectors).0).sum()
        };
        let equal = |widest: usize| -> Vec<usize> {
            let panels = self.vectors.div_ceil(widest);
            (0..panels).map(|panel| (self.vectors - panel).div_ceil(panels)).collect()
        };
        let widths = (1..=4).filter(|&vectors| most_pixels::<S>(vectors) > 0);
        widths.map(equal).min_by_key(time).unwrap_or_default()
    }
}

struct BlockKernel<'a> {
    dense: &'a Dense,
    grid: &'a Grid,
    input: &'a [u8],
    scratch: &'a mut [u8],
    scale: &'a [f32],
    channels: usize,
    form: Form<'a>,
}

impl ByteKernel for BlockKernel<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: ByteSimd>(self, s: S) {
        let Dense { bits, panels, weights, offsets, .. } = self.dense;
        for panel in panels.iter().filter(|panel| panel.channel < self.channels) {
            let packed = &weights[panel.weights.clone()];
            let finish = Finish::new(
                self.form,
                &self.scale[panel.channel.min(self.scale.len())..],
                (self.channels - panel.channel).min(panel.lanes),
                [panel.lanes / S::LANES, S::LANES],
                [self.grid.residual, self.grid.output].map(|walk| walk.offset_by(panel.channel)),
            );
            let vectors = matches!(self.dense.engine, Engine::Registers { .. });
            if vectors && Gemv::serves(self.grid, &panel.runs, *bits) {
                let (grid, source, run) = (self.grid, self.input.as_ptr(), panel.runs[0]);
                let offsets = offsets[panel.channel..].as_ptr();
                let gemv = Gemv { grid, source, run, packed, bits: *bits, offsets, finish: &finish };
                // SAFETY: as below.
                unsafe { gemv.run(s, panel.vectors) };
                continue;
            }
            let widened = &mut self.scratch[..widened_len(packed.len(), *bits)];
            let weights = if *bits == WeightBits::Eight {
                packed
            } else {
                s.call(Widen { packed, bits: *bits, widened: &mut *widened });
                &*widened
            };
            match self.dense.engine {
                Engine::Registers { .. } => {
                    let tiles = RegisterTiles {
                        grid: self.grid,
                        source: self.input.as_ptr(),
                        runs: &panel.runs,
                        quads: &panel.quads,
                        steps: panel.steps,
                        flipped: &panel.flipped,
                        weights: weights.as_ptr(),
                        offsets: offsets[panel.channel..].as_ptr(),
                        finish: &finish,
                    };
                    // SAFETY: the input holds all windows, asserted in `compute`, whose caller vouches for the form. A
                    // panel's weights were packed for just these runs, its offsets for its lanes.
                    unsafe { tiles.run(s, panel.vectors) };
                }
                Engine::Tiles { units, cut } => {
                    let tiled = TiledPanel {
                        cut,
                        grid: self.grid,
                        source: self.input.as_ptr(),
                        runs: &panel.runs,
                        weights,
                        vectors: panel.vectors,
                        offsets: &offsets[panel.channel..],
                        finish: &finish,
                    };
                    match units {
                        // SAFETY: as above.
                        Units::Twin => unsafe { tiled.run(s, Twin::default()) },
                        #[cfg(all(target_arch = "x86_64", target_os = "linux", not(miri)))]
                        // SAFETY: as above.
                        Units::Amx(amx) => unsafe { tiled.run(s, amx) },
                    }
                }
            }
        }
    }
}
