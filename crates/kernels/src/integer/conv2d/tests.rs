//! Every body, on every instruction set of this machine, against the plain twin.

use proptest::prelude::*;

use super::super::tiles::Units;
use super::super::{
    Code, Inner, IntConv2d, Plane, Requantize, Residual, Steps, WeightBits, Weights, reference,
};
use crate::testing::{bytes, most, noise};
use crate::{Conv2d, Isa};

/// A layer, its images and what follows its sums.
#[derive(Clone, Debug)]
struct Case {
    shape: Conv2d,
    input: Plane,
    output: Plane,
    bits: WeightBits,
    /// Twos that the range of weights is divided by.
    smaller: u32,
    /// Where all weights are at an end of it and all codes the largest: how many weights are at one end, in turn.
    ends: Option<usize>,
    zero_x: u8,
    max_x: u8,
    images: usize,
    requantize: Requantize,
}

fn shapes() -> impl Strategy<Value = Conv2d> {
    let sizes = (
        1usize..most(14),
        1usize..most(40),
        1usize..most(20),
        1usize..most(30),
        prop_oneof![3 => Just(1usize), 1 => 2usize..=most(4)],
    );
    let window = ([1usize..most(5), 1usize..most(5)], [1usize..4, 1usize..4], [1usize..3, 1usize..3]);
    let pointwise = Just(([1, 1], [1, 1], [1, 1]));
    let window = prop_oneof![3 => window.boxed(), 1 => pointwise.boxed()];
    (sizes, window, [0usize..3, 0usize..3, 0usize..3, 0usize..3], any::<bool>())
        .prop_map(|((in_h, in_w, group_in, group_out, groups), (kernel, stride, dilation), pads, padded)| {
            Conv2d {
                in_h,
                in_w,
                in_c: groups * group_in,
                out_c: groups * group_out,
                kernel,
                stride,
                dilation,
                pads: if padded { pads } else { [0; 4] },
                groups,
            }
        })
        .prop_map(|shape| {
            // One output channel or one input channel each: many groups, many channels.
            if shape.in_h % 4 == 3 {
                Conv2d { groups: 1, out_c: shape.out_c * 2 + 5, ..shape }
            } else {
                shape
            }
        })
        .prop_filter("kernel fits", |shape| shape.check().is_ok())
}

fn codes() -> impl Strategy<Value = Code> {
    (any::<u8>(), any::<u8>(), any::<u8>()).prop_map(|(zero, a, b)| Code { zero, lo: a.min(b), hi: a.max(b) })
}

/// Borders of `at_least` and more, often none.
fn border(at_least: [usize; 4]) -> impl Strategy<Value = [usize; 4]> {
    let more = prop_oneof![Just([0; 4]), [0usize..3, 0usize..3, 0usize..3, 0usize..3]];
    more.prop_map(move |more| std::array::from_fn(|i| at_least[i] + more[i]))
}

fn cases() -> impl Strategy<Value = Case> {
    shapes().prop_flat_map(|shape| {
        let bits = prop_oneof![Just(WeightBits::Two), Just(WeightBits::Four), Just(WeightBits::Eight)];
        let planes = (border(shape.pads), border([0; 4]), border([0; 4]), [0usize..2, 0usize..2, 0usize..2]);
        let smaller = prop_oneof![2 => Just(0u32), 1 => 1u32..5];
        let run = prop_oneof![4 => Just(None), 1 => Just(Some(usize::MAX)), 1 => (1usize..50).prop_map(Some)];
        let max_x = prop_oneof![Just(255u8), Just(15), any::<u8>()];
        let numbers = (any::<u8>(), max_x, 0usize..if cfg!(miri) { 2 } else { 4 }, smaller, run);
        let after = (codes(), prop::option::of(codes()), any::<bool>(), prop::option::of(1usize..40));
        (bits, planes, numbers, after).prop_map(move |(bits, (pads, outer, added, more), numbers, after)| {
            let (zero, max_x, images, smaller, ends) = numbers;
            let stored = |channels: usize, more: usize| Plane::new(1, 1, channels).c + 4 * more;
            let input = Plane { h: shape.in_h, w: shape.in_w, c: stored(shape.in_c, more[0]), border: pads };
            let (h, w) = (shape.out_h(), shape.out_w());
            let output = Plane { h, w, c: stored(shape.out_c, more[1]), border: outer };
            // Sums grow with the root of their terms.
            let terms = (shape.weight_len() / shape.out_c) as f32;
            let size = f32::from(max_x.max(1)) * (1 << (bits.bits() - 1)) as f32 * terms.sqrt();
            let scale: Vec<f32> = noise(shape.out_c, 5).iter().map(|x| x * 200.0 / size).collect();
            let (code, inner, residual, steps) = after;
            let mut requantize = Requantize::new(&scale, code);
            requantize.inner = inner.map(|code| Inner { code, scale: 0.37 });
            let plane = Plane { c: output.c + 4 * more[2], border: added, ..output };
            requantize.residual = residual.then_some(Residual { plane, zero, scale: 0.21 });
            requantize.steps = steps.map(|count| {
                let bounds: Vec<u8> = (0..count).map(|i| (i * 200 / count) as u8 + 20).collect();
                Steps::new(&bounds, &bytes(count + 1, 6))
            });
            let zero_x = zero.min(max_x);
            Case { shape, input, output, bits, smaller, ends, zero_x, max_x, images, requantize }
        })
    })
}

/// Bytes around the buffers of a test.
const FRAME: usize = 64;

impl Case {
    fn codes(&self) -> Vec<i8> {
        let range = self.bits.range();
        let [lo, hi] = [range.start(), range.end()].map(|end| i32::from(*end) >> self.smaller);
        let bytes: Vec<u8> = bytes(self.shape.weight_len(), 1);
        let weight = |(i, &byte): (usize, &u8)| match self.ends {
            Some(run) => [lo, hi][i / run % 2],
            None => lo + i32::from(byte) % (hi - lo + 1),
        };
        bytes.iter().enumerate().map(|weight_at| weight(weight_at) as i8).collect()
    }

    fn input(&self) -> Vec<u8> {
        let limit = u32::from(self.max_x) + 1;
        let mut input: Vec<u8> = bytes(self.images * self.input.len(), 2);
        let at_end = self.ends.is_some();
        input.iter_mut().for_each(|x| *x = if at_end { self.max_x } else { (u32::from(*x) % limit) as u8 });
        self.input.fill_border(&mut input, self.zero_x);
        input
    }

    #[track_caller]
    fn check(&self) {
        let Case { shape, input: plane, output, bits, zero_x, max_x, images, requantize, .. } = self;
        let (codes, input) = (self.codes(), self.input());
        let bias: Vec<i32> = noise(shape.out_c, 3).iter().map(|x| (x * 5000.0) as i32).collect();
        let weights = Weights { codes: &codes, bits: *bits, bias: &bias, zero_x: *zero_x, max_x: *max_x };
        let residual = requantize.residual.map(|added| bytes(images * added.plane.len(), 4));
        let sums = reference::conv2d(shape, plane, &input, &weights);
        let mut want = vec![77; images * output.len()];
        reference::requantize(requantize, &sums, residual.as_deref(), output, &mut want);

        // Tiles are another loop; where there are none, their twin takes the place of the instructions.
        let bodies = Isa::supported().map(|isa| (isa, isa.tiles()));
        let twins = [Isa::best(), Isa::named("generic").unwrap()].map(|isa| (isa, Some(Units::Twin)));
        let different = if cfg!(miri) { 1 } else { 2 };
        for (isa, units) in bodies.chain(twins.into_iter().take(different)) {
            let conv = IntConv2d::with_tiles(isa, units, shape, *plane, *output, &weights).unwrap();
            let mut scratch = vec![55; conv.scratch_len()];
            let mut framed = vec![77; FRAME + want.len() + FRAME];
            let got = &mut framed[FRAME..][..want.len()];
            conv.run(&input, requantize, residual.as_deref(), &mut scratch, got);
            // Neither borders nor anything else beside the interior changes.
            assert!(got == want, "{isa}: {self:?}");
            assert!(
                framed[..FRAME].iter().chain(&framed[FRAME + want.len()..]).all(|&x| x == 77),
                "{isa}: {self:?}"
            );

            let mut reals = vec![f32::NAN; images * shape.out_len()];
            let scale = noise(shape.out_c, 5);
            conv.run_f32(&input, &scale, &mut scratch, &mut reals);
            assert_eq!(reals, reference::scale(&sums, &scale), "{isa}: {self:?}");

            if *images > 0 {
                self.check_bands(&conv, &input, residual.as_deref(), &want);
            }
        }
    }

    /// The first image in two bands is the first image.
    #[track_caller]
    fn check_bands(&self, conv: &IntConv2d, input: &[u8], residual: Option<&[u8]>, want: &[u8]) {
        let output = &self.output;
        let mut got = vec![77; output.len()];
        let mut scratch = vec![55; conv.scratch_len()];
        let image = &input[..self.input.len()];
        let residual =
            residual.zip(self.requantize.residual).map(|(codes, added)| &codes[..added.plane.len()]);
        let middle = output.h / 3;
        for rows in [0..middle, middle..output.h] {
            let first = (output.border[0] + rows.start) * output.row_len();
            let band = &mut got[first..][..rows.len() * output.row_len()];
            conv.run_band(image, rows, &self.requantize, residual, &mut scratch, band);
        }
        assert!(got == want[..output.len()], "bands: {self:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if cfg!(miri) { 3 } else { 400 }))]

    #[test]
    fn every_instruction_set_equals_the_reference_bit_for_bit(case in cases()) {
        case.check();
    }
}

fn plain(shape: Conv2d, bits: WeightBits, images: usize) -> Case {
    let size = 128.0 * 8.0 * ((shape.weight_len() / shape.out_c) as f32).sqrt();
    let requantize = Requantize::new(&vec![100.0 / size; shape.out_c], Code { zero: 128, lo: 0, hi: 255 });
    let input = Plane::new(shape.in_h, shape.in_w, shape.in_c).with_border(shape.pads);
    let output = Plane::new(shape.out_h(), shape.out_w(), shape.out_c).with_border([1; 4]);
    Case { shape, input, output, bits, smaller: 0, ends: None, zero_x: 3, max_x: 255, images, requantize }
}

#[test]
#[cfg_attr(miri, ignore = "takes long there")]
fn images_larger_than_a_block_and_long_sums_agree() {
    for bits in [WeightBits::Eight, WeightBits::Four] {
        plain(Conv2d::square([70, 60, 80], 9, 3, 1, 1), bits, 2).check();
        plain(Conv2d::square([70, 60, 80], 9, 3, 2, 0), bits, 2).check();
        plain(Conv2d::square([5, 5, 300], 50, 3, 1, 1), bits, 3).check();
        plain(Conv2d::square([40, 50, 200], 70, 1, 1, 0), bits, 2).check();
        plain(Conv2d { groups: 40, ..Conv2d::square([9, 9, 40], 40, 3, 1, 1) }, bits, 2).check();
    }
}

#[test]
#[cfg_attr(miri, ignore = "takes long there")]
fn weights_and_codes_at_their_ends_agree() {
    let shape = Conv2d::square([6, 5, 36], 21, 3, 1, 1);
    for (bits, smaller) in [
        (WeightBits::Two, 0),
        (WeightBits::Four, 0),
        (WeightBits::Four, 1),
        (WeightBits::Eight, 0),
        (WeightBits::Eight, 2),
        (WeightBits::Eight, 3),
    ] {
        for max_x in [255, 127, 31, 15, 3] {
            // All at the low end; at both in turn, by outputs, by channels, by weights.
            for ends in [usize::MAX, 9 * 36, 36, 1] {
                let case = plain(shape, bits, 1);
                Case { smaller, ends: Some(ends), max_x, zero_x: max_x / 2, ..case }.check();
            }
        }
    }
}

#[test]
fn planes_and_weights_that_do_not_fit_are_refused() {
    let case = plain(Conv2d::square([4, 4, 8], 8, 3, 1, 1), WeightBits::Four, 1);
    let (codes, bias) = (vec![0; case.shape.weight_len()], vec![0; 8]);
    let weights = Weights { codes: &codes, bits: case.bits, bias: &bias, zero_x: 0, max_x: 255 };
    let refused = |input: Plane, output: Plane, weights: &Weights<'_>| {
        IntConv2d::new(Isa::best(), &case.shape, input, output, weights).unwrap_err().to_string()
    };
    let bare = case.input.with_border([0; 4]);
    assert_eq!(refused(bare, case.output, &weights), "input plane: top border is 0, expected at least 1");
    let low = Plane { h: 3, ..case.output };
    assert_eq!(refused(case.input, low, &weights), "output plane: height is 3, expected 4");
    let few = Weights { codes: &codes[1..], ..weights };
    assert_eq!(refused(case.input, case.output, &few), "weights has 575 values, expected 576");
}
