//! Several low-bit points per channel: `x ≈ Σᵢ scaleᵢ · codeᵢ`, more terms where one is not enough (Liu et al. 2021).
//!
//! The first point is an ordinary [`Uniform`] code, so a channel that has no other keeps the ordinary path. What is
//! left over after it is data: each further point brings its own codes. Where a kernel must hold one integer weight,
//! the sum is rounded once more, to a `grid` of 8 bits.

use super::Uniform;
use serde::{Deserialize, Serialize};

/// Bits of a scale.
const SCALE_BITS: usize = 32;

/// One more term of a channel: `scale · codes`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Point {
    /// Real units per step, positive and finite: the paper's `a / L` with `L` the highest code.
    pub scale: f32,
    /// One code for each element of the channel, in its order; two's complement of the channel's bits.
    pub codes: Vec<i8>,
}

/// A sum of low-bit vectors for each channel of `axis`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Points {
    /// Channel axis of the tensor.
    pub axis: usize,
    /// The first point of every channel, symmetric, with one scale per channel or for all.
    pub first: Uniform,
    /// Points after the first, `[channel][order in which they are added]`.
    pub extra: Vec<Vec<Point>>,
    /// Symmetric code per channel onto which sums are rounded; `None` where they stay real. A channel of one point has
    /// the same levels here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grid: Option<Uniform>,
}

impl Points {
    /// Number of points beyond the first, over all channels.
    pub fn extras(&self) -> usize {
        self.extra.iter().map(Vec::len).sum()
    }

    /// Bits of one code of channel `c`, in each of its points.
    pub fn bits_of(&self, c: usize) -> u8 {
        self.first.bits[if self.first.bits.len() == 1 { 0 } else { c }]
    }

    /// Bits of codes of an element of each channel, in all its points.
    pub fn channel_bits(&self) -> Vec<usize> {
        let bits = |(c, extra): (usize, &Vec<Point>)| usize::from(self.bits_of(c)) * (1 + extra.len());
        self.extra.iter().enumerate().map(bits).collect()
    }

    /// Average bits of codes per element (channels are equally long), without scales.
    pub fn mean_bits(&self) -> f64 {
        self.channel_bits().iter().sum::<usize>() as f64 / self.extra.len().max(1) as f64
    }

    /// Bits that one more point of channel `c` takes, `len` the elements of a channel: codes, scale, and the index of
    /// the channel it belongs to.
    pub fn point_bits(&self, c: usize, len: usize) -> usize {
        point_bits(self.bits_of(c), len, self.extra.len())
    }

    /// Bits of a tensor of `shape`: codes and scales of all points, and for each point after the first the index of its
    /// channel.
    pub fn stored_bits(&self, shape: &[usize]) -> usize {
        let channels = self.extra.len();
        let len = shape.iter().product::<usize>() / channels.max(1);
        let codes: usize = (0..channels).map(|c| len * usize::from(self.bits_of(c))).sum();
        let extra = self.extra.iter().enumerate().map(|(c, extra)| extra.len() * self.point_bits(c, len));
        codes + SCALE_BITS * self.first.scale.len() + extra.sum::<usize>()
    }

    /// The sums before the grid, in place: the nearest level of the first point, and the others in their order, in `f32`.
    pub fn sum(&self, values: &mut [f32], shape: &[usize]) {
        self.first.fake_quantize(values, shape);
        let run: usize = shape[self.axis + 1..].iter().product::<usize>().max(1);
        for (i, chunk) in values.chunks_mut(run).enumerate() {
            let (block, c) = (i / shape[self.axis], i % shape[self.axis]);
            for point in &self.extra[c] {
                let codes = &point.codes[block * run..][..chunk.len()];
                chunk.iter_mut().zip(codes).for_each(|(x, &q)| *x += f32::from(q) * point.scale);
            }
        }
    }

    /// Replaces each value by what the points decode to.
    pub fn fake_quantize(&self, values: &mut [f32], shape: &[usize]) {
        self.sum(values, shape);
        if let Some(grid) = &self.grid {
            grid.fake_quantize(values, shape);
        }
    }

    /// The same points rounded to integers: the largest magnitude of a channel with several points is code 127, a channel
    /// with one keeps its codes. `values` is the tensor that the points are of.
    pub fn on_grid(mut self, values: &[f32], shape: &[usize]) -> Points {
        let mut sums = values.to_vec();
        self.sum(&mut sums, shape);
        let channels = self.extra.len();
        let mut largest = vec![0f32; channels];
        let run: usize = shape[self.axis + 1..].iter().product::<usize>().max(1);
        for (i, chunk) in sums.chunks(run).enumerate() {
            let largest = &mut largest[i % channels];
            *largest = chunk.iter().fold(*largest, |m, x| m.max(x.abs()));
        }
        let single = |c: usize| self.extra[c].is_empty() || largest[c] == 0.0;
        let first = |c: usize| self.first.scale[if self.first.scale.len() == 1 { 0 } else { c }];
        let grid = Uniform {
            axis: Some(self.axis),
            bits: (0..channels).map(|c| if single(c) { self.bits_of(c) } else { 8 }).collect(),
            signed: true,
            scale: (0..channels).map(|c| if single(c) { first(c) } else { largest[c] / 127.0 }).collect(),
            zero_point: vec![0; channels],
            shift: None,
        };
        self.grid = Some(grid);
        self
    }
}

/// Bits of one more point of a channel of `len` elements among `channels`: codes, scale, index of the channel.
pub fn point_bits(bits: u8, len: usize, channels: usize) -> usize {
    let index = channels.max(1).next_power_of_two().trailing_zeros() as usize;
    len * usize::from(bits) + SCALE_BITS + index
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `channels` of `len` elements with the first point of `bits`, channel `c` with `extra[c]` points more.
    fn points(bits: u8, channels: usize, len: usize, extra: &[usize]) -> Points {
        let more = |c: usize| extra.get(c).copied().unwrap_or(0);
        let point = || Point { scale: 0.25, codes: vec![1; len] };
        Points {
            axis: 0,
            first: Uniform {
                axis: Some(0),
                bits: vec![bits; channels],
                scale: vec![1.0; channels],
                zero_point: vec![0; channels],
                ..Uniform::per_tensor(bits, true, 1.0, 0)
            },
            extra: (0..channels).map(|c| (0..more(c)).map(|_| point()).collect()).collect(),
            grid: None,
        }
    }

    #[test]
    fn sizes_are_those_of_the_cost_table() {
        let shape = [64, 576];
        let size = |code: &Points| {
            let index = 6 * code.extras();
            (code.stored_bits(&shape) - index) as f64
        };
        let one = size(&points(4, 64, 576, &[]));
        for (extra, ratio, of_float) in
            [(0, 1.0, 0.126736), (1, 1.015625, 0.128716), (3, 1.046875, 0.132677), (6, 1.09375, 0.138618)]
        {
            let size = size(&points(4, 64, 576, &vec![1; extra]));
            assert_eq!(size / one, ratio);
            assert!((size / (64.0 * 576.0 * 32.0) - of_float).abs() < 5e-7, "{extra}");
        }
        assert_eq!(points(4, 64, 576, &[1, 2]).mean_bits(), 4.0 * 67.0 / 64.0);
    }

    #[test]
    fn terms_are_added_to_their_channel_along_any_axis() {
        let mut code = points(3, 2, 2, &[0, 2]);
        code.extra[1][1] = Point { scale: 0.125, codes: vec![-1, 3] };
        let mut rows = [1.2, -9.0, 2.0, 0.1];
        code.fake_quantize(&mut rows, &[2, 2]);
        assert_eq!(rows, [1.0, -4.0, 2.0 + 0.25 - 0.125, 0.25 + 0.375]);
        let code = Points { axis: 1, first: Uniform { axis: Some(1), ..code.first.clone() }, ..code };
        let mut columns = [1.2, 2.0, -9.0, 0.1];
        code.fake_quantize(&mut columns, &[2, 2]);
        assert_eq!(columns, [1.0, 2.125, -4.0, 0.625]);
    }

    #[test]
    fn a_grid_holds_sums_to_half_a_step_and_single_points_exactly() {
        let values = [0.9, -3.1, 1.9, 0.3];
        let code = points(3, 2, 2, &[0, 1]);
        let (mut exact, mut rounded) = (values, values);
        code.fake_quantize(&mut exact, &[2, 2]);
        let code = code.on_grid(&values, &[2, 2]);
        code.fake_quantize(&mut rounded, &[2, 2]);
        let grid = code.grid.as_ref().unwrap();
        assert_eq!((grid.bits.as_slice(), &exact[..2]), (&[3, 8][..], &rounded[..2]));
        assert_eq!(grid.codes(&rounded, &[2, 2])[2], 127);
        assert!(exact.iter().zip(&rounded).all(|(a, b)| (a - b).abs() <= grid.scale[1] / 2.0));
    }
}
