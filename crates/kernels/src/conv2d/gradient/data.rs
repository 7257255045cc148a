//! Gradient of the input as convolutions of the gradient of the output.
//!
//! Input row `y` meets output row `o` under kernel row `k` where `o·stride + k·dilation - pad = y`. Without a stride
//! that is the window of a convolution over `dy` with the kernel flipped. With one, rows `y` of one remainder
//! modulo the stride (a *phase*) meet every `stride`-th kernel row only, and are again a plain convolution.

use super::super::Conv2d;
use super::super::dense::Dense;
use super::super::panel::Layout;
use crate::{Epilogue, Isa};

/// Values of one phase computed before they are spread over the input: a quarter of a common 1 MiB second-level cache.
const SPREAD: usize = 64 * 1024;

/// One convolution for each pair of remainders.
#[derive(Clone, Debug)]
pub(super) struct Phases {
    phases: Vec<Phase>,
    /// Images computed together before they are spread, and the values of a phase of so many.
    images: usize,
    positions: usize,
}

#[derive(Clone, Debug)]
struct Phase {
    rows: Remainder,
    columns: Remainder,
    /// From `dy` to the phase's positions; none where no tap of the kernel meets them.
    conv: Option<Dense>,
}

/// Positions `first, first + stride, ..` of the input along one axis, and what meets them.
#[derive(Clone, Copy, Debug)]
struct Remainder {
    first: usize,
    /// How many positions.
    count: usize,
    /// First tap of the forward kernel; the others follow `stride` apart.
    tap: usize,
    taps: usize,
    /// Zeros before and after `dy`.
    pads: [usize; 2],
}

/// The remainders along `axis` (0 down, 1 right); none if they are no convolutions with padding.
fn remainders(shape: &Conv2d, axis: usize) -> Option<Vec<Remainder>> {
    let size = [shape.in_h, shape.in_w][axis];
    let out = [shape.out_h(), shape.out_w()][axis];
    let (kernel, stride) = (shape.kernel[axis], shape.stride[axis]);
    let (dilation, pad) = (shape.dilation[axis], shape.pads[axis]);
    if stride > 1 && dilation > 1 {
        return None;
    }
    (0..stride.min(size))
        .map(|first| {
            let tap = (first + pad) % stride;
            let (taps, count) =
                (kernel.saturating_sub(tap).div_ceil(stride), (size - first).div_ceil(stride));
            let mut pads = [0; 2];
            if taps > 0 {
                let reach = (taps - 1) * dilation;
                // The first position meets its first tap at this output, and its last tap `reach` before.
                pads[0] = reach.checked_sub((first + pad) / stride)?;
                pads[1] = (count + reach).checked_sub(out + pads[0])?;
            }
            Some(Remainder { first, count, tap, taps, pads })
        })
        .collect()
}

/// How a phase finds its weights in those of the forward convolution: its taps last to first, channels exchanged.
fn flipped(shape: &Conv2d, rows: &Remainder, columns: &Remainder) -> Layout {
    let [kh, kw] = shape.kernel;
    let rows = (rows.tap..kh).step_by(shape.stride[0]).rev();
    let row = |ky: usize| (columns.tap..kw).step_by(shape.stride[1]).rev().map(move |kx| ky * kw + kx);
    let [group, input] = [shape.weight_len() / shape.groups, shape.weight_len() / shape.out_c];
    Layout { group, input, out: kh * kw, taps: rows.flat_map(row).collect() }
}

impl Phases {
    /// With all weights zero; none if the shape has no such form.
    pub(super) fn new(isa: Isa, shape: &Conv2d) -> Option<Phases> {
        let (rows, columns) = (remainders(shape, 0)?, remainders(shape, 1)?);
        let mut phases = Vec::with_capacity(rows.len() * columns.len());
        for (rows, columns) in
            rows.iter().flat_map(|rows| columns.iter().map(move |columns| (*rows, *columns)))
        {
            let phase_shape = Conv2d {
                in_h: shape.out_h(),
                in_w: shape.out_w(),
                in_c: shape.out_c,
                out_c: shape.in_c,
                kernel: [rows.taps, columns.taps],
                stride: [1; 2],
                dilation: shape.dilation,
                pads: [rows.pads[0], columns.pads[0], rows.pads[1], columns.pads[1]],
                groups: shape.groups,
            };
            let met = rows.taps > 0 && columns.taps > 0;
            let conv = met.then(|| Dense::new(isa, &phase_shape, flipped(shape, &rows, &columns)));
            phases.push(Phase { rows, columns, conv });
        }
        let positions = phases.iter().map(|phase| phase.len(shape)).max().unwrap_or(1);
        let images = (SPREAD / positions).max(1);
        // A single phase is written where it belongs.
        let positions = if phases.len() > 1 { images * positions } else { 0 };
        Some(Phases { phases, images, positions })
    }

    /// `weights: [out, in/groups, kh, kw]` of the forward convolution.
    pub(super) fn set_weights(&mut self, weights: &[f32]) {
        for conv in self.phases.iter_mut().filter_map(|phase| phase.conv.as_mut()) {
            conv.set_weights(weights, None);
        }
    }

    pub(super) fn scratch_len(&self) -> usize {
        let conv = self.phases.iter().filter_map(|phase| phase.conv.as_ref()).map(Dense::scratch_len).max();
        self.positions + conv.unwrap_or(0)
    }

    pub(super) fn run(
        &self,
        shape: &Conv2d,
        dy: &[f32],
        scratch: &mut [f32],
        dx: &mut [f32],
        accumulate: bool,
    ) {
        if let [Phase { conv: Some(conv), .. }] = &self.phases[..] {
            return if accumulate {
                conv.add_to(dy, scratch, dx);
            } else {
                conv.run(dy, &Epilogue::default(), scratch, dx);
            };
        }
        let images = self.images;
        for (dy, dx) in dy.chunks(images * shape.out_len()).zip(dx.chunks_mut(images * shape.in_len())) {
            for phase in &self.phases {
                match &phase.conv {
                    Some(conv) => {
                        let len = dx.len() / shape.in_len() * phase.len(shape);
                        let (positions, scratch) = scratch.split_at_mut(len);
                        conv.run(dy, &Epilogue::default(), scratch, positions);
                        phase.spread(shape, positions, dx, accumulate);
                    }
                    None if accumulate => {}
                    None => phase.clear(shape, dx),
                }
            }
        }
    }
}

impl Phase {
    /// Values of its positions in one image.
    fn len(&self, shape: &Conv2d) -> usize {
        self.rows.count * self.columns.count * shape.in_c
    }

    /// Runs `f` on each row of the phase in `dx`, numbered, that row starting at its first column.
    fn for_each_row(&self, shape: &Conv2d, dx: &mut [f32], mut f: impl FnMut(usize, &mut [f32])) {
        let row_len = shape.in_w * shape.in_c;
        let mut nth = 0;
        for image in dx.chunks_exact_mut(shape.in_len()) {
            for row in image.chunks_exact_mut(row_len).skip(self.rows.first).step_by(shape.stride[0]) {
                f(nth, &mut row[self.columns.first * shape.in_c..]);
                nth += 1;
            }
        }
    }

    /// Moves `positions: [n, rows, columns, in_c]` to where they lie in `dx`.
    fn spread(&self, shape: &Conv2d, positions: &[f32], dx: &mut [f32], accumulate: bool) {
        let (channels, step) = (shape.in_c, shape.stride[1] * shape.in_c);
        let row_len = self.columns.count * channels;
        self.for_each_row(shape, dx, |nth, row| {
            let from = positions[nth * row_len..][..row_len].chunks_exact(channels);
            for (to, from) in row.chunks_mut(step).zip(from) {
                if accumulate {
                    to.iter_mut().zip(from).for_each(|(to, from)| *to += from);
                } else {
                    to[..channels].copy_from_slice(from);
                }
            }
        });
    }

    fn clear(&self, shape: &Conv2d, dx: &mut [f32]) {
        let (channels, step) = (shape.in_c, shape.stride[1] * shape.in_c);
        self.for_each_row(shape, dx, |_, row| row.chunks_mut(step).for_each(|to| to[..channels].fill(0.0)));
    }
}
