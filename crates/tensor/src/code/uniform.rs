//! Evenly spaced levels: `x ≈ (q - zero_point) · scale (+ shift)`, `q` an integer of some bits.

use crate::number::{code_range, decode, encode};
use serde::{Deserialize, Serialize};

/// Affine code, per tensor (`axis` = `None`, vectors of length 1) or per channel (vectors of length `shape[axis]`).
///
/// `scale` is in real units per step, positive and finite; `zero_point` is the code of real zero. Channels may differ
/// in bits. A channel of 0 bits holds the constant `shift` (0 without one). Codes lie in two's complement
/// range if `signed`, else from 0.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Uniform {
    /// Channel axis of the tensor; `None` for one scale over all of it.
    pub axis: Option<usize>,
    /// Bits of each channel, 0..=8.
    pub bits: Vec<u8>,
    /// Whether codes are two's complement.
    pub signed: bool,
    /// Step of each channel.
    pub scale: Vec<f32>,
    /// Code of real zero, each channel.
    pub zero_point: Vec<i32>,
    /// Real value added after decoding, each channel: a zero point off the grid, left by weight bias correction.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shift: Option<Vec<f32>>,
}

impl Uniform {
    /// One symmetric or affine code for the whole tensor.
    pub fn per_tensor(bits: u8, signed: bool, scale: f32, zero_point: i32) -> Uniform {
        Uniform {
            axis: None,
            bits: vec![bits],
            signed,
            scale: vec![scale],
            zero_point: vec![zero_point],
            shift: None,
        }
    }

    /// The per-tensor affine code of unsigned `bits` that covers `[lo, hi]` and real zero.
    ///
    /// `lo` is raised to at most 0 and `hi` to at least 0, so that zero is exactly a code.
    pub fn covering(lo: f32, hi: f32, bits: u8) -> Uniform {
        let (scale, zero_point) = affine([lo, hi], bits);
        Uniform::per_tensor(bits, false, scale, zero_point)
    }

    /// Smallest and largest code of channel `c`.
    pub fn range(&self, c: usize) -> [i32; 2] {
        match self.bits[c] {
            0 => [self.zero_point[c]; 2],
            bits => code_range(bits, self.signed),
        }
    }

    /// Whether every zero point is 0.
    pub fn is_symmetric(&self) -> bool {
        self.zero_point.iter().all(|&z| z == 0)
    }

    /// Average bits per element (channels are equally long).
    pub fn mean_bits(&self) -> f64 {
        self.bits.iter().map(|&b| f64::from(b)).sum::<f64>() / self.bits.len().max(1) as f64
    }

    /// The widest channel's bits.
    pub fn max_bits(&self) -> u8 {
        self.bits.iter().copied().max().unwrap_or(0)
    }

    /// Code of `x` in channel `c`. The shift plays no part: it moves levels after the codes are chosen.
    #[inline]
    pub fn encode(&self, x: f32, c: usize) -> i32 {
        encode(x, self.scale[c], self.zero_point[c], self.range(c))
    }

    /// Real value of `code` in channel `c`.
    #[inline]
    pub fn decode(&self, code: i32, c: usize) -> f32 {
        decode(code, self.scale[c], self.zero_point[c]) + self.shift.as_ref().map_or(0.0, |s| s[c])
    }

    /// Calls `f(channel, elements)` for each maximal run of elements of one channel.
    pub fn for_each_run<T>(&self, values: &mut [T], shape: &[usize], mut f: impl FnMut(usize, &mut [T])) {
        let Some(axis) = self.axis else { return f(0, values) };
        let run = shape[axis + 1..].iter().product::<usize>().max(1);
        for (i, chunk) in values.chunks_mut(run).enumerate() {
            f(i % shape[axis], chunk);
        }
    }

    /// The codes of a tensor, in its order.
    pub fn codes(&self, values: &[f32], shape: &[usize]) -> Vec<i32> {
        // The values are visited as pairs so that one traversal serves in-place and out-of-place use.
        let mut pairs: Vec<(f32, i32)> = values.iter().map(|&x| (x, 0)).collect();
        self.for_each_run(&mut pairs, shape, |c, run| {
            let (scale, zero_point, range) = (self.scale[c], self.zero_point[c], self.range(c));
            run.iter_mut().for_each(|(x, q)| *q = encode(*x, scale, zero_point, range));
        });
        pairs.into_iter().map(|(_, q)| q).collect()
    }

    /// Replaces each value by the level it is coded to.
    pub fn fake_quantize(&self, values: &mut [f32], shape: &[usize]) {
        self.for_each_run(values, shape, |c, run| {
            let (scale, zero_point, range) = (self.scale[c], self.zero_point[c], self.range(c));
            let shift = self.shift.as_ref().map_or(0.0, |s| s[c]);
            run.iter_mut()
                .for_each(|x| *x = decode(encode(*x, scale, zero_point, range), scale, zero_point) + shift);
        });
    }

    /// Bytes of the codes of a tensor of `shape`, packed at each channel's own width.
    pub fn packed_bytes(&self, shape: &[usize]) -> usize {
        let total: usize = shape.iter().product();
        let per_channel = total / self.bits.len().max(1);
        self.bits.iter().map(|&b| (per_channel * usize::from(b)).div_ceil(8)).sum()
    }
}

/// Scale and zero point of the unsigned code of `bits` (1..=8) that covers `[lo, hi]` and zero.
pub(crate) fn affine([lo, hi]: [f32; 2], bits: u8) -> (f32, i32) {
    let (lo, hi) = (lo.min(0.0), hi.max(0.0));
    let top = code_range(bits, false)[1];
    let scale = ((hi - lo) / top as f32).max(f32::MIN_POSITIVE * 256.0);
    (scale, encode(-lo, scale, 0, [0, top]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn covering_reaches_both_ends_and_zero() {
        let code = Uniform::covering(-1.0, 2.0, 4);
        assert_eq!((code.zero_point[0], code.encode(-1.0, 0), code.encode(2.0, 0)), (5, 0, 15));
        assert_eq!(code.decode(code.encode(0.0, 0), 0), 0.0);
        let positive = Uniform::covering(0.5, 3.0, 8);
        assert_eq!((positive.zero_point[0], positive.encode(3.0, 0)), (0, 255));
    }

    #[test]
    fn an_all_zero_tensor_has_a_usable_scale() {
        let code = Uniform::covering(0.0, 0.0, 8);
        assert!(code.scale[0] > 0.0 && code.encode(0.0, 0) == 0);
    }

    #[test]
    fn channels_use_their_own_scale_bits_and_shift() {
        let code = Uniform {
            axis: Some(0),
            bits: vec![4, 2, 0],
            signed: true,
            scale: vec![0.5, 1.0, 1.0],
            zero_point: vec![0, 0, 0],
            shift: Some(vec![0.0, 0.25, 3.0]),
        };
        let mut x = vec![0.6, 9.0, 0.6, 9.0, 7.0, -7.0];
        assert_eq!(code.codes(&x, &[3, 2]), [1, 7, 1, 1, 0, 0]);
        code.fake_quantize(&mut x, &[3, 2]);
        assert_eq!(x, [0.5, 3.5, 1.25, 1.25, 3.0, 3.0]);
        assert_eq!(code.packed_bytes(&[3, 2]), 2);
    }

    #[test]
    fn runs_follow_an_inner_axis() {
        let code = Uniform { axis: Some(1), ..Uniform::per_tensor(4, true, 1.0, 0) };
        let code = Uniform { bits: vec![4; 2], scale: vec![1.0, 2.0], zero_point: vec![0; 2], ..code };
        assert_eq!(code.codes(&[4.0, 4.0, 4.0, 4.0], &[2, 2]), [4, 2, 4, 2]);
    }

    #[test]
    fn quantizing_twice_changes_nothing() {
        let code = Uniform::covering(-0.3, 1.7, 3);
        let mut once: Vec<f32> = (-40..60).map(|i| i as f32 * 0.041).collect();
        code.fake_quantize(&mut once, &[100]);
        let mut twice = once.clone();
        code.fake_quantize(&mut twice, &[100]);
        assert_eq!(once, twice);
    }
}
