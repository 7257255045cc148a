//! Channels computed together, and their weights as vectors.

use crate::Conv2d;
use crate::integer::Weights;
use crate::integer::bytes::{ByteKernel, ByteSimd, MAX_BYTES, order};

/// `bytes` channels from `channel` on, a vector's worth.
#[derive(Clone, Copy, Debug)]
pub(super) struct Group {
    pub(super) channel: usize,
    pub(super) bytes: usize,
    /// Where its weights and its offsets start.
    pub(super) weights: usize,
    pub(super) offsets: usize,
    /// The channel of each lane, from the first one.
    pub(super) order: [u8; MAX_BYTES],
}

impl Group {
    /// Values of lanes, channel by channel.
    pub(super) fn by_channel(&self, lanes: &[i32; MAX_BYTES]) -> [i32; MAX_BYTES] {
        let mut channels = [0; MAX_BYTES];
        for (lane, &byte) in lanes[..self.bytes].iter().zip(&self.order) {
            channels[usize::from(byte)] = *lane;
        }
        channels
    }

    /// Values of channels, which may end within the group, lane by lane.
    #[inline(never)]
    pub(super) fn by_lane(&self, channels: &[f32]) -> [f32; MAX_BYTES] {
        let mut lanes = [0.0; MAX_BYTES];
        for (lane, &byte) in lanes[..self.bytes].iter_mut().zip(&self.order) {
            *lane = channels.get(self.channel + usize::from(byte)).copied().unwrap_or(0.0);
        }
        lanes
    }
}

/// All groups, and their weights and offsets one after the other.
#[derive(Default)]
pub(super) struct Packed {
    pub(super) groups: Vec<Group>,
    pub(super) weights: Vec<u8>,
    pub(super) offsets: Vec<i32>,
}

/// Packs the weights for the vectors of an instruction set.
pub(super) struct Pack<'a> {
    shape: &'a Conv2d,
    /// Output rows computed together, and fours of input rows under them.
    rows: usize,
    fours: usize,
    weights: &'a Weights<'a>,
    packed: Packed,
}

impl<'a> Pack<'a> {
    pub(super) fn new(shape: &'a Conv2d, [rows, fours]: [usize; 2], weights: &'a Weights<'a>) -> Pack<'a> {
        Pack { shape, rows, fours, weights, packed: Packed::default() }
    }

    /// Adds the groups of this width from channel `first` on, and returns the channel after them. The last group of more
    /// than four bytes moves back to end with the last channel; those it shares are computed twice, to the same codes.
    #[inline(always)]
    fn groups<S: ByteSimd>(&mut self, s: S, mut first: usize) -> usize {
        let channels = self.shape.in_c.next_multiple_of(4);
        let narrow = S::BYTES <= 16 && S::BYTES <= channels;
        while first + S::BYTES <= channels || narrow && first < channels {
            let channel = first.min(channels - S::BYTES);
            let (weights, offsets) = (self.packed.weights.len(), self.packed.offsets.len());
            let order = order(s).map(|byte| byte as u8);
            let group = Group { channel, bytes: S::BYTES, weights, offsets, order };
            self.weights(s, &group);
            for &byte in &order[..S::BYTES] {
                let channel = channel + usize::from(byte);
                let real = channel < self.shape.in_c;
                self.packed.offsets.push(if real { self.weights.offset(channel, S::LOWERED) } else { 0 });
            }
            self.packed.groups.push(group);
            first = channel + S::BYTES;
        }
        first
    }

    #[inline(always)]
    fn weights<S: ByteSimd>(&mut self, s: S, group: &Group) {
        for four in 0..self.fours {
            for kx in 0..self.shape.kernel[1] {
                for row in 0..self.rows {
                    for v in 0..4 {
                        let factors = s.weights(s.read(&self.vector(group, 4 * four, kx, row, v)));
                        let weights = &mut self.packed.weights;
                        let at = weights.len();
                        weights.resize(at + size_of::<S::W>(), 0);
                        // SAFETY: room for one `W` was just made.
                        unsafe { weights.as_mut_ptr().add(at).cast::<S::W>().write_unaligned(factors) }
                    }
                }
            }
        }
    }

    /// Of the lanes of vector `v`, the weights that four input rows from `first` on meet for output row `row`.
    fn vector(&self, group: &Group, first: usize, kx: usize, row: usize, v: usize) -> [u8; MAX_BYTES] {
        let ([kh, kw], lanes) = (self.shape.kernel, group.bytes / 4);
        let mut bytes = [0; MAX_BYTES];
        for (lane, four) in bytes[..group.bytes].chunks_exact_mut(4).enumerate() {
            let channel = group.channel + usize::from(group.order[v * lanes + lane]);
            for (t, byte) in four.iter_mut().enumerate() {
                let ky = (first + t).wrapping_sub(row);
                if ky < kh && channel < self.shape.in_c {
                    *byte = self.weights.codes[(channel * kh + ky) * kw + kx].cast_unsigned();
                }
            }
        }
        bytes
    }
}

impl ByteKernel for Pack<'_> {
    type Output = Packed;

    #[inline(always)]
    fn run<S: ByteSimd>(mut self, s: S) -> Packed {
        let first = self.groups(s, 0);
        let first = self.groups(s.narrower(), first);
        let first = self.groups(s.narrower().narrower(), first);
        self.groups(s.narrower().narrower().narrower(), first);
        self.packed
    }
}
