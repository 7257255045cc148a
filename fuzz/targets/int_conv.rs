//! Any integer convolution is refused by an error that can be printed, or equals its plain twin on every instruction set,
//! bit for bit, and writes nothing beside the interiors of its output.
//!
//! Of the bytes the first describe the layer, the others are its weights, codes and constants, repeated.

#![no_main]

use libfuzzer_sys::fuzz_target;
use lowbit_kernels::integer::{
    Code, Inner, IntConv2d, Plane, Requantize, Residual, Steps, WeightBits, Weights, reference,
};
use lowbit_kernels::{Conv2d, Isa};

/// Multiply-accumulates of a case at most: large ones find nothing else and take long.
const WORK: usize = 1 << 22;

/// The bytes in turn, from the start again when they end.
struct Source<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Source<'_> {
    fn byte(&mut self) -> u8 {
        self.at += 1;
        self.bytes[(self.at - 1) % self.bytes.len()]
    }

    /// Less than `end`.
    fn below(&mut self, end: usize) -> usize {
        usize::from(self.byte()) % end
    }

    fn flag(&mut self) -> bool {
        self.byte() & 1 == 1
    }

    /// Of any size that a scale can have, either sign.
    fn real(&mut self) -> f32 {
        let size = (self.below(40) as f32 - 30.0).exp2();
        (f32::from(self.byte()) - 100.0) * size
    }

    fn code(&mut self) -> Code {
        let (zero, a, b) = (self.byte(), self.byte(), self.byte());
        Code { zero, lo: a.min(b), hi: a.max(b) }
    }

    /// Mostly as large as it has to be.
    fn plane(&mut self, h: usize, w: usize, channels: usize, pads: [usize; 4]) -> Plane {
        let mut plane = Plane::new(h, w, channels).with_border(pads);
        if self.flag() {
            plane.border = plane.border.map(|border| border + self.below(3));
        }
        if self.below(4) == 0 {
            plane.c += 4 * self.below(12);
        }
        // Now and then wrong.
        if self.below(32) == 0 {
            plane.c += self.below(3);
            plane.h += self.below(2);
            plane.border[self.below(4)] = self.below(3);
        }
        plane
    }
}

fuzz_target!(|bytes: &[u8]| {
    if bytes.len() < 8 {
        return;
    }
    let mut source = Source { bytes, at: 0 };
    let s = &mut source;
    let groups = if s.below(3) == 0 { 1 + s.below(6) } else { 1 };
    let (group_in, group_out) = (1 + s.below(40), 1 + s.below(72));
    let depthwise = s.below(8) == 0;
    let groups = if depthwise { group_in * 2 } else { groups };
    let shape = Conv2d {
        in_h: 1 + s.below(12),
        in_w: 1 + s.below(40),
        in_c: if depthwise { groups } else { groups * group_in },
        out_c: if depthwise { groups } else { groups * group_out },
        kernel: [1 + s.below(5), 1 + s.below(5)],
        stride: [1 + s.below(3), 1 + s.below(3)],
        dilation: [1 + s.below(3), 1 + s.below(3)],
        pads: if s.flag() { std::array::from_fn(|_| s.below(4)) } else { [0; 4] },
        groups,
    };
    let fits = shape.check().is_ok();
    let (h, w) = if fits { (shape.out_h(), shape.out_w()) } else { (1, 1) };
    let input = s.plane(shape.in_h, shape.in_w, shape.in_c, shape.pads);
    let output = s.plane(h, w, shape.out_c, [0; 4]);
    let images = s.below(4);
    if fits && images * shape.macs() > WORK {
        return;
    }

    let bits = [WeightBits::Two, WeightBits::Four, WeightBits::Eight][s.below(3)];
    let max_x = if s.flag() { 255 } else { s.byte() };
    let zero_x = s.byte().min(max_x);
    let drop = 8 - bits.bits();
    let codes: Vec<i8> =
        (0..if fits { shape.weight_len() } else { 1 }).map(|_| s.byte().cast_signed() >> drop).collect();
    let bias: Vec<i32> =
        (0..shape.out_c).map(|_| i32::from_le_bytes([s.byte(), s.byte(), s.byte(), s.byte()]) >> 8).collect();
    let weights = Weights { codes: &codes, bits, bias: &bias, zero_x, max_x };

    let mut requantize = Requantize::new(&(0..shape.out_c).map(|_| s.real()).collect::<Vec<_>>(), s.code());
    if s.flag() {
        requantize.inner = Some(Inner { code: s.code(), scale: s.real() });
    }
    if s.flag() {
        let plane = Plane { c: output.c + 4 * s.below(2), ..s.plane(h, w, output.c, [0; 4]) };
        requantize.residual = Some(Residual { plane, zero: s.byte(), scale: s.real() });
    }
    if s.below(4) == 0 {
        let mut bounds: Vec<u8> = (0..s.below(20)).map(|_| s.byte()).collect();
        bounds.sort_unstable();
        let levels: Vec<u8> = (0..=bounds.len()).map(|_| s.byte()).collect();
        requantize.steps = Some(Steps::new(&bounds, &levels));
    }

    let mut twin: Option<(Vec<u8>, Vec<f32>)> = None;
    for isa in Isa::supported() {
        let conv = match IntConv2d::new(isa, &shape, input, output, &weights) {
            Ok(conv) => conv,
            Err(error) => return assert!(!error.to_string().is_empty()),
        };
        if requantize.check(&output, shape.out_c).is_err() {
            return;
        }
        let limit = u16::from(max_x) + 1;
        // The same for every instruction set.
        let mut s = Source { bytes, at: 7 };
        let mut x: Vec<u8> = (0..images * input.len()).map(|_| (u16::from(s.byte()) % limit) as u8).collect();
        input.fill_border(&mut x, zero_x);
        let residual = requantize.residual.map(|added| vec![77; images * added.plane.len()]);
        let (want, reals) = twin.get_or_insert_with(|| {
            let sums = reference::conv2d(&shape, &input, &x, &weights);
            let mut want = vec![99; images * output.len()];
            reference::requantize(&requantize, &sums, residual.as_deref(), &output, &mut want);
            (want, reference::scale(&sums, &vec![0.5; shape.out_c]))
        });
        let mut scratch = vec![0; conv.scratch_len()];
        let mut got = vec![99; want.len()];
        conv.run(&x, &requantize, residual.as_deref(), &mut scratch, &mut got);
        assert!(got == *want, "{isa}: codes of {shape:?} from {input:?} to {output:?}, {requantize:?}");
        let mut real = vec![0.0; reals.len()];
        conv.run_f32(&x, &vec![0.5; shape.out_c], &mut scratch, &mut real);
        assert!(real == *reals, "{isa}: reals of {shape:?} from {input:?}");
    }
});
