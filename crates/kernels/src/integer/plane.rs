//! Where the codes of an image lie in memory.

use crate::ShapeError;
use crate::error::{Expected, nonzero, volume};

/// An image of u8 codes, NHWC, with a border all around.
///
/// The border holds the zero point of the edge, so that a padded convolution reads it like any other pixel. Who
/// allocates a plane fills its border once ([`Plane::fill_border`]); kernels write the interior only. A pixel stores
/// `c` codes, a multiple of 4 that may exceed the channels of the edge: the others face weights of zero, kernels
/// write something deterministic there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Plane {
    /// Height of the interior in pixels.
    pub h: usize,
    /// Width of the interior in pixels.
    pub w: usize,
    /// Codes stored per pixel, a multiple of 4.
    pub c: usize,
    /// Pixels of border `[top, left, bottom, right]`.
    pub border: [usize; 4],
}

impl Plane {
    /// Without a border, with just the codes stored that `channels` need.
    pub fn new(h: usize, w: usize, channels: usize) -> Plane {
        Plane { h, w, c: channels.next_multiple_of(4), border: [0; 4] }
    }

    /// The same image inside `border: [top, left, bottom, right]`.
    pub fn with_border(self, border: [usize; 4]) -> Plane {
        Plane { border, ..self }
    }

    /// Bytes of a row of memory, borders included: from a pixel to the one below it.
    pub fn row_len(&self) -> usize {
        (self.border[1] + self.w + self.border[3]) * self.c
    }

    /// Rows of memory, borders included.
    pub fn rows(&self) -> usize {
        self.border[0] + self.h + self.border[2]
    }

    /// Bytes of one image, borders included.
    #[expect(clippy::len_without_is_empty, reason = "no valid plane is empty")]
    pub fn len(&self) -> usize {
        self.rows() * self.row_len()
    }

    /// Where the pixel of the interior at row `y`, column `x` starts.
    pub fn offset(&self, y: usize, x: usize) -> usize {
        (self.border[0] + y) * self.row_len() + (self.border[1] + x) * self.c
    }

    /// Writes `zero` to the borders of `images`, any number of images one after the other.
    ///
    /// # Panics
    /// `images` is not a whole number of images.
    pub fn fill_border(&self, images: &mut [u8], zero: u8) {
        assert!(images.len().is_multiple_of(self.len()), "{} bytes of images {self:?}", images.len());
        let [top, left, bottom, right] = self.border;
        for image in images.chunks_exact_mut(self.len()) {
            for (y, row) in image.chunks_exact_mut(self.row_len()).enumerate() {
                if y < top || y >= self.rows() - bottom {
                    row.fill(zero);
                } else {
                    row[..left * self.c].fill(zero);
                    row[(left + self.w) * self.c..][..right * self.c].fill(zero);
                }
            }
        }
    }

    /// The interiors of all rows of `images`, one after the other.
    pub fn interiors(self, images: &[u8]) -> impl Iterator<Item = &[u8]> {
        images
            .chunks_exact(self.len())
            .flat_map(move |image| (0..self.h).map(move |y| &image[self.offset(y, 0)..][..self.w * self.c]))
    }

    /// The same, to be written.
    pub fn interiors_mut(self, images: &mut [u8]) -> impl Iterator<Item = &mut [u8]> {
        images.chunks_exact_mut(self.len()).flat_map(move |image| {
            let rows = image.chunks_exact_mut(self.row_len()).skip(self.border[0]).take(self.h);
            rows.map(move |row| &mut row[self.border[1] * self.c..][..self.w * self.c])
        })
    }

    /// Whether it is one stretch of `h · w` pixels, as are any number of its images.
    pub fn is_flat(&self) -> bool {
        self.border == [0; 4]
    }

    /// Whether a layer can use it: no size is zero, `c` is a multiple of 4 that holds `channels`, the interior is
    /// `h × w`, and the border holds `pads`.
    ///
    /// # Errors
    /// One of these is not so; `plane` names it in the error.
    pub(crate) fn check(
        &self,
        plane: &'static str,
        [h, w, channels]: [usize; 3],
        pads: [usize; 4],
    ) -> Result<(), ShapeError> {
        nonzero(&[("plane height", self.h), ("plane width", self.w), ("stored channels", self.c)])?;
        let [top, left, bottom, right] = self.border;
        for (size, found, expected) in [
            ("height", self.h, Expected::Exactly(h)),
            ("width", self.w, Expected::Exactly(w)),
            ("stored channels", self.c, Expected::AtLeast(channels)),
            ("stored channels", self.c, Expected::MultipleOf(4)),
            ("top border", top, Expected::AtLeast(pads[0])),
            ("left border", left, Expected::AtLeast(pads[1])),
            ("bottom border", bottom, Expected::AtLeast(pads[2])),
            ("right border", right, Expected::AtLeast(pads[3])),
        ] {
            if !expected.accepts(found) {
                return Err(ShapeError::Plane { plane, size, found, expected });
            }
        }
        let along = |a: usize, b: usize, c: usize| a.checked_add(b).and_then(|ab| ab.checked_add(c));
        match (along(top, self.h, bottom), along(left, self.w, right)) {
            (Some(rows), Some(columns)) => volume("plane", &[rows, columns, self.c]).map(|_| ()),
            _ => Err(ShapeError::TooLarge { what: "plane" }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_border_is_filled() {
        let plane = Plane::new(2, 3, 3).with_border([1, 2, 0, 1]);
        let mut images = vec![1; 2 * plane.len()];
        plane.fill_border(&mut images, 7);
        let interior: Vec<usize> = (0..2)
            .flat_map(|image| (0..2).flat_map(move |y| (0..3).map(move |x| (image, y, x))))
            .flat_map(|(image, y, x)| (0..4).map(move |c| image * plane.len() + plane.offset(y, x) + c))
            .collect();
        for (i, &code) in images.iter().enumerate() {
            assert_eq!(code, if interior.contains(&i) { 1 } else { 7 }, "byte {i}");
        }
    }

    #[test]
    fn a_plane_that_does_not_fit_is_refused_by_its_size() {
        let plane = Plane::new(4, 5, 6).with_border([1; 4]);
        assert_eq!(plane.check("input", [4, 5, 6], [1, 0, 1, 1]), Ok(()));
        let refused =
            |h, channels, pads| plane.check("input", [h, 5, channels], pads).unwrap_err().to_string();
        assert_eq!(refused(3, 6, [0; 4]), "input plane: height is 4, expected 3");
        assert_eq!(refused(4, 9, [0; 4]), "input plane: stored channels is 8, expected at least 9");
        assert_eq!(refused(4, 6, [0, 0, 0, 2]), "input plane: right border is 1, expected at least 2");
        let odd = Plane { c: 7, ..plane };
        assert!(odd.check("input", [4, 5, 6], [0; 4]).is_err());
        let huge = plane.with_border([usize::MAX, 0, 0, 0]);
        assert!(huge.check("input", [4, 5, 6], [0; 4]).is_err());
    }
}
