//! Convolutions as ResNet-20, ResNet-18 and MobileNetV2 have them, one image, one thread, in floating-point operations
//! per second; `peak` is a loop of register-only multiply-adds to compare with.

use std::hint::black_box;
use std::time::Duration;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use lowbit_kernels::{AlignedVec, Conv2d, Epilogue, Isa, PackedConv2d, Unary};

const DENSE: [(&str, Conv2d); 13] = [
    ("3x3_3to16_32", shape(32, 3, 16, 3, 1)),
    ("3x3_16to16_32", shape(32, 16, 16, 3, 1)),
    ("3x3_16to32_32_s2", shape(32, 16, 32, 3, 2)),
    ("3x3_32to32_16", shape(16, 32, 32, 3, 1)),
    ("3x3_64to64_8", shape(8, 64, 64, 3, 1)),
    ("7x7_3to64_224_s2", shape(224, 3, 64, 7, 2)),
    ("3x3_64to64_56", shape(56, 64, 64, 3, 1)),
    ("3x3_512to512_7", shape(7, 512, 512, 3, 1)),
    ("1x1_16to96_112", shape(112, 16, 96, 1, 1)),
    ("1x1_144to24_56", shape(56, 144, 24, 1, 1)),
    ("1x1_384to64_14", shape(14, 384, 64, 1, 1)),
    ("1x1_320to1280_7", shape(7, 320, 1280, 1, 1)),
    ("1x1_144to32_16", shape(16, 144, 32, 1, 1)),
];

const DEPTHWISE: [(&str, Conv2d); 5] = [
    ("depthwise_32_112", depthwise(112, 32, 1)),
    ("depthwise_96_112_s2", depthwise(112, 96, 2)),
    ("depthwise_144_56", depthwise(56, 144, 1)),
    ("depthwise_384_14", depthwise(14, 384, 1)),
    ("depthwise_960_7", depthwise(7, 960, 1)),
];

/// A square convolution padded to keep its size.
const fn shape(size: usize, in_c: usize, out_c: usize, kernel: usize, stride: usize) -> Conv2d {
    Conv2d::square([size, size, in_c], out_c, kernel, stride, kernel / 2)
}

const fn depthwise(size: usize, channels: usize, stride: usize) -> Conv2d {
    Conv2d { groups: channels, ..shape(size, channels, channels, 3, stride) }
}

fn convolutions(criterion: &mut Criterion) {
    let isa = Isa::from_env().expect("LOWBIT_ISA names an instruction set of this CPU");
    let mut group = criterion.benchmark_group(format!("conv2d/{isa}"));
    group
        .warm_up_time(Duration::from_millis(200))
        .measurement_time(Duration::from_millis(600))
        .sample_size(20);

    let steps = 10_000;
    let flops = peak(isa, steps);
    group
        .throughput(Throughput::Elements(flops))
        .bench_function("peak", |bench| bench.iter(|| peak(isa, steps)));

    for (name, shape) in DENSE.into_iter().chain(DEPTHWISE) {
        let weights: Vec<f32> =
            (0..shape.weight_len()).map(|i| (i * 7919 % 13) as f32 * 0.01 - 0.06).collect();
        let conv = PackedConv2d::new(isa, &shape, &weights, None).expect("the shapes above are valid");
        let mut input = AlignedVec::zeroed(shape.in_len());
        input.iter_mut().enumerate().for_each(|(i, x)| *x = (i * 31 % 17) as f32 * 0.1 - 0.5);
        let mut output = AlignedVec::zeroed(shape.out_len());
        let mut scratch = AlignedVec::zeroed(conv.scratch_len());
        let epilogue = Epilogue { activation: Some(Unary::Relu), ..Epilogue::default() };
        group.throughput(Throughput::Elements(2 * shape.macs() as u64)).bench_function(name, |bench| {
            bench.iter(|| conv.run(black_box(&input), &epilogue, &mut scratch, &mut output));
        });
    }
}

/// Independent sums: more than latency times units of any CPU measured.
const CHAINS: usize = 20;

/// Does `steps` multiply-adds in each of `CHAINS` vectors, and returns the floating-point operations done.
fn peak(isa: Isa, steps: u64) -> u64 {
    let lanes = match isa.name() {
        #[cfg(target_arch = "x86_64")]
        "avx512" => {
            // SAFETY: an `Isa` of this name exists only where the CPU has avx512f.
            unsafe { x86::avx512(steps) };
            16
        }
        #[cfg(target_arch = "x86_64")]
        "avx2" => {
            // SAFETY: an `Isa` of this name exists only where the CPU has avx2 and fma.
            unsafe { x86::avx2(steps) };
            8
        }
        _ => {
            let (a, b) = (black_box(0.999), black_box(0.001));
            let mut sums = [[1.0f32; 4]; CHAINS / 2];
            for _ in 0..2 * steps {
                sums.iter_mut().flatten().for_each(|x| *x = *x * a + b);
            }
            black_box(sums);
            4
        }
    };
    2 * lanes * CHAINS as u64 * steps
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use super::{CHAINS, black_box};
    use std::arch::x86_64::*;

    #[target_feature(enable = "avx512f")]
    pub(super) fn avx512(steps: u64) {
        let (a, b) = (black_box(_mm512_set1_ps(0.999)), black_box(_mm512_set1_ps(0.001)));
        let mut sums = [_mm512_set1_ps(1.0); CHAINS];
        for _ in 0..steps {
            for x in &mut sums {
                *x = _mm512_fmadd_ps(*x, a, b);
            }
        }
        black_box(sums);
    }

    #[target_feature(enable = "avx2,fma")]
    pub(super) fn avx2(steps: u64) {
        let (a, b) = (black_box(_mm256_set1_ps(0.999)), black_box(_mm256_set1_ps(0.001)));
        // Sixteen registers: half the sums, twice the steps.
        let mut sums = [_mm256_set1_ps(1.0); CHAINS / 2];
        for _ in 0..2 * steps {
            for x in &mut sums {
                *x = _mm256_fmadd_ps(*x, a, b);
            }
        }
        black_box(sums);
    }
}

criterion_group!(benches, convolutions);
criterion_main!(benches);
