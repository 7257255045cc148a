//! Dense convolution: blocks of pixels that fit the cache, panels of output channels, register tiles.
//!
//! Loop order, outermost first: block of pixels, group, panel of output channels, chunk of the sum, tile. A
//! chunk of a panel's weights stays in cache while all tiles of the block use it; a sum too long for that is
//! continued from the output. Each output is summed in the same order whatever its tile, so results depend on
//! neither batch nor block size.

use std::ops::Range;

use super::Conv2d;
use super::tile::{Run, Tile};
use crate::simd::{Kernel, Simd};
use crate::{AlignedVec, Epilogue, Isa};

/// Values of source per block: a quarter of a common 1 MiB second-level cache.
const BLOCK: usize = 64 * 1024;
/// Pixels per block at most, where channels are few.
const BLOCK_PIXELS: usize = 1024;
/// Terms of a sum per chunk: with the widest panel 120 KiB of weights.
const CHUNK: usize = 640;

#[derive(Clone, Debug)]
pub(super) struct Dense {
    isa: Isa,
    /// A pointwise convolution sees each pixel as an image of its own.
    shape: Conv2d,
    block: Block,
    chunks: Vec<Chunk>,
    panels: Vec<Panel>,
    weights: AlignedVec,
    bias: AlignedVec,
}

/// The pixels computed together: `rows` output rows of one image, or all rows of `images` images.
#[derive(Clone, Debug)]
struct Block {
    images: usize,
    rows: usize,
    /// Where each output pixel's window starts in the source of the block.
    pixels: Vec<usize>,
    /// Size of the source of one image, in pixels: the input itself, or a padded copy.
    source: [usize; 2],
    padded: bool,
}

/// A part of every sum.
#[derive(Clone, Debug)]
struct Chunk {
    runs: Vec<Run>,
    /// Which of the sum's terms.
    terms: Range<usize>,
}

/// Output channels computed together, all in one group.
#[derive(Clone, Debug)]
struct Panel {
    group: usize,
    /// First output channel, over all groups.
    channel: usize,
    vectors: usize,
    /// Channels in the last vector.
    last_lanes: usize,
    /// Where its weights `[term][vectors · lanes]` start.
    weights: usize,
    /// Where its bias starts.
    bias: usize,
}

impl Dense {
    pub(super) fn pack(isa: Isa, shape: &Conv2d, weights: &[f32], bias: Option<&[f32]>) -> Dense {
        let mut shape = *shape;
        if shape.kernel == [1; 2] && shape.stride == [1; 2] && shape.pads == [0; 4] {
            [shape.in_h, shape.in_w] = [1; 2];
        }
        let block = Block::new(&shape);
        let chunks = chunks(&shape, block.source[1]);
        let (lanes, max_vectors) = isa.run(PanelSize);
        let (panels, packed, biases) = pack_panels(&shape, weights, bias, lanes, max_vectors);
        Dense { isa, shape, block, chunks, panels, weights: packed, bias: biases }
    }

    pub(super) fn scratch_len(&self) -> usize {
        if self.block.padded { self.block.images * self.block.source_len(&self.shape) } else { 0 }
    }

    pub(super) fn run(
        &self,
        input: &[f32],
        epilogue: &Epilogue<'_>,
        scratch: &mut [f32],
        output: &mut [f32],
    ) {
        let Conv2d { stride, .. } = self.shape;
        let (in_len, out_h) = (self.shape.in_len(), self.shape.out_h());
        let row_len = self.shape.out_w() * self.shape.out_c;
        let images = input.len() / in_len;
        for first in (0..images).step_by(self.block.images) {
            let count = self.block.images.min(images - first);
            let input = &input[first * in_len..][..count * in_len];
            for row in (0..out_h).step_by(self.block.rows) {
                let rows = self.block.rows.min(out_h - row);
                let source = if self.block.padded {
                    self.block.copy_padded(&self.shape, input, row * stride[0], rows, scratch);
                    &*scratch
                } else {
                    &input[row * stride[0] * self.shape.in_w * self.shape.in_c..]
                };
                let outputs =
                    (first * out_h + row) * row_len..((first + count - 1) * out_h + row + rows) * row_len;
                let residual = epilogue.residual.map(|residual| &residual[outputs.clone()]);
                let output = &mut output[outputs];
                let pixels = &self.block.pixels[..count * rows * self.shape.out_w()];
                let bounds = epilogue.bounds();
                self.isa.run(BlockKernel {
                    dense: self,
                    source,
                    pixels,
                    residual,
                    bounds,
                    output: &mut *output,
                });
                epilogue.finish(self.isa, output);
            }
        }
    }
}

impl Block {
    fn new(shape: &Conv2d) -> Block {
        let padded = shape.pads != [0; 4];
        let [top, left, bottom, right] = shape.pads;
        let source = [shape.in_h + top + bottom, shape.in_w + left + right];
        let (out_h, out_w) = (shape.out_h(), shape.out_w());
        let image_len = source[0] * source[1] * shape.in_c;
        let fitting = (BLOCK / image_len).min(BLOCK_PIXELS / (out_h * out_w));
        let (images, rows) = if fitting > 0 {
            (fitting, out_h)
        } else {
            // Equal bands, each within the limits if one row is.
            let span = (shape.kernel[0] - 1) * shape.dilation[0] + 1;
            let source_rows = (BLOCK / (source[1] * shape.in_c)).max(span);
            let rows = ((source_rows - span) / shape.stride[0] + 1).min((BLOCK_PIXELS / out_w).max(1));
            (1, out_h.div_ceil(out_h.div_ceil(rows)))
        };
        let mut pixels = Vec::with_capacity(images * rows * out_w);
        for image in 0..images {
            for oy in 0..rows {
                for ox in 0..out_w {
                    let pixel = oy * shape.stride[0] * source[1] + ox * shape.stride[1];
                    pixels.push(image * image_len + pixel * shape.in_c);
                }
            }
        }
        Block { images, rows, pixels, source, padded }
    }

    /// Values of one image's source in a block. Several images only ever come whole.
    fn source_len(&self, shape: &Conv2d) -> usize {
        let rows = if self.images > 1 { self.source[0] } else { source_rows(shape, self.rows) };
        rows * self.source[1] * shape.in_c
    }

    /// Copies what output rows `rows` need, from padded row `first` on, with zeros around.
    fn copy_padded(&self, shape: &Conv2d, input: &[f32], first: usize, rows: usize, scratch: &mut [f32]) {
        let row_len = self.source[1] * shape.in_c;
        let (left, in_row) = (shape.pads[1] * shape.in_c, shape.in_w * shape.in_c);
        let source_rows = source_rows(shape, rows);
        for (image, padded) in
            input.chunks_exact(shape.in_len()).zip(scratch.chunks_exact_mut(self.source_len(shape)))
        {
            for (y, to) in (first..first + source_rows).zip(padded.chunks_exact_mut(row_len)) {
                let y = y.wrapping_sub(shape.pads[0]);
                if y < shape.in_h {
                    to[..left].fill(0.0);
                    to[left..left + in_row].copy_from_slice(&image[y * in_row..][..in_row]);
                    to[left + in_row..].fill(0.0);
                } else {
                    to.fill(0.0);
                }
            }
        }
    }
}

/// Rows of source under `rows` output rows.
fn source_rows(shape: &Conv2d, rows: usize) -> usize {
    (rows - 1) * shape.stride[0] + (shape.kernel[0] - 1) * shape.dilation[0] + 1
}

/// The terms of a sum in the order kernel row, kernel column, channel: as few runs as memory allows, in chunks
/// of equal length.
fn chunks(shape: &Conv2d, source_w: usize) -> Vec<Chunk> {
    let group_in = shape.in_c / shape.groups;
    let [kh, kw] = shape.kernel;
    // Undilated, ungrouped kernel rows lie in one piece.
    let (pieces, len) =
        if shape.dilation[1] == 1 && shape.groups == 1 { (1, kw * group_in) } else { (kw, group_in) };
    let terms = kh * kw * group_in;
    let chunk_len = terms.div_ceil(terms.div_ceil(CHUNK));

    let mut chunks: Vec<Chunk> = Vec::new();
    let mut term = 0;
    for ky in 0..kh {
        for piece in 0..pieces {
            let start = (ky * shape.dilation[0] * source_w + piece * shape.dilation[1]) * shape.in_c;
            let mut done = 0;
            while done < len {
                if term % chunk_len == 0 {
                    chunks.push(Chunk { runs: Vec::new(), terms: term..term });
                }
                let take = (len - done).min(chunk_len - term % chunk_len);
                if let Some(chunk) = chunks.last_mut() {
                    chunk.runs.push(Run { offset: start + done, len: take });
                    chunk.terms.end += take;
                }
                (done, term) = (done + take, term + take);
            }
        }
    }
    chunks
}

/// `(lanes, vectors of the widest tile)` of an instruction set.
struct PanelSize;

impl Kernel for PanelSize {
    type Output = (usize, usize);
    #[inline(always)]
    fn run<S: Simd>(self, _: S) -> (usize, usize) {
        (S::LANES, S::VECTORS)
    }
}

/// Widths of the panels that cover `vectors`: as wide as possible, but rather two twos than a three and a one,
/// whose single vector would wait for its own sums.
fn panel_widths(vectors: usize, widest: usize) -> Vec<usize> {
    let mut widths = vec![widest; vectors / widest];
    match vectors % widest {
        0 => {}
        1 if widest == 3 && !widths.is_empty() => {
            widths.pop();
            widths.extend([2, 2]);
        }
        rest => widths.push(rest),
    }
    widths
}

fn pack_panels(
    shape: &Conv2d,
    weights: &[f32],
    bias: Option<&[f32]>,
    lanes: usize,
    widest: usize,
) -> (Vec<Panel>, AlignedVec, AlignedVec) {
    let [kh, kw] = shape.kernel;
    let (group_in, group_out) = (shape.in_c / shape.groups, shape.out_c / shape.groups);
    let terms = kh * kw * group_in;
    let vectors = group_out.div_ceil(lanes);
    let mut panels = Vec::new();
    let mut packed = AlignedVec::zeroed(shape.groups * vectors * lanes * terms);
    let mut biases = AlignedVec::zeroed(shape.groups * vectors * lanes);
    for group in 0..shape.groups {
        let mut vector = 0;
        for width in panel_widths(vectors, widest) {
            let channel = group * group_out + vector * lanes;
            let channels = (width * lanes).min(group_out - vector * lanes);
            let first = group * vectors + vector;
            let panel = Panel {
                group,
                channel,
                vectors: width,
                last_lanes: channels - (width - 1) * lanes,
                weights: first * lanes * terms,
                bias: first * lanes,
            };
            for c in 0..channels {
                if let Some(bias) = bias {
                    biases[panel.bias + c] = bias[channel + c];
                }
                for term in 0..terms {
                    let (ky, kx, ic) = (term / group_in / kw, term / group_in % kw, term % group_in);
                    packed[panel.weights + term * width * lanes + c] =
                        weights[(((channel + c) * group_in + ic) * kh + ky) * kw + kx];
                }
            }
            panels.push(panel);
            vector += width;
        }
    }
    (panels, packed, biases)
}

struct BlockKernel<'a> {
    dense: &'a Dense,
    source: &'a [f32],
    pixels: &'a [usize],
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
        let tiles = self.pixels.len().div_ceil(S::PIXELS);
        // What the tiles rely on: the last pixel's last run ends inside the source, even in the last group.
        let reach = chunks.iter().flat_map(|chunk| &chunk.runs).map(|run| run.offset + run.len).max();
        let last = self.pixels.iter().max();
        let end = last.zip(reach).map_or(0, |(pixel, run)| pixel + run) + (shape.groups - 1) * group_in;
        assert!(end <= self.source.len());
        assert_eq!(self.output.len(), self.pixels.len() * shape.out_c);

        for panel in panels {
            for (nth, chunk) in chunks.iter().enumerate() {
                let (is_first, is_last) = (nth == 0, nth + 1 == chunks.len());
                let mut done = 0;
                for tile in 0..tiles {
                    // Tiles of equal size, within one: a small one costs as much time as a full one.
                    let size = (self.pixels.len() - done).div_ceil(tiles - tile);
                    let at = done * shape.out_c + panel.channel;
                    let lanes = panel.vectors * S::LANES;
                    let output = self.output[at..].as_mut_ptr();
                    let tile = Tile {
                        source: self.source[panel.group * group_in..].as_ptr(),
                        pixels: &self.pixels[done..done + size],
                        runs: &chunk.runs,
                        weights: weights[panel.weights + chunk.terms.start * lanes..].as_ptr(),
                        init: if is_first { bias[panel.bias..].as_ptr() } else { output.cast_const() },
                        init_stride: if is_first { 0 } else { shape.out_c },
                        residual: match self.residual {
                            Some(residual) if is_last => residual[at..].as_ptr(),
                            _ => std::ptr::null(),
                        },
                        bounds: if is_last { self.bounds } else { [f32::NEG_INFINITY, f32::INFINITY] },
                        output,
                        stride: shape.out_c,
                        last_lanes: panel.last_lanes,
                    };
                    // SAFETY: the source covers every pixel and run (asserted above); a panel's weights hold
                    // `lanes` values for each term of each chunk, its bias `lanes` values; `channel` plus the
                    // panel's lanes is at most `out_c`, so outputs and residuals of `size` pixels from `done` are
                    // inside slices of `pixels · out_c` values; `size <= S::PIXELS` because `tiles` tiles suffice.
                    unsafe { tile.run(simd, panel.vectors) };
                    done += size;
                }
            }
        }
    }
}
