//! Integer convolutions and matrix products, one thread, in multiply-accumulates per second. `peak` is a register-only
//! loop of the same instructions, of fewer where weights have few bits; a name ends with the share of it that the kernel reached.

use std::hint::black_box;
use std::time::{Duration, Instant};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use lowbit_kernels::integer::{
    Code, IntConv2d, IntLinear, Plane, Requantize, Residual, Steps, WeightBits, Weights, peak_long,
    peak_paired,
};
use lowbit_kernels::{AlignedBytes, Conv2d, Isa};

use WeightBits::{Eight, Four, Two};

/// Name, shape, images, bits of a weight.
type Case = (&'static str, Conv2d, usize, WeightBits);

#[rustfmt::skip]
const RESNET20: [Case; 22] = [
    ("3x3_3to16_32", shape(32, 3, 16, 3, 1), 1, Eight),
    ("3x3_16to16_32", shape(32, 16, 16, 3, 1), 1, Eight),
    ("3x3_16to16_32_w4", shape(32, 16, 16, 3, 1), 1, Four),
    ("3x3_16to16_32", shape(32, 16, 16, 3, 1), 8, Eight),
    ("3x3_16to16_32", shape(32, 16, 16, 3, 1), 64, Eight),
    ("3x3_16to32_32_s2", shape(32, 16, 32, 3, 2), 1, Eight),
    ("3x3_16to32_32_s2", shape(32, 16, 32, 3, 2), 8, Eight),
    ("1x1_16to32_32_s2", shape(32, 16, 32, 1, 2), 1, Eight),
    ("1x1_16to32_32_s2", shape(32, 16, 32, 1, 2), 8, Eight),
    ("3x3_32to32_16", shape(16, 32, 32, 3, 1), 1, Eight),
    ("3x3_32to32_16_w4", shape(16, 32, 32, 3, 1), 1, Four),
    ("3x3_32to32_16_w2", shape(16, 32, 32, 3, 1), 1, Two),
    ("3x3_32to32_16", shape(16, 32, 32, 3, 1), 8, Eight),
    ("3x3_32to32_16", shape(16, 32, 32, 3, 1), 64, Eight),
    ("3x3_32to64_16_s2", shape(16, 32, 64, 3, 2), 1, Eight),
    ("3x3_32to64_16_s2", shape(16, 32, 64, 3, 2), 8, Eight),
    ("3x3_64to64_8", shape(8, 64, 64, 3, 1), 1, Eight),
    ("3x3_64to64_8_w4", shape(8, 64, 64, 3, 1), 1, Four),
    ("3x3_64to64_8_w2", shape(8, 64, 64, 3, 1), 1, Two),
    ("3x3_64to64_8", shape(8, 64, 64, 3, 1), 8, Eight),
    ("3x3_64to64_8_w4", shape(8, 64, 64, 3, 1), 8, Four),
    ("3x3_64to64_8", shape(8, 64, 64, 3, 1), 64, Eight),
];

#[rustfmt::skip]
const LARGE: [Case; 14] = [
    ("7x7_3to64_224_s2", shape(224, 3, 64, 7, 2), 1, Eight),
    ("1x1_64to64_56", shape(56, 64, 64, 1, 1), 1, Eight),
    ("3x3_64to64_56", shape(56, 64, 64, 3, 1), 1, Eight),
    ("1x1_64to256_56", shape(56, 64, 256, 1, 1), 1, Eight),
    ("1x1_256to64_56", shape(56, 256, 64, 1, 1), 1, Eight),
    ("3x3_128to128_28", shape(28, 128, 128, 3, 1), 1, Eight),
    ("1x1_512to128_28", shape(28, 512, 128, 1, 1), 1, Eight),
    ("3x3_256to256_14", shape(14, 256, 256, 3, 1), 1, Eight),
    ("1x1_1024to256_14", shape(14, 1024, 256, 1, 1), 1, Eight),
    ("3x3_512to512_7", shape(7, 512, 512, 3, 1), 1, Eight),
    ("3x3_512to512_7_w4", shape(7, 512, 512, 3, 1), 1, Four),
    ("1x1_2048to512_7", shape(7, 2048, 512, 1, 1), 1, Eight),
    ("1x1_96to24_56", shape(56, 96, 24, 1, 1), 1, Eight),
    ("1x1_16to96_112", shape(112, 16, 96, 1, 1), 1, Eight),
];

/// A square convolution padded to keep its size.
const fn shape(size: usize, in_c: usize, out_c: usize, kernel: usize, stride: usize) -> Conv2d {
    Conv2d::square([size, size, in_c], out_c, kernel, stride, kernel / 2)
}

/// Weights of `bits` bits, all values in turn.
fn codes(len: usize, bits: WeightBits) -> Vec<i8> {
    let span = 1 << bits.bits();
    (0..len)
        .map(|i| (i * 7919 % span) as i8 ^ (span / 2) as i8)
        .map(|w| w << (8 - bits.bits()) >> (8 - bits.bits()))
        .collect()
}

fn requantize(outputs: usize) -> Requantize {
    Requantize::new(&vec![0.001; outputs], Code { zero: 128, lo: 128, hi: 255 })
}

/// Multiply-accumulates per second, the best of many short runs: other programs take time from most.
fn rate(mut run: impl FnMut() -> u64) -> f64 {
    let start = Instant::now();
    let mut best = 0f64;
    while start.elapsed() < Duration::from_millis(60) {
        let lap = Instant::now();
        let macs = run();
        best = best.max(macs as f64 / lap.elapsed().as_secs_f64());
    }
    best
}

/// Measures `run` beside the peak in turn, and adds it to the report as `name` with its share.
fn compare(
    group: &mut criterion::BenchmarkGroup<'_, criterion::measurement::WallTime>,
    isa: Isa,
    name: &str,
    macs: usize,
    bits: WeightBits,
    mut run: impl FnMut(),
) {
    let peak = if bits == Eight { peak_paired } else { peak_long };
    let repeat = (2_000_000 / macs).max(1) as u64;
    let (mut kernel, mut most) = (0f64, 0f64);
    for _ in 0..3 {
        most = most.max(rate(|| peak(isa, 200)));
        kernel = kernel.max(rate(|| {
            (0..repeat).for_each(|_| run());
            repeat * macs as u64
        }));
    }
    let name = format!("{name} {:.0}% of {:.0} G", 100.0 * kernel / most, most / 1e9);
    group.throughput(Throughput::Elements(macs as u64)).bench_function(name, |bench| bench.iter(&mut run));
}

/// What a convolution does with its codes.
#[derive(Clone, Copy, PartialEq)]
enum After {
    Nothing,
    Addition,
    /// Rounding to so many levels.
    Levels(u8),
}

fn convolution(isa: Isa, shape: &Conv2d, images: usize, bits: WeightBits, after: After) -> impl FnMut() {
    let added = after == After::Addition;
    let input = Plane::new(shape.in_h, shape.in_w, shape.in_c).with_border(shape.pads);
    let border = if shape.kernel == [1; 2] { [0; 4] } else { [1; 4] };
    let output = Plane::new(shape.out_h(), shape.out_w(), shape.out_c).with_border(border);
    let (codes, bias) = (codes(shape.weight_len(), bits), vec![0; shape.out_c]);
    let weights = Weights { codes: &codes, bits, bias: &bias, zero_x: 0, max_x: 255 };
    let conv = IntConv2d::new(isa, shape, input, output, &weights).expect("the shapes above are valid");
    let mut x = AlignedBytes::zeroed(images * input.len());
    x.iter_mut().enumerate().for_each(|(i, x)| *x = (i * 31 % 251) as u8);
    let mut y = AlignedBytes::zeroed(images * output.len());
    let residual = AlignedBytes::zeroed(y.len());
    let mut scratch = AlignedBytes::zeroed(conv.scratch_len());
    let mut requantize = requantize(shape.out_c);
    requantize.residual = added.then_some(Residual { plane: output, zero: 0, scale: 0.5 });
    if let After::Levels(count) = after {
        let at = |k: u8| 128 + k * (127 / count);
        let (levels, bounds): (Vec<u8>, Vec<u8>) =
            ((0..count).map(at).collect(), (1..count).map(at).collect());
        requantize.steps = Some(Steps::new(&bounds, &levels));
    }
    move || conv.run(black_box(&x), &requantize, added.then_some(&residual[..]), &mut scratch, &mut y)
}

fn linear(isa: Isa, [m, k, n]: [usize; 3], bits: WeightBits) -> impl FnMut() {
    let (codes, bias) = (codes(n * k, bits), vec![0; n]);
    let weights = Weights { codes: &codes, bits, bias: &bias, zero_x: 0, max_x: 255 };
    let linear = IntLinear::new(isa, k, n, &weights).expect("the sizes below are valid");
    let x = AlignedBytes::zeroed(m * linear.input().len());
    let mut y = AlignedBytes::zeroed(m * linear.output().len());
    let mut scratch = AlignedBytes::zeroed(linear.scratch_len());
    let requantize = requantize(n);
    move || linear.run(black_box(&x), &requantize, None, &mut scratch, &mut y)
}

fn integers(criterion: &mut Criterion) {
    let isa = Isa::from_env().expect("LOWBIT_ISA names an instruction set of this CPU");
    let mut group = criterion.benchmark_group(format!("integer/{isa}"));
    group
        .warm_up_time(Duration::from_millis(100))
        .measurement_time(Duration::from_millis(400))
        .sample_size(20);
    for (name, shape, images, bits) in RESNET20.into_iter().chain(LARGE) {
        let macs = images * shape.macs();
        compare(
            &mut group,
            isa,
            &format!("{name} n{images}"),
            macs,
            bits,
            convolution(isa, &shape, images, bits, After::Nothing),
        );
    }
    for shape in [shape(32, 16, 16, 3, 1), shape(8, 64, 64, 3, 1)] {
        for (name, after) in
            [("add", After::Addition), ("levels4", After::Levels(4)), ("levels16", After::Levels(16))]
        {
            let name = format!("3x3_{}to{}_{}_{name} n1", shape.in_c, shape.out_c, shape.in_h);
            compare(&mut group, isa, &name, shape.macs(), Eight, convolution(isa, &shape, 1, Eight, after));
        }
    }
    for (name, bits) in [("gemm_1024", Eight), ("gemm_1024_w4", Four), ("gemm_1024_w2", Two)] {
        compare(&mut group, isa, name, 1 << 30, bits, linear(isa, [1024; 3], bits));
    }
}

criterion_group!(benches, integers);
criterion_main!(benches);
