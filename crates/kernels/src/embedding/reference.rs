//! The plain loops that define the answers.

use super::greedy::Greedy;
use super::pool::{Layout, Parameters, Rows};

/// The 16 bits of the nearest half-precision value, ties to even; infinite beyond the largest.
pub fn half_bits(x: f32) -> u16 {
    let bits = x.to_bits();
    let sign = (bits >> 16 & 0x8000) as u16;
    let size = bits & 0x7fff_ffff;
    match size {
        0x7f80_0001.. => sign | 0x7e00,
        0x4780_0000.. => sign | 0x7c00,
        // Normal: the exponent moves by 112, and a carry out of the fraction is right, even into infinity.
        0x3880_0000.. => sign | ((size - 0x3800_0000 + 0xfff + (size >> 13 & 1)) >> 13) as u16,
        // Below the normal numbers: units of 2^−24, where an f32 sum of this size has its last place.
        _ => sign | ((f32::from_bits(size) + 0.5).to_bits() - 0x3f00_0000) as u16,
    }
}

/// The value of 16 bits of half precision.
pub fn half_value(bits: u16) -> f32 {
    let sign = u32::from(bits & 0x8000) << 16;
    let (exponent, fraction) = (u32::from(bits >> 10 & 0x1f), u32::from(bits & 0x3ff));
    let size = match exponent {
        0 => (fraction as f32 * 2f32.powi(-24)).to_bits(),
        31 => 0x7f80_0000 | fraction << 13,
        _ => (exponent + 112) << 23 | fraction << 13,
    };
    f32::from_bits(sign | size)
}

/// The nearest half-precision value, as f32.
pub fn round_half(x: f32) -> f32 {
    half_value(half_bits(x))
}

/// Least and greatest value; of equal ones (zeros of both signs) the first.
pub fn extremes(row: &[f32]) -> [f32; 2] {
    row[1..]
        .iter()
        .fold([row[0]; 2], |[lo, hi], &x| [if x < lo { x } else { lo }, if x > hi { x } else { hi }])
}

/// Bias and scale, both of half precision, of a range: `bias = low`, `scale = (high − bias) / levels`, or 1 where there
/// is no range, or less than half precision can say.
pub fn grid(low: f32, high: f32, levels: f32) -> [f32; 2] {
    let bias = round_half(low);
    let range = high - bias;
    let scale = if range == 0.0 { 1.0 } else { round_half(range / levels) };
    [bias, if scale == 0.0 || (1.0 / scale).is_infinite() { 1.0 } else { scale }]
}

/// The code of `x`: `clamp(round((x − bias)·inverse), 0, levels)`, ties to even.
pub fn code(x: f32, bias: f32, inverse: f32, levels: f32) -> f32 {
    let steps = ((x - bias) * inverse).round_ties_even();
    let held = if steps < levels { steps } else { levels };
    if held > 0.0 { held } else { 0.0 }
}

/// Root of the summed squared errors of a row on a grid, each step in f32.
pub fn error(row: &[f32], [bias, scale]: [f32; 2], levels: f32) -> f32 {
    let inverse = if scale == 0.0 { 1.0 } else { 1.0 / scale };
    let sum = row.iter().fold(0f32, |sum, &x| {
        let error = x - (code(x, bias, inverse, levels) * scale + bias);
        sum + error * error
    });
    sum.sqrt()
}

/// The greedy search of [`super::greedy_rows`] for one row: its range.
pub fn greedy(options: &Greedy, row: &[f32]) -> [f32; 2] {
    let levels = options.levels();
    let loss = |low: f32, high: f32| {
        let bias = round_half(low);
        let range = high - bias;
        error(row, [bias, if range == 0.0 { 1.0 } else { round_half(range / levels) }], levels)
    };
    let [min, max] = extremes(row);
    let step = (max - min) / options.bins as f32;
    let kept = options.kept() * step;
    let (mut lo, mut hi, mut found) = (min, max, [min, max]);
    let mut now = loss(lo, hi);
    let mut best = now;
    while lo + kept < hi {
        let [up, down] = [loss(lo + step, hi), loss(lo, hi - step)];
        if now < up && now < down && now < best {
            best = now;
            found = [lo, hi];
        }
        if up < down {
            lo += step;
            now = up;
        } else {
            hi -= step;
            now = down;
        }
    }
    found
}

/// The codes of a row, packed, to `out`.
pub fn encode(row: &[f32], bits: u32, [bias, scale]: [f32; 2], out: &mut [u8]) {
    let (levels, inverse, per_byte) = (((1u32 << bits) - 1) as f32, 1.0 / scale, (8 / bits) as usize);
    for (byte, values) in out.iter_mut().zip(row.chunks(per_byte)) {
        *byte = values.iter().rev().fold(0, |byte, &x| {
            // The shift of a whole byte is that of no neighbour.
            let shifted = if bits == 8 { 0 } else { byte << bits };
            shifted | code(x, bias, inverse, levels) as u8
        });
    }
}

/// Bias and scale of a row.
pub fn parameters(layout: &Layout, row: &[u8]) -> [f32; 2] {
    let at = layout.parameters_at;
    match layout.parameters {
        Parameters::Half => {
            let half = |at: usize| half_value(u16::from_le_bytes([row[at], row[at + 1]]));
            [half(at + 2), half(at)]
        }
        Parameters::Float => {
            let float = |at: usize| f32::from_le_bytes([row[at], row[at + 1], row[at + 2], row[at + 3]]);
            [float(at + 4), float(at)]
        }
    }
}

/// The values of a packed row: `scale·q + bias`.
pub fn decode(layout: &Layout, row: &[u8], out: &mut [f32]) {
    let [bias, scale] = parameters(layout, row);
    let per_byte = (8 / layout.bits) as usize;
    let mask = ((1u32 << layout.bits) - 1) as u8;
    for (i, to) in out.iter_mut().enumerate() {
        let byte = row[layout.codes_at + i / per_byte];
        let code = byte >> (i % per_byte * layout.bits as usize) & mask;
        *to = scale * f32::from(code) + bias;
    }
}

/// Sums of decoded rows, bag by bag: [`super::pool_rows`].
pub fn pool(
    rows: &Rows<'_>,
    indices: &[i64],
    bags: &[[usize; 2]],
    weights: Option<&[f32]>,
    mean: bool,
    out: &mut [f32],
) {
    let mut values = vec![0.0; rows.layout.columns];
    for (&[from, to], out) in bags.iter().zip(out.chunks_exact_mut(rows.layout.columns)) {
        out.fill(0.0);
        let mut held = 0;
        for i in from..to {
            let Ok(index) = usize::try_from(indices[i]) else { continue };
            held += 1;
            decode(
                &rows.layout,
                &rows.bytes[index * rows.layout.stride..][..rows.layout.stride],
                &mut values,
            );
            let weight = weights.map_or(1.0, |weights| weights[i]);
            out.iter_mut().zip(&values).for_each(|(to, x)| *to += weight * x);
        }
        if mean && held > 0 {
            out.iter_mut().for_each(|x| *x /= held as f32);
        }
    }
}
