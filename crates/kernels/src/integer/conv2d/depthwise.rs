//! Depthwise convolution of codes: one channel in, one channel out, vectors over channels.
//!
//! Dot products add four neighbouring bytes, and here the neighbours of a byte are other channels. So four rows of
//! a column are interleaved, once, and serve every tap of every window over that column; with stride 1 they serve two
//! output rows, one of which meets the last row with weights of zero. Sums come out in the order that interleaving deals
//! channels to lanes ([`crate::integer::bytes`]); weights, offsets and scales wait in that order, and packing sums to
//! bytes undoes it. Nothing tests for padding: it is the border of the input.

use std::ops::Range;

use crate::buffer::{Aligned, AlignedBytes};
use crate::integer::bytes::{ByteKernel, ByteSimd, MAX_BYTES, order};
use crate::integer::{Plane, Requantize, Weights};
use crate::{Conv2d, Isa};

/// Bytes of output finished before the next channels are: with the input under them, half a second-level cache.
const BAND: usize = 128 * 1024;

#[derive(Clone, Debug)]
pub(super) struct Depthwise {
    isa: Isa,
    shape: Conv2d,
    input: Plane,
    output: Plane,
    /// Output rows computed together: 2 where they share input rows.
    rows: usize,
    /// For one output row and for two: where each input row under a window starts, from the first one, in fours. Rows
    /// past the last are the first again and face weights of zero.
    taps: [Vec<usize>; 2],
    groups: Vec<Group>,
    /// Of each group `[four of taps][kernel column][output row][vector]`, as the instruction set has them.
    weights: AlignedBytes,
    /// `bias − zero_x·Σ w`, of each group in the order of its lanes.
    offsets: Aligned<i32>,
}

/// Channels computed together: `bytes` of them from `channel` on, a vector's worth.
#[derive(Clone, Copy, Debug)]
struct Group {
    channel: usize,
    bytes: usize,
    /// Where its weights and its offsets start.
    weights: usize,
    offsets: usize,
    /// The channel of each lane, from the first one.
    order: [u8; MAX_BYTES],
}

impl Depthwise {
    pub(super) fn new(
        isa: Isa,
        shape: &Conv2d,
        input: Plane,
        output: Plane,
        weights: &Weights<'_>,
    ) -> Depthwise {
        let rows = if shape.stride[0] == 1 && shape.dilation[0] == 1 { 2 } else { 1 };
        let taps = [1, 2].map(|rows| {
            let mut taps: Vec<usize> = (0..shape.kernel[0] + rows - 1).collect();
            taps.resize(taps.len().next_multiple_of(4), 0);
            taps.iter_mut().for_each(|tap| *tap *= shape.dilation[0] * input.row_len());
            taps
        });
        let mut depthwise = Depthwise {
            isa,
            shape: *shape,
            input,
            output,
            rows,
            taps,
            groups: Vec::new(),
            weights: AlignedBytes::default(),
            offsets: Aligned::default(),
        };
        let (packed, offsets) = isa.run_bytes(Pack { depthwise: &mut depthwise, weights });
        depthwise.weights = AlignedBytes::from(&packed[..]);
        depthwise.offsets = Aligned::from(&offsets[..]);
        depthwise
    }

    pub(super) fn weight_bytes(&self) -> usize {
        self.weights.len() + 4 * self.offsets.len()
    }

    /// Channels that have groups: the real ones, rounded up to a multiple of 4.
    fn channels(&self) -> usize {
        self.shape.in_c.next_multiple_of(4)
    }

    pub(super) fn run(
        &self,
        input: &[u8],
        requantize: &Requantize,
        residual: Option<&[u8]>,
        output: &mut [u8],
    ) {
        let plane = &self.output;
        let band = (BAND / plane.row_len()).next_multiple_of(2).clamp(2, plane.h.next_multiple_of(2));
        for (nth, image) in input.chunks_exact(self.input.len()).enumerate() {
            let residual = residual.zip(requantize.residual).map(|(codes, of)| {
                let len = of.plane.len();
                &codes[nth * len..][..len]
            });
            let output = &mut output[nth * plane.len()..][..plane.len()];
            for first in (0..plane.h).step_by(band) {
                let rows = first..(first + band).min(plane.h);
                let memory = (plane.border[0] + rows.start) * plane.row_len();
                let output = &mut output[memory..][..rows.len() * plane.row_len()];
                self.run_band(image, rows, requantize, residual, output);
            }
        }
    }

    pub(super) fn run_band(
        &self,
        image: &[u8],
        rows: Range<usize>,
        requantize: &Requantize,
        residual: Option<&[u8]>,
        output: &mut [u8],
    ) {
        let to = Codes { plane: &self.output, requantize, residual, first: rows.start, output };
        self.isa.run_bytes(Band { depthwise: self, image, rows, to });
    }

    pub(super) fn run_f32(&self, input: &[u8], scale: &[f32], output: &mut [f32]) {
        let (images, outputs) =
            (input.chunks_exact(self.input.len()), output.chunks_exact_mut(self.shape.out_len()));
        for (image, output) in images.zip(outputs) {
            let to = Reals { width: self.output.w, scale, output };
            self.isa.run_bytes(Band { depthwise: self, image, rows: 0..self.output.h, to });
        }
    }
}

/// Packs the weights for the vectors of an instruction set.
struct Pack<'a> {
    depthwise: &'a mut Depthwise,
    weights: &'a Weights<'a>,
}

impl ByteKernel for Pack<'_> {
    /// Weights and offsets.
    type Output = (Vec<u8>, Vec<i32>);

    #[inline(always)]
    fn run<S: ByteSimd>(mut self, s: S) -> (Vec<u8>, Vec<i32>) {
        let channels = self.depthwise.channels();
        let (mut weights, mut offsets) = (Vec::new(), Vec::new());
        let mut first = 0;
        while first < channels {
            macro_rules! widths {
                ($($s:expr),*) => {$(
                    if first < channels {
                        first = self.groups($s, first, &mut weights, &mut offsets);
                    }
                )*};
            }
            widths!(s, s.narrower(), s.narrower().narrower(), s.narrower().narrower().narrower());
        }
        (weights, offsets)
    }
}

impl Pack<'_> {
    /// Adds the groups of this width from channel `first` on, and returns the channel after them. The last group of more
    /// than four bytes moves back to end with the last channel; those it shares are computed twice, to the same codes.
    #[inline(always)]
    fn groups<S: ByteSimd>(
        &mut self,
        s: S,
        mut first: usize,
        weights: &mut Vec<u8>,
        offsets: &mut Vec<i32>,
    ) -> usize {
        let channels = self.depthwise.channels();
        let narrowest = S::BYTES <= 16;
        while first + S::BYTES <= channels || narrowest && first < channels && S::BYTES <= channels {
            let channel = first.min(channels - S::BYTES);
            let order = order(s).map(|byte| byte as u8);
            let group =
                Group { channel, bytes: S::BYTES, weights: weights.len(), offsets: offsets.len(), order };
            self.pack(s, &group, weights);
            offsets.extend((0..S::BYTES).map(|lane| {
                let channel = channel + usize::from(order[lane]);
                if channel < self.depthwise.shape.in_c { self.weights.offset(channel) } else { 0 }
            }));
            self.depthwise.groups.push(group);
            first = channel + S::BYTES;
        }
        first
    }

    #[inline(always)]
    fn pack<S: ByteSimd>(&self, s: S, group: &Group, weights: &mut Vec<u8>) {
        let Depthwise { shape, rows, taps, .. } = &*self.depthwise;
        let [kh, kw] = shape.kernel;
        for four in 0..taps[rows - 1].len() / 4 {
            for (kx, row, v) in
                (0..kw).flat_map(|kx| (0..*rows).flat_map(move |row| (0..4).map(move |v| (kx, row, v))))
            {
                let mut bytes = [0; MAX_BYTES];
                for (lane, bytes) in bytes[..S::BYTES].chunks_exact_mut(4).enumerate() {
                    let channel = group.channel + usize::from(group.order[v * S::LANES + lane]);
                    for (t, byte) in bytes.iter_mut().enumerate() {
                        let ky = (4 * four + t).wrapping_sub(row);
                        if ky < kh && channel < shape.in_c {
                            *byte = self.weights.codes[(channel * kh + ky) * kw + kx].cast_unsigned();
                        }
                    }
                }
                let factors = s.weights(s.read(&bytes));
                let at = weights.len();
                weights.resize(at + size_of::<S::W>(), 0);
                // SAFETY: room for one `W` was just made.
                unsafe { weights.as_mut_ptr().add(at).cast::<S::W>().write_unaligned(factors) }
            }
        }
    }
}

/// Where sums go.
trait Sums {
    /// What it needs of a group, prepared once.
    type Constants<S: ByteSimd>: Copy;
    fn constants<S: ByteSimd>(&self, s: S, group: &Group) -> Self::Constants<S>;
    /// Takes the sums of one pixel, in the order of lanes.
    fn put<S: ByteSimd>(
        &mut self,
        s: S,
        group: &Group,
        constants: &Self::Constants<S>,
        pixel: [usize; 2],
        sums: [S::I; 4],
    );
    /// Writes what no group does to the stored channels from `first` on.
    fn fill(&mut self, first: usize, rows: Range<usize>);
}

/// To codes in a plane.
struct Codes<'a> {
    plane: &'a Plane,
    requantize: &'a Requantize,
    /// The whole image of the residual's plane.
    residual: Option<&'a [u8]>,
    /// The output row that `output` starts with.
    first: usize,
    output: &'a mut [u8],
}

impl Codes<'_> {
    #[inline(always)]
    fn at(&self, [y, x]: [usize; 2], channel: usize) -> usize {
        (y - self.first) * self.plane.row_len() + (self.plane.border[1] + x) * self.plane.c + channel
    }

    /// Channel by channel, as it is defined.
    #[cold]
    fn encode<S: ByteSimd>(&mut self, s: S, group: &Group, pixel: [usize; 2], sums: [S::I; 4]) {
        let at = self.at(pixel, group.channel);
        for (i, sum) in in_order(s, group, sums).into_iter().take(S::BYTES).enumerate() {
            let residual = self.residual(pixel, group.channel + i);
            self.output[at + i] = self.requantize.encode(group.channel + i, sum, residual);
        }
    }

    fn residual(&self, [y, x]: [usize; 2], channel: usize) -> u8 {
        match (self.residual, &self.requantize.residual) {
            (Some(codes), Some(of)) => codes[of.plane.offset(y, x) + channel],
            _ => 0,
        }
    }
}

/// Of a group: scales, bounds in steps, and the zero point.
#[derive(Clone, Copy)]
struct Scaling<S: ByteSimd> {
    /// Scale, round and clip are all there is to do.
    plain: bool,
    scale: [S::F; 4],
    bounds: [S::F; 2],
    zero: S::I,
}

impl Sums for Codes<'_> {
    type Constants<S: ByteSimd> = Scaling<S>;

    #[inline(always)]
    fn constants<S: ByteSimd>(&self, s: S, group: &Group) -> Scaling<S> {
        let scales = self.requantize.scales();
        let mut lanes = [0.0; MAX_BYTES];
        for (lane, &byte) in lanes[..S::BYTES].iter_mut().zip(&group.order) {
            *lane = scales.get(group.channel + usize::from(byte)).copied().unwrap_or(0.0);
        }
        let Requantize { code, inner, residual, steps, .. } = self.requantize;
        Scaling {
            plain: inner.is_none() && residual.is_none() && steps.is_none(),
            // SAFETY: the array holds four vectors of the widest kind.
            scale: std::array::from_fn(|v| unsafe { s.load_f(lanes.as_ptr().add(v * S::LANES)) }),
            bounds: code.bounds().map(|bound| s.splat(bound)),
            zero: s.splat_i(code.zero.into()),
        }
    }

    #[inline(always)]
    fn put<S: ByteSimd>(
        &mut self,
        s: S,
        group: &Group,
        constants: &Scaling<S>,
        pixel: [usize; 2],
        sums: [S::I; 4],
    ) {
        let at = self.at(pixel, group.channel);
        if !constants.plain {
            return self.encode(s, group, pixel, sums);
        }
        let [lo, hi] = constants.bounds;
        let codes = std::array::from_fn(|v| {
            let value = s.mul(s.float(sums[v]), constants.scale[v]);
            s.add_i(s.round(s.min(s.max(value, lo), hi)), constants.zero)
        });
        // SAFETY: the slice holds a vector.
        unsafe { s.store_b(self.output[at..][..S::BYTES].as_mut_ptr(), s.narrow(codes)) }
    }

    fn fill(&mut self, first: usize, rows: Range<usize>) {
        for (y, x) in rows.flat_map(|y| (0..self.plane.w).map(move |x| (y, x))) {
            for channel in first..self.plane.c {
                let at = self.at([y, x], channel);
                self.output[at] = self.requantize.encode(channel, 0, self.residual([y, x], channel));
            }
        }
    }
}

/// To f32 `[h, w, channels]`.
struct Reals<'a> {
    width: usize,
    scale: &'a [f32],
    output: &'a mut [f32],
}

impl Sums for Reals<'_> {
    type Constants<S: ByteSimd> = ();

    #[inline(always)]
    fn constants<S: ByteSimd>(&self, _: S, _: &Group) {}

    #[inline(always)]
    fn put<S: ByteSimd>(&mut self, s: S, group: &Group, (): &(), [y, x]: [usize; 2], sums: [S::I; 4]) {
        let sums = in_order(s, group, sums);
        let channels = self.scale.len();
        let pixel = &mut self.output[(y * self.width + x) * channels..][..channels];
        let scaled = self.scale[group.channel..].iter().zip(&sums[..S::BYTES]);
        for (value, (scale, &sum)) in pixel[group.channel..].iter_mut().zip(scaled) {
            *value = sum as f32 * scale;
        }
    }

    fn fill(&mut self, _: usize, _: Range<usize>) {}
}

/// The sums of a group, channel by channel.
#[inline(always)]
fn in_order<S: ByteSimd>(s: S, group: &Group, sums: [S::I; 4]) -> [i32; MAX_BYTES] {
    let (mut lanes, mut channels) = ([0; MAX_BYTES], [0; MAX_BYTES]);
    for (v, sums) in sums.into_iter().enumerate() {
        // SAFETY: the array holds four vectors of the widest kind.
        unsafe { s.store_i(lanes.as_mut_ptr().add(v * S::LANES), sums) }
    }
    for (lane, &byte) in lanes[..S::BYTES].iter().zip(&group.order) {
        channels[usize::from(byte)] = *lane;
    }
    channels
}

/// Some output rows of one image.
struct Band<'a, T> {
    depthwise: &'a Depthwise,
    image: &'a [u8],
    rows: Range<usize>,
    to: T,
}

impl<T: Sums> ByteKernel for Band<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<S: ByteSimd>(mut self, s: S) {
        for group in &self.depthwise.groups {
            macro_rules! widths {
                ($($s:expr),*) => {$(
                    if group.bytes == bytes($s) {
                        $s.call(Strip { band: &mut self, group });
                        continue;
                    }
                )*};
            }
            widths!(s, s.narrower(), s.narrower().narrower(), s.narrower().narrower().narrower());
        }
        let channels = self.depthwise.channels();
        if channels < self.depthwise.output.c {
            self.to.fill(channels, self.rows.clone());
        }
    }
}

#[inline(always)]
fn bytes<S: ByteSimd>(_: S) -> usize {
    S::BYTES
}

/// One group of channels of a band.
struct Strip<'a, 'b, T> {
    band: &'a mut Band<'b, T>,
    group: &'a Group,
}

impl<T: Sums> ByteKernel for Strip<'_, '_, T> {
    type Output = ();

    #[inline(always)]
    fn run<S: ByteSimd>(mut self, s: S) {
        let constants = self.band.to.constants(s, self.group);
        let rows = self.band.rows.clone();
        let mut y = rows.start;
        while y < rows.end {
            if self.band.depthwise.rows == 2 && y + 2 <= rows.end {
                self.row::<S, 2>(s, &constants, y);
                y += 2;
            } else {
                self.row::<S, 1>(s, &constants, y);
                y += 1;
            }
        }
    }
}

impl<T: Sums> Strip<'_, '_, T> {
    /// `R` output rows from row `y` on.
    #[inline(always)]
    fn row<S: ByteSimd, const R: usize>(&mut self, s: S, constants: &T::Constants<S>, y: usize) {
        let Depthwise { output, shape, .. } = self.band.depthwise;
        let pairs = if S::REGISTERS > 16 && shape.dilation[1] == 1 { output.w / 2 } else { 0 };
        for x in 0..pairs {
            self.tile::<S, R, 2>(s, constants, [y, 2 * x]);
        }
        for x in 2 * pairs..output.w {
            self.tile::<S, R, 1>(s, constants, [y, x]);
        }
    }

    /// `R` rows of `C` pixels, at most 2; dilated columns only where `C` is 1.
    #[inline(always)]
    fn tile<S: ByteSimd, const R: usize, const C: usize>(
        &mut self,
        s: S,
        constants: &T::Constants<S>,
        [y, x]: [usize; 2],
    ) {
        let Depthwise { shape, input, rows, taps, weights, offsets, .. } = self.band.depthwise;
        let Conv2d { kernel: [_, kw], stride, dilation, pads, .. } = *shape;
        let group = self.group;
        let corner = [0, 1].map(|i| input.border[i] + [y, x][i] * stride[i] - pads[i]);
        let corner = &self.band.image[corner[0] * input.row_len() + corner[1] * input.c + group.channel..];
        let step = dilation[1] * input.c;
        // Bytes of the weights of one column.
        let column_bytes = rows * 4 * size_of::<S::W>();
        let mut sums = [[[s.splat_i(0); 4]; R]; C];
        // SAFETY: a window of the padded input lies within the plane, whose border holds the padding, and starts at
        // `corner`; a group's channels lie within a pixel. Weights and offsets were packed for these vectors.
        unsafe {
            let mut weights = weights.as_ptr().add(group.weights);
            for v in 0..4 {
                let offset = s.load_i(offsets.as_ptr().add(group.offsets + v * S::LANES));
                sums.as_flattened_mut().iter_mut().for_each(|sum| sum[v] = offset);
            }
            for taps in taps[R - 1].chunks_exact(4) {
                let rows: [*const u8; 4] = std::array::from_fn(|t| corner.as_ptr().add(taps[t]));
                // Every column under the tile once, for both windows over it.
                for column in 0..(C - 1) * stride[1] + kw {
                    let x = s.interleave(rows.map(|row| s.load_b(row.add(column * step))));
                    if column < kw {
                        add_taps(s, &mut sums[0], x, weights.add(column * column_bytes));
                    }
                    if C == 2 && column >= stride[1] {
                        add_taps(s, &mut sums[C - 1], x, weights.add((column - stride[1]) * column_bytes));
                    }
                }
                weights = weights.add(kw * column_bytes);
            }
        }
        for (c, sums) in sums.into_iter().enumerate() {
            for (r, sums) in sums.into_iter().enumerate() {
                self.band.to.put(s, group, constants, [y + r, x + c], sums);
            }
        }
    }
}

/// Adds four taps of one column to the sums of `R` rows.
///
/// # Safety
/// Weights of `4·R` vectors are readable at `weights`.
#[inline(always)]
unsafe fn add_taps<S: ByteSimd, const R: usize>(
    s: S,
    sums: &mut [[S::I; 4]; R],
    x: [S::X; 4],
    weights: *const u8,
) {
    for (r, sums) in sums.iter_mut().enumerate() {
        for v in 0..4 {
            // SAFETY: the caller gives `4·R` of them.
            let w = unsafe { weights.cast::<S::W>().add(r * 4 + v).read_unaligned() };
            sums[v] = s.dot(sums[v], x[v], w);
        }
    }
}

#[cfg(test)]
mod tests;
