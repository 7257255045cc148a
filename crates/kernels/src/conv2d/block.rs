//! The pixels of a dense convolution that are computed together, sized for the second-level cache.

use std::ops::Range;

use super::Conv2d;

/// Values of source per block: a quarter of a common 1 MiB second-level cache.
const BLOCK: usize = 64 * 1024;
/// Pixels per block at most, where channels are few.
const BLOCK_PIXELS: usize = 1024;

/// The pixels computed together: `rows` output rows of one image, or all rows of `images` images.
#[derive(Clone, Debug)]
pub(super) struct Block {
    images: usize,
    rows: usize,
    /// Where each output pixel's window starts in the source of the block.
    pixels: Vec<usize>,
    /// Size of the source of one image, in pixels: the input itself, or a padded copy.
    pub(super) source: [usize; 2],
    padded: bool,
}

impl Block {
    pub(super) fn new(shape: &Conv2d) -> Block {
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

    /// Values of scratch for [`Block::for_each`].
    pub(super) fn scratch_len(&self, shape: &Conv2d) -> usize {
        if self.padded { self.images * self.source_len(shape) } else { 0 }
    }

    /// Calls `f(source, pixels, outputs)` for each block of `input`: the values under it, where in them each
    /// output pixel's window starts, and which values of the whole output its pixels are.
    pub(super) fn for_each(
        &self,
        shape: &Conv2d,
        input: &[f32],
        scratch: &mut [f32],
        mut f: impl FnMut(&[f32], &[usize], Range<usize>),
    ) {
        let (in_len, out_h, out_w) = (shape.in_len(), shape.out_h(), shape.out_w());
        let (row_len, stride) = (out_w * shape.out_c, shape.stride[0]);
        let images = input.len() / in_len;
        for first in (0..images).step_by(self.images) {
            let count = self.images.min(images - first);
            let input = &input[first * in_len..][..count * in_len];
            for row in (0..out_h).step_by(self.rows) {
                let rows = self.rows.min(out_h - row);
                let source = if self.padded {
                    self.copy_padded(shape, input, row * stride, rows, scratch);
                    &*scratch
                } else {
                    &input[row * stride * shape.in_w * shape.in_c..]
                };
                let last = first + count - 1;
                let outputs = (first * out_h + row) * row_len..(last * out_h + row + rows) * row_len;
                f(source, &self.pixels[..count * rows * out_w], outputs);
            }
        }
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
