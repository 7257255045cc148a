//! Rows on the grid of their extremes, in one pass: what [`super::extremes`], [`super::all_finite`], [`super::grids`] and
//! [`super::encode_rows`] do one after the other, eight rows at a time, so that a row is met in memory once and the rest
//! happens in the nearest cache and in registers.

use super::pool::{Layout, Parameters};
use crate::Isa;

/// Packs rows `x: [rows, columns]` on the grids of their extremes to `out: [rows, stride]`, as `layout` says, with parameters
/// of half precision. Gives `false`, and leaves in `out` what may be anything, where the CPU has no fast form or a value
/// lies beyond `±largest` (at most 65504) or is NaN.
///
/// # Panics
/// The lengths do not fit the layout.
pub fn asym_rows(isa: Isa, x: &[f32], largest: f32, layout: &Layout, out: &mut [u8]) -> bool {
    let (columns, bits) = (layout.columns, layout.bits);
    let bytes = (columns * bits as usize).div_ceil(8);
    assert!(matches!(bits, 2 | 4 | 8) && layout.parameters == Parameters::Half, "codes of {bits} bits");
    assert!(columns > 0 && x.len().is_multiple_of(columns), "whole rows");
    assert!(
        layout.codes_at + bytes <= layout.stride && layout.parameters_at + 4 <= layout.stride,
        "codes and parameters within the row"
    );
    assert!(x.len() / columns * layout.stride == out.len(), "rows and their room");
    #[cfg(target_arch = "x86_64")]
    if isa.has_avx2() && is_x86_feature_detected!("f16c") {
        // SAFETY: an `Isa` that says so exists only where the CPU has avx2, and f16c was asked for.
        return unsafe { avx2::pack(x, largest, layout, out) };
    }
    let _ = (isa, largest);
    false
}

#[cfg(target_arch = "x86_64")]
mod avx2 {
    use std::arch::x86_64::*;

    use super::super::encode::{avx2::encode, zero_of};
    use super::Layout;

    /// Rows that share a vector of parameters, one in each lane.
    const ROWS: usize = 8;
    /// Values ahead that are fetched while rows are packed: two pages, measured (of half as many it is nearly as fast, of a
    /// quarter it is not, and with none half as fast).
    const AHEAD: usize = 2048;

    #[target_feature(enable = "avx2,f16c")]
    pub(super) fn pack(x: &[f32], largest: f32, layout: &Layout, out: &mut [u8]) -> bool {
        let (columns, stride) = (layout.columns, layout.stride);
        let code_bytes = layout.codes_at..layout.codes_at + (columns * layout.bits as usize).div_ceil(8);
        let levels = _mm256_set1_ps(((1u32 << layout.bits) - 1) as f32);
        let one = _mm256_set1_ps(1.0);
        let largest = _mm256_set1_ps(largest);
        for (rows, out) in x.chunks(ROWS * columns).zip(out.chunks_mut(ROWS * stride)) {
            // Where rows are left over, the last one fills the other lanes.
            let last = rows.len() / columns - 1;
            let (mut lows, mut highs) = ([_mm256_setzero_ps(); ROWS], [_mm256_setzero_ps(); ROWS]);
            let mut nan = _mm256_setzero_ps();
            for (lane, (low, high)) in lows.iter_mut().zip(&mut highs).enumerate() {
                let extremes = extremes(&rows[lane.min(last) * columns..][..columns]);
                (*low, *high) = (extremes[0], extremes[1]);
                nan = _mm256_or_ps(nan, extremes[2]);
            }
            let mut low = across(lows, |a, b| _mm256_min_ps(a, b));
            let high = across(highs, |a, b| _mm256_max_ps(a, b));
            let below = _mm256_cmp_ps::<_CMP_LT_OQ>(low, _mm256_sub_ps(_mm256_setzero_ps(), largest));
            let above = _mm256_cmp_ps::<_CMP_GT_OQ>(high, largest);
            if _mm256_movemask_ps(_mm256_or_ps(nan, _mm256_or_ps(below, above))) != 0 {
                return false;
            }
            if _mm256_movemask_ps(_mm256_cmp_ps::<_CMP_EQ_OQ>(low, _mm256_setzero_ps())) != 0 {
                low = signed_zeros(low, rows, columns);
            }

            let bias_bits = _mm256_cvtps_ph::<_MM_FROUND_TO_NEAREST_INT>(low);
            let bias = _mm256_cvtph_ps(bias_bits);
            // No range, or one below half precision, has a scale of 1.
            let scale_bits = _mm256_cvtps_ph::<_MM_FROUND_TO_NEAREST_INT>(_mm256_div_ps(
                _mm256_sub_ps(high, bias),
                levels,
            ));
            let scale = _mm256_cvtph_ps(scale_bits);
            let scale = _mm256_blendv_ps(scale, one, _mm256_cmp_ps::<_CMP_EQ_OQ>(scale, _mm256_setzero_ps()));
            let inverse = _mm256_div_ps(one, scale);
            let scale_bits = _mm256_cvtps_ph::<_MM_FROUND_TO_NEAREST_INT>(scale);
            let parameters =
                [_mm_unpacklo_epi16(scale_bits, bias_bits), _mm_unpackhi_epi16(scale_bits, bias_bits)];

            // SAFETY: vectors of 32 and of 16 bytes become arrays of as many.
            let (bias, inverse, parameters) = unsafe {
                (
                    std::mem::transmute::<__m256, [f32; ROWS]>(bias),
                    std::mem::transmute::<__m256, [f32; ROWS]>(inverse),
                    std::mem::transmute::<[__m128i; 2], [[u8; 4]; ROWS]>(parameters),
                )
            };
            let lanes = bias.into_iter().zip(inverse).zip(parameters);
            for ((row, out), ((bias, inverse), parameters)) in
                rows.chunks_exact(columns).zip(out.chunks_exact_mut(stride)).zip(lanes)
            {
                for line in row.chunks(16) {
                    // Fetching what is not there does nothing.
                    _mm_prefetch::<_MM_HINT_T0>(line.as_ptr().wrapping_add(AHEAD).cast());
                }
                encode(row, layout.bits, bias, inverse, &mut out[code_bytes.clone()]);
                out[layout.parameters_at..layout.parameters_at + 4].copy_from_slice(&parameters);
            }
        }
        true
    }

    /// Least and greatest values of a row, lane by lane, and all ones where a lane met NaN.
    #[inline]
    #[target_feature(enable = "avx2")]
    fn extremes(row: &[f32]) -> [__m256; 3] {
        // Where less than a vector is left, the row's first value stands for what is not there.
        let first = _mm256_set1_ps(row[0]);
        let (mut low, mut high) = ([first; 2], [first; 2]);
        let mut nan = _mm256_setzero_ps();
        let mut meet = |[a, b]: [__m256; 2]| {
            nan = _mm256_or_ps(nan, _mm256_cmp_ps::<_CMP_UNORD_Q>(a, b));
            low = [_mm256_min_ps(a, low[0]), _mm256_min_ps(b, low[1])];
            high = [_mm256_max_ps(a, high[0]), _mm256_max_ps(b, high[1])];
        };
        let mut pairs = row.chunks_exact(16);
        for x in pairs.by_ref() {
            // SAFETY: the slice holds 16 values.
            meet(unsafe { [_mm256_loadu_ps(x.as_ptr()), _mm256_loadu_ps(x.as_ptr().add(8))] });
        }
        if !pairs.remainder().is_empty() {
            let mut rest = [row[0]; 16];
            rest[..pairs.remainder().len()].copy_from_slice(pairs.remainder());
            // SAFETY: the array holds 16 values.
            meet(unsafe { [_mm256_loadu_ps(rest.as_ptr()), _mm256_loadu_ps(rest.as_ptr().add(8))] });
        }
        [_mm256_min_ps(low[0], low[1]), _mm256_max_ps(high[0], high[1]), nan]
    }

    /// In lane `i`, all lanes of `rows[i]` put together by `join`.
    #[inline]
    #[target_feature(enable = "avx2")]
    fn across(rows: [__m256; ROWS], join: impl Fn(__m256, __m256) -> __m256) -> __m256 {
        let [a, b, c, d, e, f, g, h] = rows;
        let pair = |a, b| join(_mm256_unpacklo_ps(a, b), _mm256_unpackhi_ps(a, b));
        // Of two rows side by side, 64 bits of each half.
        let four = |ab, cd| {
            let (ab, cd) = (_mm256_castps_pd(ab), _mm256_castps_pd(cd));
            let (low, high) = (_mm256_unpacklo_pd(ab, cd), _mm256_unpackhi_pd(ab, cd));
            join(_mm256_castpd_ps(low), _mm256_castpd_ps(high))
        };
        let (abcd, efgh) = (four(pair(a, b), pair(c, d)), four(pair(e, f), pair(g, h)));
        join(_mm256_permute2f128_ps::<0x20>(abcd, efgh), _mm256_permute2f128_ps::<0x31>(abcd, efgh))
    }

    /// `low` with the zeros whose sign PyTorch's rows have.
    #[cold]
    #[target_feature(enable = "avx2")]
    fn signed_zeros(low: __m256, rows: &[f32], columns: usize) -> __m256 {
        let mut lows = [0f32; ROWS];
        // SAFETY: the array holds eight values.
        unsafe { _mm256_storeu_ps(lows.as_mut_ptr(), low) };
        for (low, row) in lows.iter_mut().zip(rows.chunks_exact(columns)) {
            if *low == 0.0 {
                *low = zero_of(row);
            }
        }
        // SAFETY: as above.
        unsafe { _mm256_loadu_ps(lows.as_ptr()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::embedding::{encode_rows, extremes, grids, reference};
    use crate::testing::noise;

    /// The same by the steps that this one stands for.
    fn stepwise(isa: Isa, x: &[f32], layout: &Layout, out: &mut [u8]) {
        let rows = x.len() / layout.columns;
        let (mut low, mut high) = (vec![0.0; rows], vec![0.0; rows]);
        extremes(isa, x, layout.columns, [&mut low, &mut high]);
        grids(isa, layout.bits, [&mut low, &mut high]);
        let place = [layout.stride, layout.codes_at];
        encode_rows(isa, layout.bits, x, layout.columns, [&low, &high], out, place);
        for ((out, bias), scale) in out.chunks_exact_mut(layout.stride).zip(low).zip(high) {
            let out = &mut out[layout.parameters_at..][..4];
            out[..2].copy_from_slice(&reference::half_bits(scale).to_le_bytes());
            out[2..].copy_from_slice(&reference::half_bits(bias).to_le_bytes());
        }
    }

    #[test]
    fn one_pass_gives_the_bytes_of_the_steps_one_by_one() {
        for bits in [2u32, 4, 8] {
            for columns in [1usize, 4, 15, 16, 31, 64, 100] {
                for rows in [1usize, 7, 8, 21] {
                    let mut x = noise(rows * columns, (columns + rows) as u64);
                    // Constant rows, zeros of either sign, ranges below half precision, large values.
                    for (nth, row) in x.chunks_mut(columns).enumerate() {
                        match nth % 7 {
                            1 => row.fill(0.25),
                            2 => row.iter_mut().for_each(|x| *x = x.max(-0.0)),
                            3 => row.iter_mut().for_each(|x| *x *= 1e-7),
                            4 => row.iter_mut().for_each(|x| *x *= 60_000.0),
                            5 => row.iter_mut().for_each(|x| *x = x.max(0.0)),
                            _ => {}
                        }
                    }
                    let bytes = (columns * bits as usize).div_ceil(8);
                    for (codes_at, parameters_at) in [(0, bytes), (4, 0)] {
                        let parameters = Parameters::Half;
                        let stride = bytes + 4;
                        let layout = Layout { bits, columns, stride, codes_at, parameters_at, parameters };
                        for isa in Isa::supported() {
                            let (mut got, mut want) = (vec![0; rows * stride], vec![0; rows * stride]);
                            stepwise(isa, &x, &layout, &mut want);
                            if asym_rows(isa, &x, 65504.0, &layout, &mut got) {
                                assert_eq!(got, want, "{isa}: {bits} bits, {rows} × {columns}");
                            }
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn a_value_that_no_code_can_say_is_left_to_the_steps() {
        let layout = |columns| Layout {
            bits: 4,
            columns,
            stride: columns.div_ceil(2) + 4,
            codes_at: 0,
            parameters_at: columns.div_ceil(2),
            parameters: Parameters::Half,
        };
        for columns in [5usize, 16, 64] {
            for at in 0..columns * 9 {
                for wrong in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, 70_000.0, -65_505.0] {
                    let mut x = noise(columns * 9, 1);
                    x[at] = wrong;
                    let layout = layout(columns);
                    let mut out = vec![0; 9 * layout.stride];
                    assert!(!asym_rows(Isa::best(), &x, 65504.0, &layout, &mut out), "{wrong} at {at}");
                }
            }
        }
    }
}
