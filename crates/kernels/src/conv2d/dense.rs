//! Dense convolution: blocks of pixels that fit the cache, panels of output channels, register tiles.
//!
//! Loop order, outermost first: block of pixels, group, panel of output channels, chunk of the sum, tile. A
//! chunk of a panel's weights stays in cache while all tiles of the block use it; a sum too long for that is
//! continued from the output. Each output is summed in the same order whatever its tile, so results depend on
//! neither batch nor block size.

use super::Conv2d;
use super::block::Block;
use super::panel::{self, Chunk, Layout, Panel};
use super::tile::Tile;
use crate::simd::{Kernel, Simd};
use crate::{AlignedVec, Epilogue, Isa};

#[derive(Clone, Debug)]
pub(crate) struct Dense {
    isa: Isa,
    /// A pointwise convolution sees each pixel as an image of its own.
    shape: Conv2d,
    block: Block,
    chunks: Vec<Chunk>,
    panels: Vec<Panel>,
    layout: Layout,
    weights: AlignedVec,
    bias: AlignedVec,
}

impl Dense {
    /// With all weights zero. They will come in `layout`.
    pub(crate) fn new(isa: Isa, shape: &Conv2d, layout: Layout) -> Dense {
        let shape = shape.pixels_as_images();
        let block = Block::new(&shape);
        let chunks = panel::chunks(&shape, block.source[1]);
        let panels = panel::panels(isa, &shape);
        let lanes = panels.iter().map(|panel| panel.lanes).sum();
        let weights = AlignedVec::zeroed(lanes * (shape.weight_len() / shape.out_c));
        Dense { isa, shape, block, chunks, panels, layout, weights, bias: AlignedVec::zeroed(lanes) }
    }

    pub(crate) fn set_weights(&mut self, weights: &[f32], bias: Option<&[f32]>) {
        for panel in &self.panels {
            self.layout.pack(&self.shape, panel, weights, &mut self.weights[panel.weights..]);
            let to = &mut self.bias[panel.bias..][..panel.channels];
            match bias {
                Some(bias) => to.copy_from_slice(&bias[panel.channel..][..panel.channels]),
                None => to.fill(0.0),
            }
        }
    }

    pub(super) fn scratch_len(&self) -> usize {
        self.block.scratch_len(&self.shape)
    }

    pub(crate) fn run(
        &self,
        input: &[f32],
        epilogue: &Epilogue<'_>,
        scratch: &mut [f32],
        output: &mut [f32],
    ) {
        self.compute(input, false, epilogue, scratch, output);
    }

    /// Adds the convolution, without its bias, to `output`.
    pub(crate) fn add_to(&self, input: &[f32], scratch: &mut [f32], output: &mut [f32]) {
        self.compute(input, true, &Epilogue::default(), scratch, output);
    }

    /// `onto`: sums start from what `output` holds, not from the bias.
    fn compute(
        &self,
        input: &[f32],
        onto: bool,
        epilogue: &Epilogue<'_>,
        scratch: &mut [f32],
        output: &mut [f32],
    ) {
        self.block.for_each(&self.shape, input, scratch, |source, pixels, outputs| {
            let residual = epilogue.residual.map(|residual| &residual[outputs.clone()]);
            let output = &mut output[outputs];
            let bounds = epilogue.bounds();
            let kernel =
                BlockKernel { dense: self, source, pixels, onto, residual, bounds, output: &mut *output };
            self.isa.run(kernel);
            epilogue.finish(self.isa, output);
        });
    }
}

struct BlockKernel<'a> {
    dense: &'a Dense,
    source: &'a [f32],
    pixels: &'a [usize],
    onto: bool,
    residual: Option<&'a [f32]>,
    bounds: [f32; 2],
    output: &'a mut [f32],
}

impl Kernel for BlockKernel<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Dense { shape, chunks, panels, weights, bias, .. } = self.dense;
        let group_in = shape.in_c / shape.groups;
        // What the tiles rely on: the last pixel's last run ends inside the source, even in the last group.
        let reach = chunks.iter().flat_map(|chunk| &chunk.runs).map(|run| run.offset + run.len).max();
        let last = self.pixels.iter().max();
        let end = last.zip(reach).map_or(0, |(pixel, run)| pixel + run) + (shape.groups - 1) * group_in;
        assert!(end <= self.source.len());
        assert_eq!(self.output.len(), self.pixels.len() * shape.out_c);

        for panel in panels {
            let tiles = self.pixels.len().div_ceil(S::PIXELS[panel.vectors - 1]);
            for (nth, chunk) in chunks.iter().enumerate() {
                let is_last = nth + 1 == chunks.len();
                let from_bias = nth == 0 && !self.onto;
                let mut done = 0;
                for tile in 0..tiles {
                    // Tiles of equal size, within one: a small one costs as much time as a full one.
                    let size = (self.pixels.len() - done).div_ceil(tiles - tile);
                    let at = done * shape.out_c + panel.channel;
                    let output = self.output[at..].as_mut_ptr();
                    let tile = Tile {
                        source: self.source[panel.group * group_in..].as_ptr(),
                        pixels: &self.pixels[done..done + size],
                        runs: &chunk.runs,
                        weights: weights[panel.weights + chunk.terms.start * panel.lanes..].as_ptr(),
                        init: if from_bias { bias[panel.bias..].as_ptr() } else { output.cast_const() },
                        init_stride: if from_bias { 0 } else { shape.out_c },
                        residual: match self.residual {
                            Some(residual) if is_last => residual[at..].as_ptr(),
                            _ => std::ptr::null(),
                        },
                        bounds: if is_last { self.bounds } else { [f32::NEG_INFINITY, f32::INFINITY] },
                        output,
                        stride: shape.out_c,
                        last_lanes: S::LANES - (panel.lanes - panel.channels),
                    };
                    // SAFETY: the source covers every pixel and run (asserted above); a panel's weights hold
                    // `lanes` values for each term of each chunk, its bias `lanes` values; `channel` plus the
                    // panel's lanes is at most `out_c`, so outputs and residuals of `size` pixels from `done` are
                    // inside slices of `pixels · out_c` values.
                    unsafe { tile.run(simd, panel.vectors) };
                    done += size;
                }
            }
        }
    }
}
