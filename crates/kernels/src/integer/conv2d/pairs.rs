//! Weights split for dot products that add pairs of products in 16 bits.
//!
//! AVX2 multiplies bytes and adds two neighbouring products in 16 bits at once, which `255·(127 + 127)` does not fit. Words would
//! take twice the instructions. But products of opposite signs always fit, and `x·w` is `255·w − (255 − x)·w`: where two weights of a
//! pair are large and of one sign, one of them meets the complement of its code, with its sign turned, and the sum
//! starts `255·w` higher. Fours of codes of which no output complements any come first; the others have masks beside their
//! weights, one exclusive-or per dot product. Every sum is exact.
//!
//! Where weights or codes have few bits, several products fit 16 bits: sums then grow there, in two instructions per dot product instead
//! of three, and go to 32 bits every so many steps. How many is counted from the weights themselves and the largest code, not from
//! the width that they are stored in.

use super::panel::Panel;
use crate::integer::Weights;

/// Half of a pair that has no other way to fit: both are −128.
const HALF: i8 = -64;
/// Steps in 16 bits that are worth the way of the sums of 32 bits to memory and back: measured, three are not on Zen 3.
const LEAST: usize = 4;

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
    if flipped.is_empty() {
        let (fit, quads) = (fitting(&plain, panel.lanes, weights), panel.quads.len());
        // Parts of about one length.
        panel.steps = if fit < LEAST { 1 } else { quads.div_ceil(quads.div_ceil(fit)) };
    }
    plain.extend(flipped);
    plain
}

/// How many quads in a row of `plain`, `[quad][lanes][4]`, add up in 16 bits, wherever they start and whatever codes they meet: the
/// most of which no pair of bytes can give a sum that leaves them. All of them where all do.
fn fitting(plain: &[u8], lanes: usize, weights: &Weights<'_>) -> usize {
    let quads = plain.len() / (4 * lanes);
    let mut fit = quads;
    for pair in 0..2 * lanes {
        let range = |quad: usize| {
            let at = 2 * (2 * lanes * quad + pair);
            weights.pair_range([plain[at] as i8, plain[at + 1] as i8])
        };
        // The least and the greatest sum of the quads from `first` on.
        let (mut first, mut least, mut greatest) = (0, 0, 0);
        for quad in 0..quads {
            let [lo, hi] = range(quad);
            (least, greatest) = (least + lo, greatest + hi);
            while least < i16::MIN.into() || greatest > i16::MAX.into() {
                let [lo, hi] = range(first);
                (least, greatest, first) = (least - lo, greatest - hi, first + 1);
            }
            if first > 0 {
                fit = fit.min(quad + 1 - first);
            }
        }
    }
    fit
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Conv2d;
    use crate::integer::{Plane, WeightBits};

    /// Whether any quads in a row, so many of them, keep all their pairs in 16 bits on codes at an end.
    fn fits(plain: &[u8], lanes: usize, max_x: u8, steps: usize) -> bool {
        let quads: Vec<&[u8]> = plain.chunks_exact(4 * lanes).collect();
        quads.windows(steps).all(|quads| {
            (0..2 * lanes).all(|pair| {
                // Codes that meet weights of one sign only.
                [1, -1].iter().all(|sign| {
                    let pairs = quads.iter().flat_map(|quad| &quad[2 * pair..][..2]);
                    let sum: i32 = pairs.map(|&w| (sign * i32::from(w as i8)).max(0)).sum();
                    i16::try_from(sign * sum * i32::from(max_x)).is_ok()
                })
            })
        })
    }

    #[test]
    #[cfg_attr(miri, ignore = "takes long there")]
    fn as_many_steps_as_16_bits_hold_and_not_one_more() {
        // −8·255·2 eight times is −32640; at 4 bits of codes a weight of 127 is as small as that.
        for (weight, max_x, steps) in [
            (-8, 255, 8),
            (7, 255, 9),
            (-2, 255, 32),
            (-8, 15, 136),
            (-128, 15, 8),
            (127, 15, 8),
            (31, 127, 4),
            (-32, 128, 4),
        ] {
            let weights = Weights { codes: &[], bits: WeightBits::Eight, bias: &[], zero_x: 0, max_x };
            let plain = vec![weight as u8; 200 * 4 * 8];
            assert_eq!(fitting(&plain, 8, &weights), steps, "{weight} · {max_x}");
            assert!(
                fits(&plain, 8, max_x, steps) && !fits(&plain, 8, max_x, steps + 1),
                "{weight} · {max_x}"
            );
            assert_eq!(fitting(&plain[..4 * 8 * steps], 8, &weights), steps, "all of them");
        }
    }

    proptest::proptest! {
        #[test]
        fn steps_follow_the_weights_that_there_are(
            plain in proptest::collection::vec(-40i8..40, 16 * 16..60 * 16), zero_x in 0u8..=255, max_x in 1u8..=255,
        ) {
            let plain: Vec<u8> = plain.iter().map(|&w| w as u8).take(plain.len() / 16 * 16).collect();
            let weights = Weights { codes: &[], bits: WeightBits::Eight, bias: &[], zero_x, max_x };
            let (steps, max) = (fitting(&plain, 4, &weights), max_x.max(zero_x));
            proptest::prop_assert!(fits(&plain, 4, max, steps));
            proptest::prop_assert!(steps == plain.len() / 16 || !fits(&plain, 4, max, steps + 1));
        }
    }

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
