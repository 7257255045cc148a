//! `ConvTranspose`.

use super::support::gradient::{self, InputGradients};
use super::support::{around, float, from_f64, infer, required};
use crate::EvalError;
use crate::form::{Form, Layout, Site};
use lowbit_graph::ops::{ConvTranspose, Resolved};
use lowbit_kernels::{Isa, PackedLinear, elementwise, fake_quant};
use lowbit_tensor::Tensor;

pub(super) fn reference(op: &ConvTranspose, inputs: &[Option<&Tensor>]) -> Result<Vec<Tensor>, EvalError> {
    let ty = infer(op, inputs)?.remove(0);
    let (x, w) = (required(inputs, 0, "X")?, required(inputs, 1, "W")?);
    float("ConvTranspose", x)?;
    let mut y = match inputs.get(2).copied().flatten() {
        Some(bias) => {
            let (bias, [_, channels, cells]) = (bias.to_f64(), around(&ty.shape, 1));
            (0..ty.len()).map(|i| bias[i / cells % channels]).collect()
        }
        None => vec![0.0; ty.len()],
    };
    let (xs, ws) = (x.to_f64(), w.to_f64());
    let window = op.resolve(x.shape(), w.shape())?;
    products((&window, op.group), x.shape(), w.shape(), |o, i, j| y[o] += ws[j] * xs[i]);
    Ok(vec![from_f64(&ty, y)?])
}

pub(super) fn gradient(
    op: &ConvTranspose,
    inputs: &[Option<&Tensor>],
    dy: &Tensor,
) -> Result<InputGradients, EvalError> {
    let (x, w) = (required(inputs, 0, "X")?, required(inputs, 1, "W")?);
    let window = op.resolve(x.shape(), w.shape())?;
    let mut grads = gradient::products(inputs, &dy.to_f64(), |add| {
        products((&window, op.group), x.shape(), w.shape(), add);
    })?;
    grads.push(gradient::bias(inputs, dy)?);
    Ok(grads)
}

/// Calls `add` with the flat indices (output, input, weight) of each product that an output sums, output by output.
fn products(
    (window, group): (&Resolved, usize),
    x: &[usize],
    w: &[usize],
    mut add: impl FnMut(usize, usize, usize),
) {
    let (extents, taps) = (&x[2..], w[2..].iter().product::<usize>());
    let (cells, outputs): (usize, usize) = (extents.iter().product(), window.output.iter().product());
    let ([inputs, per_group], channels) = ([x[1] / group, w[1]], w[1] * group);
    for (plane, position) in (0..x[0] * channels).flat_map(|plane| (0..outputs).map(move |at| (plane, at))) {
        let (image, out) = (plane / channels, plane % channels);
        let first = out / per_group * inputs;
        for tap in 0..taps {
            let Some(cell) = source(position, tap, window, extents) else { continue };
            for c in first..first + inputs {
                let weight = (c * per_group + out % per_group) * taps + tap;
                add(plane * outputs + position, (image * x[1] + c) * cells + cell, weight);
            }
        }
    }
}

/// Flat input cell that reaches flat output `position` through tap `tap`, if there is one.
fn source(mut position: usize, mut tap: usize, window: &Resolved, extents: &[usize]) -> Option<usize> {
    let (mut cell, mut stride) = (0, 1);
    for axis in (0..extents.len()).rev() {
        let at = position % window.output[axis] + window.begins[axis];
        let at = at.checked_sub(tap % window.kernel[axis] * window.dilations[axis])?;
        if at % window.strides[axis] != 0 || at / window.strides[axis] >= extents[axis] {
            return None;
        }
        cell += at / window.strides[axis] * stride;
        stride *= extents[axis];
        position /= window.output[axis];
        tap /= window.kernel[axis];
    }
    Some(cell)
}

/// One and two spatial axes on channels-last data: each row of input pixels is multiplied by the whole filter, and the
/// products are added where their taps land.
pub(super) fn forward(op: &ConvTranspose, site: &Site<'_>) -> Option<Form> {
    let (x, w) = (site.data(0)?, site.input(1)?);
    let (weights, shape, input) = (w.weights()?, &w.ty.shape, &x.ty.shape);
    let window = op.resolve(input, shape).ok()?;
    let out_c = site.output.shape[1];
    let own = match site.input(2) {
        None => None,
        Some(bias) => Some(bias.weights()?),
    };
    let bias = site.with_bias(own, out_c)?;
    let groups = packed(site.isa, &weights, shape, op.group)?;
    let spatial = site.output.shape.len() - 2;
    let pair = |list: &[usize], first: usize| match *list {
        [b] if spatial == 1 => Some([first, b]),
        [a, b] if spatial == 2 => Some([a, b]),
        _ => None,
    };
    let scatter = Scatter {
        groups,
        in_c: input[1],
        out_c,
        input: pair(&input[2..], 1)?,
        output: pair(&window.output, 1)?,
        kernel: pair(&window.kernel, 1)?,
        strides: pair(&window.strides, 1)?,
        dilations: pair(&window.dilations, 1)?,
        begins: pair(&window.begins, 0)?,
        bias,
    };
    let (isa, tail) = (site.isa, site.tail);
    Some(Form {
        reads: vec![(0, Layout::ChannelsLast)],
        output: Layout::ChannelsLast,
        scratch: scatter.scratch()?,
        run: Box::new(move |inputs, scratch, y| {
            scatter.run(inputs[0], scratch, y);
            let rest = tail.epilogue(inputs);
            if let Some(residual) = rest.residual {
                elementwise::binary_in_place(isa, lowbit_kernels::Binary::Add, y, residual);
            }
            if let Some(activation) = rest.activation {
                elementwise::unary_in_place(isa, activation, y);
            }
            if let Some(quant) = rest.fake_quant {
                fake_quant::fake_quant_in_place(isa, &quant, y);
            }
        }),
    })
}

/// Of each group, the matrix from its input channels to `[taps, output channels]`; `weights: [c, m/group, taps…]`.
fn packed(isa: Isa, weights: &[f32], shape: &[usize], groups: usize) -> Option<Vec<PackedLinear>> {
    let (channels, out, taps) = (shape[0] / groups, shape[1], shape[2..].iter().product::<usize>());
    let group = |weights: &[f32]| {
        let rows = (0..taps).flat_map(|tap| (0..out).map(move |m| (tap, m)));
        let row = |(tap, m)| (0..channels).map(move |c| weights[(c * out + m) * taps + tap]);
        let matrix: Vec<f32> = rows.flat_map(row).collect();
        PackedLinear::new(isa, channels, taps * out, &matrix, None).ok()
    };
    weights.chunks(channels * out * taps).map(group).collect()
}

/// A transposed convolution of one picture; pairs are `[down, right]`.
struct Scatter {
    groups: Vec<PackedLinear>,
    in_c: usize,
    out_c: usize,
    input: [usize; 2],
    output: [usize; 2],
    kernel: [usize; 2],
    strides: [usize; 2],
    dilations: [usize; 2],
    begins: [usize; 2],
    bias: Option<Vec<f32>>,
}

impl Scatter {
    /// Input channels of a group, and products of a pixel in a group: `[taps, output channels]`.
    fn group(&self) -> [usize; 2] {
        let products = self.kernel[0] * self.kernel[1] * (self.out_c / self.groups.len());
        [self.in_c / self.groups.len(), products]
    }

    /// One row of pixels of a group, and their products.
    fn scratch(&self) -> Option<usize> {
        let [channels, products] = self.group();
        channels.checked_add(products)?.checked_mul(self.input[1])
    }

    fn run(&self, x: &[f32], scratch: &mut [f32], y: &mut [f32]) {
        match &self.bias {
            Some(bias) => y.chunks_mut(self.out_c).for_each(|pixel| pixel.copy_from_slice(bias)),
            None => y.fill(0.0),
        }
        let [height, width] = self.input;
        let [channels, products] = self.group();
        let (pixels, results) = scratch.split_at_mut(width * channels);
        let results = &mut results[..width * products];
        let images = x.chunks(height * width * self.in_c);
        for (x, y) in images.zip(y.chunks_mut(self.output[0] * self.output[1] * self.out_c)) {
            for (iy, x) in x.chunks(width * self.in_c).enumerate() {
                for (g, group) in self.groups.iter().enumerate() {
                    for (to, from) in pixels.chunks_mut(channels).zip(x.chunks(self.in_c)) {
                        to.copy_from_slice(&from[g * channels..][..channels]);
                    }
                    group.run(pixels, &Default::default(), results);
                    self.add(iy, g, results, y);
                }
            }
        }
    }

    /// Adds the products of input row `iy` in group `g` to the picture.
    fn add(&self, iy: usize, g: usize, results: &[f32], y: &mut [f32]) {
        let per_group = self.out_c / self.groups.len();
        let land = |i: usize, tap: usize, axis: usize| {
            let at =
                i.checked_mul(self.strides[axis])?.checked_add(tap.checked_mul(self.dilations[axis])?)?;
            let at = at.checked_sub(self.begins[axis])?;
            (at < self.output[axis]).then_some(at)
        };
        for ky in 0..self.kernel[0] {
            let Some(oy) = land(iy, ky, 0) else { continue };
            for (ix, pixel) in results.chunks(self.group()[1]).enumerate() {
                for kx in 0..self.kernel[1] {
                    let Some(ox) = land(ix, kx, 1) else { continue };
                    let from = &pixel[(ky * self.kernel[1] + kx) * per_group..][..per_group];
                    let to = &mut y[(oy * self.output[1] + ox) * self.out_c + g * per_group..][..per_group];
                    to.iter_mut().zip(from).for_each(|(to, from)| *to += from);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lowbit_graph::ops::{Padding, Window};

    fn op(stride: usize, padding: Padding, group: usize) -> ConvTranspose {
        let window = Window { strides: vec![stride], dilations: vec![], padding };
        ConvTranspose { window, group, output_padding: vec![], output_shape: vec![] }
    }

    #[test]
    fn filters_overlap_and_padding_crops() {
        let x = Tensor::from_f32([1, 1, 3], vec![1., 2., 3.]);
        let w = Tensor::from_f32([1, 1, 3], vec![1., 10., 100.]);
        let y = reference(&op(2, Padding::default(), 1), &[Some(&x), Some(&w)]).unwrap();
        assert_eq!(y, [Tensor::from_f32([1, 1, 7], vec![1., 10., 102., 20., 203., 30., 300.])]);
        let cropped = op(2, Padding::Explicit(vec![1, 2]), 1);
        let y = reference(&cropped, &[Some(&x), Some(&w)]).unwrap();
        assert_eq!(y, [Tensor::from_f32([1, 1, 4], vec![10., 102., 20., 203.])]);
    }

    #[test]
    fn groups_read_their_own_channels() {
        let x = Tensor::from_f32([1, 2, 1], vec![1., 10.]);
        let w = Tensor::from_f32([2, 2, 1], vec![1., 2., 3., 4.]);
        let b = Tensor::from_f32([4], vec![0., 0., 0., 5.]);
        let y = reference(&op(1, Padding::default(), 2), &[Some(&x), Some(&w), Some(&b)]).unwrap();
        assert_eq!(y, [Tensor::from_f32([1, 4, 1], vec![1., 2., 30., 45.])]);
    }
}
