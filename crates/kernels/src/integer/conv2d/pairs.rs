//! Weights split for dot products that add pairs of products in 16 bits.
//!
//! AVX2 multiplies bytes and adds two neighbouring products in 16 bits at once, which `255·(127 + 127)` does not fit. Words would
//! take twice the instructions. But products of opposite signs always fit, and `x·w` is `255·w − (255 − x)·w`: where two weights of a
//! pair are large and of one sign, one of them meets the complement of its code, with its sign turned, and the sum
//! starts `255·w` higher. Fours of codes of which no output complements any come first; the others have masks beside their
//! weights, one exclusive-or per dot product. Every sum is exact.

use super::panel::Panel;
use crate::integer::Weights;

/// Half of a pair that has no other way to fit: both are −128.
const HALF: i8 = -64;

/// Puts the fours of codes of `panel` in order, and returns the weights that they meet, `[quad][output][4]`, those with
/// complements followed by masks of the same shape. `widened` are the weights in the order of the panel's runs; `added`, of
/// the panel's outputs, becomes what their sums start higher by.
pub(super) fn split(panel: &mut Panel, widened: &[u8], weights: &Weights<'_>, added: &mut [i32]) -> Vec<u8> {
    let fits = |pair: &[u8]| weights.pair_fits([pair[0] as i8, pair[1] as i8]);
    let offsets = panel.runs.iter().flat_map(|run| (0..run.quads).map(|quad| run.offset + 4 * quad));
    let (mut plain, mut flipped, mut halves) = (Vec::new(), Vec::new(), Vec::new());
    for (quad, offset) in widened.chunks_exact(4 * panel.lanes).zip(offsets) {
        if quad.chunks_exact(2).all(fits) {
            plain.extend_from_slice(quad);
            panel.quads.push(offset as u32);
            continue;
        }
        let (mut held, mut masks, mut rest) = (quad.to_vec(), vec![0; quad.len()], vec![0; quad.len()]);
        for (nth, pair) in held.chunks_exact_mut(2).enumerate().filter(|(_, pair)| !fits(pair)) {
            match [pair[0] as i8, pair[1] as i8] {
                [i8::MIN, i8::MIN] => {
                    pair.fill(HALF as u8);
                    rest[2 * nth..][..2].fill(HALF as u8);
                }
                both => {
                    let turned = usize::from(both[1] != i8::MIN);
                    let weight = i32::from(both[turned]);
                    pair[turned] = -weight as u8;
                    masks[2 * nth + turned] = u8::MAX;
                    added[nth / 2] = added[nth / 2].wrapping_add(255 * weight);
                }
            }
        }
        flipped.extend(held.into_iter().chain(masks));
        panel.flipped.push(offset as u32);
        if rest.iter().any(|&byte| byte != 0) {
            halves.push((offset as u32, rest));
        }
    }
    for (offset, rest) in halves {
        plain.extend(rest);
        panel.quads.push(offset);
    }
    plain.extend(flipped);
    plain
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Conv2d;
    use crate::integer::{Plane, WeightBits};

    #[test]
    fn sums_of_split_weights_are_those_of_whole_ones_and_pairs_fit() {
        let shape = Conv2d::square([1, 1, 64], 8, 1, 1, 0);
        let mut codes: Vec<i8> = (0..64 * 8).map(|i| (i * 37 % 61) as i8 - 30).collect();
        codes[64 + 8..][..4].copy_from_slice(&[127, 100, -128, -128]);
        codes[128 + 12..][..4].copy_from_slice(&[-100, -128, -128, -1]);
        // Opposite signs fit.
        codes[30..32].copy_from_slice(&[-128, 127]);
        let weights =
            Weights { codes: &codes, bits: WeightBits::Eight, bias: &[0; 8], zero_x: 0, max_x: 255 };
        let widened = super::super::panel::widened(&shape, 0..8, &weights);
        let mut panel = Panel::new(&shape, &Plane::new(1, 1, 64), 0, 1, 8);
        let mut added = [0; 8];
        let split = split(&mut panel, &widened, &weights, &mut added);
        // One four more for what −128 twice leaves.
        assert_eq!((panel.quads.len(), panel.flipped.as_slice()), (15, &[8, 12][..]));
        let x: Vec<u8> = (0..64).map(|i| (i * 71 % 256) as u8).collect();
        let mut sums = added;
        let mut take = |rows: &[u8], masks: Option<&[u8]>, offset: u32| {
            for (at, pair) in rows.chunks_exact(2).enumerate() {
                let code = |i: usize| {
                    let mask = masks.map_or(0, |masks| masks[2 * at + i]);
                    i32::from(x[offset as usize + 2 * (at % 2) + i] ^ mask)
                };
                let sum = code(0) * i32::from(pair[0] as i8) + code(1) * i32::from(pair[1] as i8);
                assert!(i16::try_from(sum).is_ok(), "{sum}");
                sums[at / 2] += sum;
            }
        };
        let (plain, flipped) = split.split_at(32 * panel.quads.len());
        plain.chunks_exact(32).zip(&panel.quads).for_each(|(rows, &offset)| take(rows, None, offset));
        for (rows, &offset) in flipped.chunks_exact(64).zip(&panel.flipped) {
            take(&rows[..32], Some(&rows[32..]), offset);
        }
        let want: Vec<i32> = codes
            .chunks_exact(64)
            .map(|row| row.iter().zip(&x).map(|(&w, &x)| i32::from(w) * i32::from(x)).sum())
            .collect();
        assert_eq!(sums.to_vec(), want);
    }
}
