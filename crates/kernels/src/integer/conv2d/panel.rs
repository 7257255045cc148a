//! Weights of a dense convolution as its tiles read them: panels of output channels, four terms of a sum together.
//!
//! Narrow weights stay packed in memory. A panel of them is widened into scratch just before all tiles of a block use
//! it, which costs little next to those and leaves one tile loop for all widths.

use std::ops::Range;

use crate::Conv2d;
use crate::integer::bytes::{ByteKernel, ByteSimd};
use crate::integer::{Plane, WeightBits, Weights};

/// Bytes of widened weights that are packed together: byte `j` of a packed chunk holds weight `j` of each of its 1, 2
/// or 4 chunks of widened ones, as `w + 2^(bits−1)`, the first in the lowest bits.
pub(super) const CHUNK: usize = 64;

/// Consecutive bytes of input that meet consecutive weights: `quads` times four, from `offset` relative to a window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Run {
    pub(super) offset: usize,
    pub(super) quads: usize,
}

/// Output channels computed together.
#[derive(Clone, Debug)]
pub(super) struct Panel {
    /// First output channel.
    pub(super) channel: usize,
    pub(super) vectors: usize,
    /// Channels of all its vectors.
    pub(super) lanes: usize,
    /// What of a window the sums of these channels run over.
    pub(super) runs: Vec<Run>,
    /// Where weights are split ([`super::pairs`]): offsets of the fours of codes that meet them, in their order, as they are
    /// and with some complemented.
    pub(super) quads: Vec<u32>,
    pub(super) flipped: Vec<u32>,
    /// How many of `quads` add up in 16 bits before their sums go to 32; 1 where anything is complemented.
    pub(super) steps: usize,
    /// Where its packed weights lie.
    pub(super) weights: Range<usize>,
}

impl Panel {
    /// The panel of `lanes` channels from `channel` on, without weights yet.
    pub(super) fn new(shape: &Conv2d, input: &Plane, channel: usize, vectors: usize, lanes: usize) -> Panel {
        let channels = input_channels(shape, channel..channel + lanes);
        let mut runs: Vec<Run> = Vec::new();
        for_each_tap(shape, |[ky, kx]| {
            let tap = ky * shape.dilation[0] * input.row_len() + kx * shape.dilation[1] * input.c;
            let (offset, quads) = (tap + channels.start, channels.len() / 4);
            match runs.last_mut() {
                Some(last) if last.offset + 4 * last.quads == offset => last.quads += quads,
                _ => runs.push(Run { offset, quads }),
            }
        });
        Panel {
            channel,
            vectors,
            lanes,
            runs,
            quads: Vec::new(),
            flipped: Vec::new(),
            steps: 1,
            weights: 0..0,
        }
    }
}

/// The weights of `outputs` as one byte each, `[quad][output][4]`, quads in the order of a panel's runs.
pub(super) fn widened(shape: &Conv2d, outputs: Range<usize>, weights: &Weights<'_>) -> Vec<u8> {
    let channels = input_channels(shape, outputs.clone());
    let (group_in, group_out) = (shape.in_c / shape.groups, shape.out_c / shape.groups);
    let [kh, kw] = shape.kernel;
    let mut bytes = Vec::new();
    for_each_tap(shape, |[ky, kx]| {
        for quad in channels.clone().step_by(4) {
            for (out, input) in
                outputs.clone().flat_map(|out| (quad..quad + 4).map(move |input| (out, input)))
            {
                let of_group = input.wrapping_sub(out / group_out * group_in);
                let weight = if out < shape.out_c && of_group < group_in {
                    weights.codes[((out * group_in + of_group) * kh + ky) * kw + kx]
                } else {
                    0
                };
                bytes.push(weight as u8);
            }
        }
    });
    bytes
}

/// Input channels that `outputs` see, rounded out to quads. Those beyond the real outputs see what the last one does.
fn input_channels(shape: &Conv2d, outputs: Range<usize>) -> Range<usize> {
    let (group_in, group_out) = (shape.in_c / shape.groups, shape.out_c / shape.groups);
    let [first, last] = [outputs.start, outputs.end - 1].map(|out| out.min(shape.out_c - 1) / group_out);
    let (first, end) = (first * group_in, (last + 1) * group_in);
    first / 4 * 4..end.next_multiple_of(4)
}

fn for_each_tap(shape: &Conv2d, mut f: impl FnMut([usize; 2])) {
    let [kh, kw] = shape.kernel;
    (0..kh).for_each(|ky| (0..kw).for_each(|kx| f([ky, kx])));
}

/// Bytes that `widened` ones are packed to, whole chunks.
pub(super) fn packed_len(widened: usize, bits: WeightBits) -> usize {
    match bits {
        WeightBits::Eight => widened,
        _ => widened.div_ceil(CHUNK * 8 / bits.bits()) * CHUNK,
    }
}

/// Bytes of scratch for widening `packed` ones.
pub(super) fn widened_len(packed: usize, bits: WeightBits) -> usize {
    match bits {
        WeightBits::Eight => 0,
        _ => packed * (8 / bits.bits()),
    }
}

/// Packs `widened` weights to `packed`.
pub(super) fn pack(widened: &[u8], bits: WeightBits, packed: &mut [u8]) {
    if bits == WeightBits::Eight {
        return packed.copy_from_slice(widened);
    }
    let half = 1 << (bits.bits() - 1);
    let chunks = widened.chunks(CHUNK * 8 / bits.bits());
    for (widened, packed) in chunks.zip(packed.chunks_exact_mut(CHUNK)) {
        for (nth, chunk) in widened.chunks(CHUNK).enumerate() {
            for (&weight, packed) in chunk.iter().zip(&mut *packed) {
                *packed |= weight.wrapping_add(half) << (nth * bits.bits());
            }
        }
    }
}

/// The reverse of [`pack`], for a whole panel; weights are signed bytes.
pub(super) struct Widen<'a> {
    pub(super) packed: &'a [u8],
    pub(super) bits: WeightBits,
    pub(super) widened: &'a mut [u8],
}

impl ByteKernel for Widen<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: ByteSimd>(self, _: S) {
        match self.bits {
            WeightBits::Eight => {}
            WeightBits::Four => widen::<4>(self.packed, self.widened),
            WeightBits::Two => widen::<2>(self.packed, self.widened),
        }
    }
}

/// Plain loops over fixed lengths, which the compiler turns into vectors.
#[inline(always)]
fn widen<const BITS: usize>(packed: &[u8], widened: &mut [u8]) {
    let (mask, half) = ((1u8 << BITS) - 1, 1u8 << (BITS - 1));
    for (packed, widened) in packed.chunks_exact(CHUNK).zip(widened.chunks_exact_mut(CHUNK * 8 / BITS)) {
        for (nth, chunk) in widened.chunks_exact_mut(CHUNK).enumerate() {
            for (&packed, weight) in packed.iter().zip(chunk) {
                *weight = (packed >> (nth * BITS) & mask).wrapping_sub(half);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Isa;

    #[test]
    fn weights_survive_packing_at_every_width() {
        for bits in [WeightBits::Two, WeightBits::Four, WeightBits::Eight] {
            let span = 1 << bits.bits();
            let weights: Vec<u8> = (0..300).map(|i| (i * 7 % span - span / 2) as i8 as u8).collect();
            let mut packed = vec![0; packed_len(weights.len(), bits)];
            pack(&weights, bits, &mut packed);
            for isa in Isa::supported() {
                let mut widened = vec![99; widened_len(packed.len(), bits)];
                isa.run_bytes(Widen { packed: &packed, bits, widened: &mut widened });
                let got = if bits == WeightBits::Eight { &packed } else { &widened };
                assert_eq!(got[..weights.len()], weights, "{bits:?} on {isa}");
            }
        }
    }

    #[test]
    fn a_kernel_row_is_one_run_and_groups_see_their_channels_only() {
        let shape = Conv2d::square([5, 6, 8], 16, 3, 1, 1);
        let plane = Plane::new(5, 6, 8).with_border([1; 4]);
        let panel = Panel::new(&shape, &plane, 0, 1, 16);
        let row = |ky: usize| Run { offset: ky * 64, quads: 6 };
        assert_eq!(panel.runs, [row(0), row(1), row(2)]);

        let grouped = Conv2d { in_c: 12, groups: 2, ..shape };
        let plane = Plane::new(5, 6, 12).with_border([1; 4]);
        let panel = Panel::new(&grouped, &plane, 8, 1, 8);
        // Channels 6 to 11, from the quad that they start in.
        assert_eq!(panel.runs[..2], [Run { offset: 4, quads: 2 }, Run { offset: 16, quads: 2 }]);
    }
}
