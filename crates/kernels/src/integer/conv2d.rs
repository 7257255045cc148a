//! Integer convolution: any kernel, stride, dilation and groups, padding read from the border of its input.

mod dense;
mod depthwise;
mod finish;
mod gemv;
mod grid;
mod pairs;
mod panel;
#[cfg(test)]
mod tests;
mod tile;
mod tiled;

use std::ops::Range;

use super::tiles::Units;
use super::{Plane, Requantize, Weights};
use crate::{Conv2d, Isa, ShapeError};
use dense::Dense;
use depthwise::Depthwise;

/// A convolution of codes with its weights packed for one instruction set. Immutable; share it between threads.
#[derive(Clone, Debug)]
pub struct IntConv2d {
    shape: Conv2d,
    input: Plane,
    output: Plane,
    body: Body,
}

#[derive(Clone, Debug)]
enum Body {
    Dense(Dense),
    Depthwise(Depthwise),
}

impl IntConv2d {
    /// Packs `weights` for a convolution from images in `input` to images in `output`.
    ///
    /// The input's border holds at least `shape.pads` pixels, all of them `weights.zero_x`.
    ///
    /// # Errors
    /// `shape` is not valid (see [`Conv2d::check`]), a plane does not fit it, or the weights or the bias have the wrong
    /// length or range.
    pub fn new(
        isa: Isa,
        shape: &Conv2d,
        input: Plane,
        output: Plane,
        weights: &Weights<'_>,
    ) -> Result<IntConv2d, ShapeError> {
        IntConv2d::with_tiles(isa, isa.tiles(), shape, input, output, weights)
    }

    /// With the tile registers of `units`, if any: tests lend their twin.
    fn with_tiles(
        isa: Isa,
        units: Option<Units>,
        shape: &Conv2d,
        input: Plane,
        output: Plane,
        weights: &Weights<'_>,
    ) -> Result<IntConv2d, ShapeError> {
        shape.check()?;
        input.check("input", [shape.in_h, shape.in_w, shape.in_c], shape.pads)?;
        output.check("output", [shape.out_h(), shape.out_w(), shape.out_c], [0; 4])?;
        weights.check(shape.out_c, shape.weight_len())?;
        let body = if shape.is_depthwise() {
            Body::Depthwise(Depthwise::new(isa, shape, input, output, weights))
        } else {
            Body::Dense(Dense::new(isa, units, shape, input, output, weights))
        };
        Ok(IntConv2d { shape: *shape, input, output, body })
    }

    /// The shape it was packed for.
    pub fn shape(&self) -> &Conv2d {
        &self.shape
    }

    /// How its input lies in memory.
    pub fn input(&self) -> &Plane {
        &self.input
    }

    /// How its output lies in memory.
    pub fn output(&self) -> &Plane {
        &self.output
    }

    /// Bytes of packed weights and sums' offsets.
    pub fn weight_bytes(&self) -> usize {
        match &self.body {
            Body::Dense(dense) => dense.weight_bytes(),
            Body::Depthwise(depthwise) => depthwise.weight_bytes(),
        }
    }

    /// Bytes of scratch that running needs, for any number of images.
    pub fn scratch_len(&self) -> usize {
        match &self.body {
            Body::Dense(dense) => dense.scratch_len(),
            Body::Depthwise(_) => 0,
        }
    }

    /// Convolves `input`, n images, into the interiors of `output`, n images. `residual` are n images of the plane
    /// that `requantize` names. An image's result does not depend on the others.
    ///
    /// # Panics
    /// A slice has the wrong length, `scratch` fewer than [`IntConv2d::scratch_len`] bytes, `requantize` does not fit
    /// ([`Requantize::check`]), or it adds a residual and there is none.
    pub fn run(
        &self,
        input: &[u8],
        requantize: &Requantize,
        residual: Option<&[u8]>,
        scratch: &mut [u8],
        output: &mut [u8],
    ) {
        let images = self.images(input);
        assert_eq!(output.len(), images * self.output.len(), "output of {:?}", self.shape);
        self.check(requantize, residual, images);
        match &self.body {
            Body::Dense(dense) => dense.run(input, requantize, residual, scratch, output),
            Body::Depthwise(depthwise) => depthwise.run(input, requantize, residual, output),
        }
    }

    /// Output rows `rows` of one image: `output` is the memory from row `rows.start` of the interior on, borders
    /// included, so that threads can share an image. `image` and `residual` are whole images.
    ///
    /// # Panics
    /// As [`IntConv2d::run`], or `rows` are not rows of the output.
    pub fn run_band(
        &self,
        image: &[u8],
        rows: Range<usize>,
        requantize: &Requantize,
        residual: Option<&[u8]>,
        scratch: &mut [u8],
        output: &mut [u8],
    ) {
        assert_eq!(self.images(image), 1, "one image of {:?}", self.shape);
        assert!(rows.end <= self.output.h, "rows {rows:?} of {:?}", self.shape);
        assert!(output.len() >= rows.len() * self.output.row_len(), "output rows of {:?}", self.shape);
        self.check(requantize, residual, 1);
        match &self.body {
            Body::Dense(dense) => dense.run_band(image, rows, requantize, residual, scratch, output),
            Body::Depthwise(depthwise) => depthwise.run_band(image, rows, requantize, residual, output),
        }
    }

    /// `output: [n, out_h, out_w, out_c]` in f32, each sum times `scale: [out_c]`: for a layer whose output leaves the
    /// integers. The output plane plays no part.
    ///
    /// # Panics
    /// A slice has the wrong length, or `scratch` fewer than [`IntConv2d::scratch_len`] bytes.
    pub fn run_f32(&self, input: &[u8], scale: &[f32], scratch: &mut [u8], output: &mut [f32]) {
        let images = self.images(input);
        assert_eq!(scale.len(), self.shape.out_c, "scales of {:?}", self.shape);
        assert_eq!(output.len(), images * self.shape.out_len(), "output of {:?}", self.shape);
        match &self.body {
            Body::Dense(dense) => dense.run_f32(input, scale, scratch, output),
            Body::Depthwise(depthwise) => depthwise.run_f32(input, scale, output),
        }
    }

    fn images(&self, input: &[u8]) -> usize {
        let images = input.len() / self.input.len();
        assert_eq!(input.len(), images * self.input.len(), "input of {:?}", self.shape);
        images
    }

    fn check(&self, requantize: &Requantize, residual: Option<&[u8]>, images: usize) {
        if let Err(error) = requantize.check(&self.output, self.shape.out_c) {
            panic!("requantization of {:?}: {error}", self.shape);
        }
        let wanted = requantize.residual.map(|residual| images * residual.plane.len());
        assert_eq!(residual.map(<[u8]>::len), wanted, "residual of {:?}", self.shape);
    }
}
