//! Rows to packed codes.

use super::greedy::{grid, if_zero};
use super::half::round_half;
use super::reference;
use crate::Isa;
use crate::simd::{Kernel, Simd};

/// Least and greatest value of each row of `x: [rows, columns]`, to `low` and `high`, each `[rows]`.
///
/// # Panics
/// The lengths do not fit together.
pub fn extremes(isa: Isa, x: &[f32], columns: usize, [low, high]: [&mut [f32]; 2]) {
    assert!(columns > 0 && x.len() == columns * low.len() && low.len() == high.len(), "extremes of rows");
    isa.run(Extremes { x, columns, low, high });
}

struct Extremes<'a> {
    x: &'a [f32],
    columns: usize,
    low: &'a mut [f32],
    high: &'a mut [f32],
}

impl Kernel for Extremes<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let whole = self.columns / S::LANES * S::LANES;
        for ((row, low), high) in
            self.x.chunks_exact(self.columns).zip(self.low.iter_mut()).zip(self.high.iter_mut())
        {
            [*low, *high] = reference::extremes(&row[whole.saturating_sub(1).min(row.len() - 1)..]);
            if whole > 0 {
                let (mut lo, mut hi) = (s.read(row), s.read(row));
                for x in row[..whole].chunks_exact(S::LANES).skip(1) {
                    let x = s.read(x);
                    (lo, hi) = (s.min(x, lo), s.max(x, hi));
                }
                let mut lanes = [[0f32; super::lanes::MOST]; 2];
                s.write(&mut lanes[0][..S::LANES], lo);
                s.write(&mut lanes[1][..S::LANES], hi);
                let [lows, highs] = lanes;
                for (lo, hi) in lows.into_iter().zip(highs).take(S::LANES) {
                    (*low, *high) = (if lo < *low { lo } else { *low }, if hi > *high { hi } else { *high });
                }
            }
            if *low == 0.0 {
                *low = zero_of(row);
            }
        }
    }
}

/// Of a row whose least value is zero, the zero whose sign a bias takes: the one that FBGEMM's loop over eight lanes ends
/// with (the last of the first lane that has one), so that rows equal PyTorch's even there, on any instruction set.
pub(super) fn zero_of(row: &[f32]) -> f32 {
    let whole = row.len() / 8 * 8;
    let in_lane = |lane: usize| (lane..whole).step_by(8).rev().map(|i| row[i]).find(|&x| x == 0.0);
    let in_rest = || row[whole..].iter().copied().find(|&x| x == 0.0);
    (0..8).find_map(in_lane).or_else(in_rest).unwrap_or(0.0)
}

/// Whether all of `x` lies in `±largest`, which NaN does not.
pub fn all_finite(isa: Isa, x: &[f32], largest: f32) -> bool {
    isa.run(AllFinite { x, largest })
}

struct AllFinite<'a> {
    x: &'a [f32],
    largest: f32,
}

impl Kernel for AllFinite<'_> {
    type Output = bool;

    #[inline(always)]
    fn run<S: Simd>(self, s: S) -> bool {
        // NaN stays NaN in a sum, and what is too large is made one.
        let (zero, largest, nan) = (s.splat(0.0), s.splat(self.largest), s.splat(f32::NAN));
        let mut sum = zero;
        for x in self.x.chunks(S::LANES) {
            let x = s.read(x);
            sum = s.add(sum, s.select_lt(largest, s.abs(x), nan, s.mul(x, zero)));
        }
        let mut lanes = [0f32; super::lanes::MOST];
        s.write(&mut lanes[..S::LANES], sum);
        lanes.iter().all(|lane| !lane.is_nan())
    }
}

/// Bias and scale in half precision of ranges `low`, `high`, written in their place: [`reference::grid`].
///
/// # Panics
/// The lengths differ.
pub fn grids(isa: Isa, bits: u32, [low, high]: [&mut [f32]; 2]) {
    assert_eq!(low.len(), high.len(), "ranges");
    isa.run(Grids { bits, low, high });
}

struct Grids<'a> {
    bits: u32,
    low: &'a mut [f32],
    high: &'a mut [f32],
}

impl Kernel for Grids<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let (one, levels) = (s.splat(1.0), s.splat(((1u32 << self.bits) - 1) as f32));
        for (low, high) in self.low.chunks_mut(S::LANES).zip(self.high.chunks_mut(S::LANES)) {
            let [bias, scale, _] = grid(s, round_half(s, s.read(low)), s.read(high), levels);
            s.write(low, bias);
            s.write(high, if_zero(s, scale, one, scale));
        }
    }
}

/// Codes of rows `x: [rows, columns]` on grids `bias`, `scale` (each `[rows]`), packed, the first in the lowest bits: to `at`
/// of each `stride` bytes of `out`.
///
/// # Panics
/// The lengths do not fit together, or `bits` is not 2, 4 or 8.
pub fn encode_rows(
    isa: Isa,
    bits: u32,
    x: &[f32],
    columns: usize,
    [bias, scale]: [&[f32]; 2],
    out: &mut [u8],
    [stride, at]: [usize; 2],
) {
    let rows = bias.len();
    assert!(matches!(bits, 2 | 4 | 8), "codes of {bits} bits");
    let bytes = (columns * bits as usize).div_ceil(8);
    assert!(columns > 0 && x.len() == columns * rows && scale.len() == rows, "grids of rows");
    assert!(at + bytes <= stride && out.len() == rows * stride, "room for codes");
    let rows = x.chunks_exact(columns).zip(bias).zip(scale).zip(out.chunks_exact_mut(stride));
    #[cfg(target_arch = "x86_64")]
    if isa.has_avx2() {
        for (((row, &bias), &scale), out) in rows {
            // SAFETY: an `Isa` that says so exists only where the CPU has avx2.
            unsafe { avx2::encode(row, bits, bias, 1.0 / scale, &mut out[at..at + bytes]) }
        }
        return;
    }
    let _ = isa;
    for (((row, &bias), &scale), out) in rows {
        reference::encode(row, bits, [bias, scale], &mut out[at..at + bytes]);
    }
}

/// The fused 8-bit form: codes `round((x − low)·255/(range + 1e−8))` of rows `x: [rows, columns]` with extremes `low` and `high`, to
/// `at` of each `stride` bytes of `out`.
///
/// # Panics
/// The lengths do not fit together.
pub fn encode_bytes(
    isa: Isa,
    x: &[f32],
    columns: usize,
    [low, high]: [&[f32]; 2],
    out: &mut [u8],
    [stride, at]: [usize; 2],
) {
    let rows = low.len();
    assert!(columns > 0 && x.len() == columns * rows && high.len() == rows, "extremes of rows");
    assert!(at + columns <= stride && out.len() == rows * stride, "room for codes");
    for (((row, &low), &high), out) in
        x.chunks_exact(columns).zip(low).zip(high).zip(out.chunks_exact_mut(stride))
    {
        let inverse = 255.0 / ((high - low) + 1e-8);
        let out = &mut out[at..at + columns];
        #[cfg(target_arch = "x86_64")]
        if isa.has_avx2() {
            // SAFETY: an `Isa` that says so exists only where the CPU has avx2.
            unsafe { avx2::encode(row, 8, low, inverse, out) }
            continue;
        }
        let _ = isa;
        for (to, &x) in out.iter_mut().zip(row) {
            *to = reference::code(x, low, inverse, 255.0) as u8;
        }
    }
}

/// 32 values at a time in registers.
#[cfg(target_arch = "x86_64")]
pub(super) mod avx2 {
    use std::arch::x86_64::*;

    /// Values whose codes are packed together.
    const STEP: usize = 32;

    /// Packs the codes of `row` to `out`, which has room for them and no more.
    #[inline]
    #[target_feature(enable = "avx2")]
    pub(in super::super) fn encode(row: &[f32], bits: u32, bias: f32, inverse: f32, out: &mut [u8]) {
        let bytes = STEP * bits as usize / 8;
        let mut values = row.chunks_exact(STEP);
        let mut places = out.chunks_mut(bytes);
        let grid = (_mm256_set1_ps(bias), _mm256_set1_ps(inverse));
        for x in values.by_ref() {
            let codes = codes(x, bits, grid);
            if let Some(to) = places.next() {
                pack(codes, bits, to);
            }
        }
        if let (false, Some(to)) = (values.remainder().is_empty(), places.next()) {
            // Codes of what is not there are zero.
            let mut padded = [bias; STEP];
            padded[..values.remainder().len()].copy_from_slice(values.remainder());
            let mut packed = [0; STEP];
            pack(codes(&padded, bits, grid), bits, &mut packed[..bytes]);
            to.copy_from_slice(&packed[..to.len()]);
        }
    }

    /// The codes of 32 values, a byte each.
    #[inline]
    #[target_feature(enable = "avx2")]
    fn codes(x: &[f32], bits: u32, (bias, inverse): (__m256, __m256)) -> __m256i {
        assert!(x.len() == STEP);
        let levels = _mm256_set1_ps(((1u32 << bits) - 1) as f32);
        let mut whole = [_mm256_setzero_si256(); 4];
        for (nth, to) in whole.iter_mut().enumerate() {
            // SAFETY: the slice holds 32 values.
            let x = unsafe { _mm256_loadu_ps(x.as_ptr().add(8 * nth)) };
            // Held to the levels before it becomes an integer, since what does not fit one would lose its sign.
            let steps = _mm256_min_ps(_mm256_mul_ps(_mm256_sub_ps(x, bias), inverse), levels);
            *to = _mm256_cvtps_epi32(steps);
        }
        let [a, b, c, d] = whole;
        // Saturating: what is negative becomes zero. The four groups of each half come out interleaved.
        let mixed = _mm256_packus_epi16(_mm256_packs_epi32(a, b), _mm256_packs_epi32(c, d));
        _mm256_permutevar8x32_epi32(mixed, _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7))
    }

    /// 32 codes of a byte each to as many of `bits`.
    #[inline]
    #[target_feature(enable = "avx2")]
    fn pack(codes: __m256i, bits: u32, to: &mut [u8]) {
        assert!(to.len() == STEP * bits as usize / 8);
        match bits {
            // SAFETY: 32 bytes, as asserted.
            8 => unsafe { _mm256_storeu_si256(to.as_mut_ptr().cast(), codes) },
            4 => {
                // Pairs: the first and 16 times the second.
                let pairs = _mm256_maddubs_epi16(codes, _mm256_set1_epi16(0x1001));
                let packed = _mm256_permute4x64_epi64::<0b1000>(_mm256_packus_epi16(pairs, pairs));
                // SAFETY: 16 bytes, as asserted.
                unsafe { _mm_storeu_si128(to.as_mut_ptr().cast(), _mm256_castsi256_si128(packed)) }
            }
            _ => {
                let pairs = _mm256_maddubs_epi16(codes, _mm256_set1_epi16(0x0401));
                let fours = _mm256_madd_epi16(pairs, _mm256_set1_epi32(0x0010_0001));
                let halves = _mm256_packus_epi32(fours, fours);
                let quarters = _mm256_packus_epi16(halves, halves);
                let packed = _mm256_permutevar8x32_epi32(quarters, _mm256_setr_epi32(0, 4, 0, 4, 0, 4, 0, 4));
                // SAFETY: 8 bytes, as asserted.
                unsafe { _mm_storel_epi64(to.as_mut_ptr().cast(), _mm256_castsi256_si128(packed)) }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::noise;

    #[test]
    fn every_instruction_set_packs_the_codes_of_the_plain_loops() {
        for bits in [2u32, 4, 8] {
            for columns in [1usize, 3, 8, 31, 32, 64, 100] {
                let rows = 7;
                let x = noise(rows * columns, columns as u64 + u64::from(bits));
                let bytes = (columns * bits as usize).div_ceil(8);
                let (stride, at) = (bytes + 6, 2);
                for isa in Isa::supported() {
                    let (mut low, mut high) = (vec![0.0; rows], vec![0.0; rows]);
                    extremes(isa, &x, columns, [&mut low, &mut high]);
                    // Ranges that cut, too.
                    high.iter_mut().for_each(|high| *high *= 0.7);
                    grids(isa, bits, [&mut low, &mut high]);
                    let mut out = vec![7; rows * stride];
                    encode_rows(isa, bits, &x, columns, [&low, &high], &mut out, [stride, at]);
                    for (nth, (row, out)) in x.chunks(columns).zip(out.chunks(stride)).enumerate() {
                        let [lo, hi] = reference::extremes(row);
                        let grid = reference::grid(lo, hi * 0.7, ((1u32 << bits) - 1) as f32);
                        assert_eq!([low[nth], high[nth]], grid, "{isa}");
                        let mut want = vec![7; stride];
                        reference::encode(row, bits, grid, &mut want[at..at + bytes]);
                        assert_eq!(out, want, "{isa}: {bits} bits, {columns} columns");
                    }
                }
            }
        }
    }

    #[test]
    fn bytes_are_the_same_on_every_instruction_set() {
        let (rows, columns) = (5, 37);
        let mut x = noise(rows * columns, 3);
        x[..columns].fill(-2.5);
        let mut all = Vec::new();
        for isa in Isa::supported() {
            let (mut low, mut high) = (vec![0.0; rows], vec![0.0; rows]);
            extremes(isa, &x, columns, [&mut low, &mut high]);
            let mut out = vec![0; rows * columns];
            encode_bytes(isa, &x, columns, [&low, &high], &mut out, [columns, 0]);
            assert_eq!(out[..columns], vec![0; columns], "a constant row has zeros");
            all.push(out);
        }
        assert!(all.iter().all(|out| out == &all[0]));
    }
}
