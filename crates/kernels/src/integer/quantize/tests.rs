//! Every instruction set of this machine against the definitions.

use proptest::prelude::*;

use super::*;
use crate::testing::{bytes, noise};

/// Reals around the codes of `quantizer`, with ties, and all that is not a number of its range.
fn reals(quantizer: &Quantizer, len: usize) -> Vec<f32> {
    let special = [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, 0.0, -0.0, f32::MAX, f32::MIN_POSITIVE];
    let real = |(i, x): (usize, f32)| match i % 11 {
        0 => special[i / 11 % special.len()],
        1 | 2 => ((x * 300.0).round() + 0.5) * quantizer.step,
        _ => x * 300.0 * quantizer.step,
    };
    noise(len, 1).into_iter().enumerate().map(real).collect()
}

proptest! {
    #[test]
    fn every_instruction_set_equals_the_definition(
        [h, w, channels, images] in [1usize..5, 1usize..40, 1usize..40, 0usize..3],
        border in [0usize..2, 0usize..2, 0usize..2, 0usize..2],
        wider in 0usize..3,
        zero: u8,
        step in 1e-3f32..10.0,
        [lo, hi] in [0u8..=100, 100u8..=255],
    ) {
        let plane = Plane::new(h, w, channels).with_border(border);
        let plane = Plane { c: plane.c + 4 * wider, ..plane };
        for isa in Isa::supported() {
            let quantizer = Quantizer::new(isa, plane, channels, step, Code { zero, lo, hi }).unwrap();
            let reals = reals(&quantizer, images * h * w * channels);
            let mut by_channel = vec![77; images * plane.len()];
            let mut by_pixel = by_channel.clone();
            let mut want = [by_channel.clone(), by_channel.clone()];
            quantizer.encode_nchw(&reals, &mut by_channel);
            quantizer.encode_nhwc(&reals, &mut by_pixel);
            let codes = bytes(images * plane.len(), 2);
            let [mut from_channel, mut from_pixel] = [vec![0.0; reals.len()], vec![0.0; reals.len()]];
            quantizer.decode_nchw(&codes, &mut from_channel);
            quantizer.decode_nhwc(&codes, &mut from_pixel);
            for i in 0..images * h * w * plane.c {
                let (c, x, y, n) = (i % plane.c, i / plane.c % w, i / plane.c / w % h, i / plane.c / w / h);
                let at = n * plane.len() + plane.offset(y, x) + c;
                let places = [((n * channels + c) * h + y) * w + x, ((n * h + y) * w + x) * channels + c];
                for (want, place) in want.iter_mut().zip(places) {
                    want[at] = quantizer.encode(if c < channels { reals[place] } else { 0.0 });
                }
                if c < channels {
                    let real = quantizer.decode(codes[at]);
                    prop_assert_eq!([from_channel[places[0]], from_pixel[places[1]]], [real; 2]);
                }
            }
            prop_assert_eq!(&[by_channel, by_pixel], &want, "{}", isa);
        }
    }
}

#[test]
fn codes_divide_by_the_step_and_round_to_even() {
    let quantizer =
        Quantizer::new(Isa::best(), Plane::new(1, 1, 1), 1, 0.7, Code { zero: 10, lo: 0, hi: 255 }).unwrap();
    // 3.15 / 0.7 ties as a true quotient; the product with 1 / 0.7 is above it.
    let codes = [3.15, -0.35, f32::NAN, f32::INFINITY, -1e9].map(|x| quantizer.encode(x));
    assert_eq!(codes, [14, 10, 10, 255, 0]);
    assert_eq!(quantizer.decode(8), -2.0 * 0.7);
}
