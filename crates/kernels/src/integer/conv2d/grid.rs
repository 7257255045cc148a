//! Which pixels a convolution computes, and where they lie in its input, residual and output.

use crate::Conv2d;
use crate::integer::Plane;

/// Pixels of a line that is cut out of a longer one: whole tiles of 14 and 16.
const LINE: usize = 112;

/// Steps in one buffer: from an image to the next, a row of output to the next, a pixel of output to the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Walk {
    pub(super) start: usize,
    pub(super) image: usize,
    pub(super) row: usize,
    pub(super) pixel: usize,
}

impl Walk {
    /// Over the interior of `plane`, from its row `first` on.
    pub(super) fn interior(plane: &Plane, first: usize) -> Walk {
        Walk { start: plane.offset(first, 0), image: plane.len(), row: plane.row_len(), pixel: plane.c }
    }

    /// Over `[n, h, w, channels]`.
    pub(super) fn dense(h: usize, w: usize, channels: usize) -> Walk {
        Walk { start: 0, image: h * w * channels, row: w * channels, pixel: channels }
    }

    /// Over the windows in `plane` of the outputs of `shape`, from output row `first` on.
    pub(super) fn windows(shape: &Conv2d, plane: &Plane, first: usize) -> Walk {
        let [top, left, ..] = plane.border;
        let row = shape.stride[0] * plane.row_len();
        Walk {
            start: (top - shape.pads[0]) * plane.row_len() + (left - shape.pads[1]) * plane.c + first * row,
            image: plane.len(),
            row,
            pixel: shape.stride[1] * plane.c,
        }
    }

    /// The same steps from `start` further on.
    pub(super) fn offset_by(self, start: usize) -> Walk {
        Walk { start: self.start + start, ..self }
    }

    pub(super) fn at(&self, [image, row, pixel]: [usize; 3]) -> usize {
        self.start + image * self.image + row * self.row + pixel * self.pixel
    }
}

/// `images` of `rows` of `width` pixels, and the walks over all buffers: windows of the input, residual, output.
#[derive(Clone, Copy, Debug)]
pub(super) struct Grid {
    pub(super) images: usize,
    pub(super) rows: usize,
    pub(super) width: usize,
    pub(super) source: Walk,
    pub(super) residual: Walk,
    pub(super) output: Walk,
}

impl Grid {
    fn walks(&mut self) -> [&mut Walk; 3] {
        [&mut self.source, &mut self.residual, &mut self.output]
    }

    fn continuous(&mut self, continues: impl Fn(&Walk, usize, usize) -> bool) -> bool {
        let (rows, width) = (self.rows, self.width);
        self.walks().iter().all(|walk| continues(walk, rows, width))
    }

    /// The same pixels in lines that are easy to cut into tiles: rows that continue each other in all buffers become
    /// one, then lines of a fair length and what is left of them.
    pub(super) fn lines(mut self) -> [Grid; 2] {
        if self.continuous(|walk, _, width| walk.row == width * walk.pixel) {
            (self.width, self.rows) = (self.rows * self.width, 1);
            if self.continuous(|walk, _, width| walk.image == width * walk.pixel) {
                (self.width, self.images) = (self.images * self.width, 1);
            }
        }
        let mut rest = self;
        if self.rows == 1 && self.width > LINE {
            self.rows = self.width / LINE;
            rest.width -= self.rows * LINE;
            let done = self.rows * LINE;
            rest.walks().into_iter().for_each(|walk| walk.start += done * walk.pixel);
            self.width = LINE;
            self.walks().into_iter().for_each(|walk| walk.row = LINE * walk.pixel);
        } else {
            rest.width = 0;
        }
        [self, rest]
    }

    /// Calls `f` with parts of it whose input takes about `bytes`: some rows of an image, or some whole images.
    pub(super) fn for_each_block(&self, bytes: usize, mut f: impl FnMut(&Grid)) {
        let image = self.rows * self.source.row;
        let (images, rows) = if image <= bytes {
            ((bytes / image.max(1)).clamp(1, self.images.max(1)), self.rows)
        } else {
            // Equal parts.
            let parts = self.rows.div_ceil((bytes / self.source.row).max(1));
            (1, self.rows.div_ceil(parts))
        };
        for image in (0..self.images).step_by(images.max(1)) {
            for row in (0..self.rows).step_by(rows.max(1)) {
                let mut block = *self;
                block.images = images.min(self.images - image);
                block.rows = rows.min(self.rows - row);
                block.walks().into_iter().for_each(|walk| walk.start = walk.at([image, row, 0]));
                f(&block);
            }
        }
    }

    /// Whether there is nothing in it.
    pub(super) fn is_empty(&self) -> bool {
        self.images * self.rows * self.width == 0
    }

    /// Its last pixel.
    pub(super) fn last(&self) -> [usize; 3] {
        [self.images - 1, self.rows - 1, self.width - 1]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grid(images: usize, input: Plane, output: Plane) -> Grid {
        let shape = Conv2d::square([output.h, output.w, 4], 4, 1, 1, 0);
        Grid {
            images,
            rows: output.h,
            width: output.w,
            source: Walk::windows(&shape, &input, 0),
            residual: Walk::interior(&output, 0),
            output: Walk::interior(&output, 0),
        }
    }

    /// Every pixel's places, sorted.
    fn pixels(grids: &[Grid]) -> Vec<[usize; 2]> {
        let mut places = Vec::new();
        for grid in grids {
            for image in 0..grid.images {
                for row in 0..grid.rows {
                    places
                        .extend((0..grid.width).map(|pixel| {
                            [grid.source, grid.output].map(|walk| walk.at([image, row, pixel]))
                        }));
                }
            }
        }
        places.sort_unstable();
        places
    }

    #[test]
    fn lines_and_blocks_are_the_same_pixels() {
        let plane = Plane::new(13, 11, 4);
        let bordered = plane.with_border([1, 0, 2, 1]);
        for (input, output) in [(plane, plane), (plane, bordered), (bordered, plane), (bordered, bordered)] {
            for images in [0, 1, 3] {
                let whole = grid(images, input, output);
                let lines = whole.lines();
                assert_eq!(pixels(&lines), pixels(&[whole]));
                for bytes in [1, 100, 1000, 100_000] {
                    let mut blocks = Vec::new();
                    lines.iter().for_each(|grid| grid.for_each_block(bytes, |block| blocks.push(*block)));
                    assert_eq!(pixels(&blocks), pixels(&[whole]), "{bytes} bytes");
                }
            }
        }
    }

    #[test]
    fn images_without_borders_are_one_line() {
        let plane = Plane::new(4, 5, 4);
        let [lines, rest] = grid(11, plane, plane).lines();
        assert_eq!([lines.images, lines.rows, lines.width], [1, 1, LINE]);
        assert_eq!([rest.images, rest.rows, rest.width], [1, 1, 11 * 20 - LINE]);
    }
}
