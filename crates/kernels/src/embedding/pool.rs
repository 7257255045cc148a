//! Sums of rows straight from their codes: embedding bags.
//!
//! A row is read once. Bytes of codes are taken 32 at a time as eight words; the codes in one place of all words are
//! masked out where they stand, so that they count `2^place` times too much, which a power of two at the end takes
//! back without rounding. That saves the shift of every code and the scale of every place: a mask, a conversion and a
//! multiplication remain per eight values. Biases of a bag are summed apart and added once. Rows to come are fetched
//! while the present ones are summed.

use super::reference;
use crate::Isa;

/// What stands beside the codes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parameters {
    /// Scale, then bias, each 2 bytes of half precision.
    Half,
    /// Scale, then bias, each 4 bytes.
    Float,
}

/// Where things are in a row of bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    /// Values of a row.
    pub columns: usize,
    /// Width of a code: 2, 4 or 8.
    pub bits: u32,
    /// Bytes from one row to the next.
    pub stride: usize,
    /// First byte of the codes.
    pub codes_at: usize,
    /// First byte of scale and bias.
    pub parameters_at: usize,
    /// Their form.
    pub parameters: Parameters,
}

/// A table of packed rows.
#[derive(Clone, Copy, Debug)]
pub struct Rows<'a> {
    /// Rows, one after the other.
    pub bytes: &'a [u8],
    /// The form of each.
    pub layout: Layout,
}

impl Rows<'_> {
    /// Number of rows.
    pub fn len(&self) -> usize {
        self.bytes.len() / self.layout.stride
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn check(&self) {
        let Layout { columns, bits, stride, codes_at, parameters_at, parameters } = self.layout;
        let codes = (columns * bits as usize).div_ceil(8);
        let beside = if parameters == Parameters::Half { 4 } else { 8 };
        assert!(matches!(bits, 2 | 4 | 8) && columns > 0 && stride > 0, "a row of codes");
        assert!(codes_at + codes <= stride && parameters_at + beside <= stride, "a row within its stride");
        assert!(self.bytes.len().is_multiple_of(stride), "whole rows");
    }
}

/// For each bag `[from, to)` of `indices` the sum (or mean) of its rows, each times its weight, to `out: [bags, columns]`.
/// A negative index is a row that was pruned: it adds nothing and does not count.
///
/// # Panics
/// The lengths do not fit together, or an index or bag is out of range.
pub fn pool_rows(
    isa: Isa,
    rows: &Rows<'_>,
    indices: &[i64],
    bags: &[[usize; 2]],
    weights: Option<&[f32]>,
    mean: bool,
    out: &mut [f32],
) {
    rows.check();
    assert_eq!(out.len(), bags.len() * rows.layout.columns, "room for bags");
    assert!(weights.is_none_or(|weights| weights.len() == indices.len()), "a weight per index");
    assert!(bags.iter().all(|&[from, to]| from <= to && to <= indices.len()), "bags of indices");
    let most = indices.iter().copied().max().unwrap_or(-1);
    assert!(most < rows.len() as i64, "index {most} of {} rows", rows.len());
    #[cfg(target_arch = "x86_64")]
    if isa.has_avx2() && is_x86_feature_detected!("f16c") {
        let call = avx2::Call { rows: *rows, indices, bags, weights, mean };
        // SAFETY: the CPU has the features. Indices below the number of rows, bags within the indices, weights for all
        // of them, and rows that hold what the layout says were checked above.
        return unsafe {
            match rows.layout.bits {
                2 => avx2::pool::<2>(&call, out),
                4 => avx2::pool::<4>(&call, out),
                _ => avx2::pool::<8>(&call, out),
            }
        };
    }
    let _ = isa;
    reference::pool(rows, indices, bags, weights, mean, out);
}

/// Reads one word of each cache line of the rows at `indices`, in this order, as fast as memory gives them: the bound for
/// [`pool_rows`].
///
/// # Panics
/// An index is out of range.
pub fn touch_rows(isa: Isa, bytes: &[u8], stride: usize, indices: &[i64]) -> u64 {
    let at = |index: i64| &bytes[index as usize * stride..][..stride];
    let mut sum = 0u64;
    for (nth, &index) in indices.iter().enumerate() {
        #[cfg(target_arch = "x86_64")]
        if let (true, Some(&later)) = (isa.has_avx2(), indices.get(nth + 24)) {
            let row = at(later);
            // SAFETY: fetching ahead reads nothing, and the places are in the slice.
            unsafe {
                use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
                _mm_prefetch::<_MM_HINT_T0>(row.as_ptr().cast());
                _mm_prefetch::<_MM_HINT_T0>(row.as_ptr().add(stride - 1).cast());
            }
        }
        let row = at(index);
        sum = row
            .iter()
            .step_by(64)
            .chain(row.last())
            .fold(sum, |sum, &byte| sum.wrapping_add(u64::from(byte)));
        let _ = (nth, isa);
    }
    sum
}

#[cfg(target_arch = "x86_64")]
mod avx2 {
    use std::arch::x86_64::*;

    use super::{Parameters, Rows};

    /// Bytes of codes that are taken at once.
    const BLOCK: usize = 32;
    /// Sums that are kept in registers.
    const SUMS: usize = 8;
    /// Rows that are fetched ahead.
    const AHEAD: usize = 20;

    pub(super) struct Call<'a> {
        pub(super) rows: Rows<'a>,
        pub(super) indices: &'a [i64],
        pub(super) bags: &'a [[usize; 2]],
        pub(super) weights: Option<&'a [f32]>,
        pub(super) mean: bool,
    }

    /// # Safety
    /// Indices are below the number of rows, bags within the indices, weights are as many as indices, and rows hold
    /// what the layout says.
    #[target_feature(enable = "avx2,fma,f16c")]
    pub(super) unsafe fn pool<const BITS: usize>(call: &Call<'_>, out: &mut [f32]) {
        let layout = &call.rows.layout;
        let codes = (layout.columns * BITS).div_ceil(8);
        // Two blocks of bytes, one of nibbles, or one of pairs, whose sixteen places are taken in two halves.
        let (columns, bytes, halves) = match BITS {
            8 => (64, 2 * BLOCK, 1),
            4 => (64, BLOCK, 1),
            _ => (128, BLOCK, 2),
        };
        for (&[from, to], out) in call.bags.iter().zip(out.chunks_exact_mut(layout.columns)) {
            for (nth, out) in out.chunks_mut(columns).enumerate() {
                for half in 0..halves {
                    let (block, first) = (nth * bytes, nth == 0 && half == 0);
                    // SAFETY: the caller's promise; `block < codes`.
                    let sums = unsafe {
                        if call.weights.is_some() {
                            bag::<BITS, true>(call, [from, to], [block, codes - block], half, first)
                        } else {
                            bag::<BITS, false>(call, [from, to], [block, codes - block], half, first)
                        }
                    };
                    write::<BITS>(sums, half, out);
                }
            }
        }
    }

    /// The sums of one bag for the columns of one pass.
    ///
    /// # Safety
    /// As [`pool`]; `left` bytes of codes are in each row from `block` on, at least one.
    #[inline]
    #[target_feature(enable = "avx2,fma,f16c")]
    unsafe fn bag<const BITS: usize, const WEIGHTED: bool>(
        call: &Call<'_>,
        [from, to]: [usize; 2],
        [block, left]: [usize; 2],
        half: usize,
        first: bool,
    ) -> [__m256; SUMS] {
        let Rows { bytes, layout } = call.rows;
        // Bytes that a pass takes of each row, and the first row that is too near the end to take them all.
        let taken = if BITS == 8 { 2 * BLOCK } else { BLOCK };
        let at = layout.codes_at + block;
        let safe = (bytes.len() + layout.stride).saturating_sub(at + taken) / layout.stride;
        let mut sums = [_mm256_setzero_ps(); SUMS];
        let mut beside = _mm_setzero_ps();
        let mut held = 0u32;
        for nth in from..to {
            // SAFETY: `nth` is below the number of indices.
            let index = unsafe { *call.indices.get_unchecked(nth) };
            if first && nth + AHEAD < call.indices.len() {
                // SAFETY: as before; fetching ahead reads nothing, wherever it points.
                unsafe {
                    let later = *call.indices.get_unchecked(nth + AHEAD);
                    let row = bytes.as_ptr().wrapping_offset(later as isize * layout.stride as isize);
                    _mm_prefetch::<_MM_HINT_T0>(row.cast());
                    _mm_prefetch::<_MM_HINT_T0>(row.wrapping_add(layout.stride - 1).cast());
                    if layout.stride > 128 {
                        for line in (64..layout.stride - 1).step_by(64) {
                            _mm_prefetch::<_MM_HINT_T0>(row.wrapping_add(line).cast());
                        }
                    }
                }
            }
            if index < 0 {
                continue;
            }
            let index = index as usize;
            // SAFETY: `index` is below the number of rows.
            let row = unsafe { bytes.as_ptr().add(index * layout.stride) };
            // Scale and bias in the two lowest lanes.
            // SAFETY: both lie in the row.
            let mut parameters = unsafe {
                let place = row.add(layout.parameters_at);
                match layout.parameters {
                    Parameters::Half => _mm_cvtph_ps(_mm_loadu_si32(place)),
                    Parameters::Float => _mm_castsi128_ps(_mm_loadl_epi64(place.cast())),
                }
            };
            if WEIGHTED && let Some(weights) = call.weights {
                // SAFETY: there are as many weights as indices.
                parameters = _mm_mul_ps(parameters, _mm_set1_ps(unsafe { *weights.get_unchecked(nth) }));
            }
            beside = _mm_add_ps(beside, parameters);
            held += 1;
            let scale = _mm256_broadcastss_ps(parameters);
            // SAFETY: `at + taken` bytes from the row on are in the table, or are copied.
            let words = unsafe {
                if index < safe {
                    let place = row.add(at);
                    [
                        _mm256_loadu_si256(place.cast()),
                        if BITS == 8 {
                            _mm256_loadu_si256(place.add(BLOCK).cast())
                        } else {
                            _mm256_setzero_si256()
                        },
                    ]
                } else {
                    let mut copy = [0u8; 2 * BLOCK];
                    std::ptr::copy_nonoverlapping(row.add(at), copy.as_mut_ptr(), left.min(taken));
                    [
                        _mm256_loadu_si256(copy.as_ptr().cast()),
                        _mm256_loadu_si256(copy.as_ptr().add(BLOCK).cast()),
                    ]
                }
            };
            add::<BITS>(&mut sums, words, half, scale);
        }
        let count = if call.mean && held > 0 { 1.0 / held as f32 } else { 1.0 };
        let bias = _mm256_broadcastss_ps(_mm_shuffle_ps::<0b01>(beside, beside));
        let count = _mm256_set1_ps(count);
        for (nth, sum) in sums.iter_mut().enumerate() {
            let place = match BITS {
                8 => nth % 4,
                _ => nth + if BITS == 2 { half * SUMS } else { 0 },
            };
            let shift = if place == 32 / BITS - 1 { 0 } else { BITS * place };
            let back = _mm256_set1_ps(f32::from_bits((127 - shift as u32) << 23));
            *sum = _mm256_mul_ps(_mm256_fmadd_ps(*sum, back, bias), count);
        }
        sums
    }

    /// Adds `scale` times the codes of each place to its sum, as often as the place says.
    #[inline]
    #[target_feature(enable = "avx2,fma,f16c")]
    fn add<const BITS: usize>(sums: &mut [__m256; SUMS], words: [__m256i; 2], half: usize, scale: __m256) {
        let mask = (1i32 << BITS) - 1;
        // The highest place would be a sign; it comes down instead.
        let places = 32 / BITS;
        let code = |words: __m256i, place: usize| {
            if place == places - 1 {
                match BITS {
                    8 => _mm256_srli_epi32::<24>(words),
                    4 => _mm256_srli_epi32::<28>(words),
                    _ => _mm256_srli_epi32::<30>(words),
                }
            } else {
                _mm256_and_si256(words, _mm256_set1_epi32(mask << (BITS * place)))
            }
        };
        match (BITS, half) {
            (8, _) => {
                for (nth, sum) in sums.iter_mut().enumerate() {
                    let code = code(words[nth / 4], nth % 4);
                    *sum = _mm256_fmadd_ps(_mm256_cvtepi32_ps(code), scale, *sum);
                }
            }
            (_, 0) => {
                for (nth, sum) in sums.iter_mut().enumerate() {
                    *sum = _mm256_fmadd_ps(_mm256_cvtepi32_ps(code(words[0], nth)), scale, *sum);
                }
            }
            _ => {
                for (nth, sum) in sums.iter_mut().enumerate() {
                    let code = code(words[0], SUMS + nth);
                    *sum = _mm256_fmadd_ps(_mm256_cvtepi32_ps(code), scale, *sum);
                }
            }
        }
    }

    /// Eight rows of eight lanes to eight columns.
    #[inline]
    #[target_feature(enable = "avx2,fma,f16c")]
    fn transpose(r: [__m256; 8]) -> [__m256; 8] {
        let pairs = |a, b| [_mm256_unpacklo_ps(a, b), _mm256_unpackhi_ps(a, b)];
        let [[a, b], [c, d], [e, f], [g, h]] =
            [pairs(r[0], r[1]), pairs(r[2], r[3]), pairs(r[4], r[5]), pairs(r[6], r[7])];
        let fours =
            |a, b| [_mm256_shuffle_ps::<0b01_00_01_00>(a, b), _mm256_shuffle_ps::<0b11_10_11_10>(a, b)];
        let [[s0, s1], [s2, s3], [t0, t1], [t2, t3]] = [fours(a, c), fours(b, d), fours(e, g), fours(f, h)];
        let [u0, u1] = [[s0, t0], [s1, t1]];
        let [u2, u3] = [[s2, t2], [s3, t3]];
        let mut out = [_mm256_setzero_ps(); 8];
        for (nth, [s, t]) in [u0, u1, u2, u3].into_iter().enumerate() {
            out[nth] = _mm256_permute2f128_ps::<0x20>(s, t);
            out[nth + 4] = _mm256_permute2f128_ps::<0x31>(s, t);
        }
        out
    }

    /// Sums by place and word to the order of columns.
    #[inline]
    #[target_feature(enable = "avx2,fma,f16c")]
    fn write<const BITS: usize>(sums: [__m256; SUMS], half: usize, out: &mut [f32]) {
        // Columns of a word and where the places of this half are among them.
        let (step, at) = if BITS == 2 { (16, 8 * half) } else { (8, 0) };
        for (word, &lanes) in transpose(sums).iter().enumerate() {
            let mut row = [0f32; 8];
            // SAFETY: room for eight values.
            unsafe { _mm256_storeu_ps(row.as_mut_ptr(), lanes) }
            if BITS == 8 {
                put(out, 4 * word, &row[..4]);
                put(out, 32 + 4 * word, &row[4..]);
            } else {
                put(out, step * word + at, &row);
            }
        }
    }

    /// Copies as much of `values` to `at` of `out` as is there.
    #[inline(always)]
    fn put(out: &mut [f32], at: usize, values: &[f32]) {
        if at + values.len() <= out.len() {
            out[at..at + values.len()].copy_from_slice(values);
        } else if at < out.len() {
            let n = out.len() - at;
            out[at..].copy_from_slice(&values[..n]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{bytes, noise};

    fn layouts(columns: usize) -> Vec<Layout> {
        let mut all = Vec::new();
        for bits in [2u32, 4, 8] {
            let codes = (columns * bits as usize).div_ceil(8);
            for (parameters, beside) in [(Parameters::Half, 4), (Parameters::Float, 8)] {
                let layout = Layout {
                    columns,
                    bits,
                    stride: codes + beside,
                    codes_at: 0,
                    parameters_at: codes,
                    parameters,
                };
                all.extend([layout, Layout { codes_at: beside, parameters_at: 0, ..layout }]);
            }
        }
        all
    }

    /// Rows of any codes with plain scales and biases.
    fn table(layout: &Layout, rows: usize) -> Vec<u8> {
        let mut table = bytes(rows * layout.stride, 5);
        for (nth, row) in table.chunks_mut(layout.stride).enumerate() {
            let (scale, bias) = (0.01 + nth as f32 / 64.0, nth as f32 / 8.0 - 1.0);
            let at = layout.parameters_at;
            match layout.parameters {
                Parameters::Half => {
                    row[at..at + 2].copy_from_slice(&reference::half_bits(scale).to_le_bytes());
                    row[at + 2..at + 4].copy_from_slice(&reference::half_bits(bias).to_le_bytes());
                }
                Parameters::Float => {
                    row[at..at + 4].copy_from_slice(&scale.to_le_bytes());
                    row[at + 4..at + 8].copy_from_slice(&bias.to_le_bytes());
                }
            }
        }
        table
    }

    #[test]
    fn every_instruction_set_sums_what_the_plain_loops_sum() {
        let rows = 13;
        for columns in [1, 7, 16, 31, 64, 65, 100, 128, 200] {
            for layout in layouts(columns) {
                let table = table(&layout, rows);
                let rows = Rows { bytes: &table, layout };
                let indices: Vec<i64> = (0..50).map(|i| if i % 11 == 10 { -1 } else { i * 7 % 13 }).collect();
                let bags = [[0, 3], [3, 3], [3, 43], [43, 50]];
                let weights = noise(50, 9);
                for weights in [None, Some(&weights[..])] {
                    for mean in [false, true] {
                        let mut want = vec![9.0; 4 * columns];
                        reference::pool(&rows, &indices, &bags, weights, mean, &mut want);
                        for isa in Isa::supported() {
                            let mut got = vec![9.0; 4 * columns];
                            pool_rows(isa, &rows, &indices, &bags, weights, mean, &mut got);
                            for (i, (got, want)) in got.iter().zip(&want).enumerate() {
                                let close = (got - want).abs() <= 2e-5 * (40.0 + want.abs());
                                assert!(close, "{isa} {layout:?} {mean}: {i}: {got} {want}");
                            }
                        }
                    }
                }
            }
        }
    }
}
