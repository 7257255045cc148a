//! What a training step does, one thread: convolutions and their gradients on the same shapes (their ratio is what
//! counts), fake quantization, learned rounding and Adam, forward and backward, in elements per second.

use std::hint::black_box;
use std::time::Duration;

use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, Criterion, Throughput, criterion_group, criterion_main};
use lowbit_kernels::rounding::{self, Grid, Regularizer};
use lowbit_kernels::{
    Adam, AlignedVec, Conv2d, Conv2dGradient, Epilogue, FakeQuant, Isa, PackedConv2d, fake_quant,
};

/// Images of a chunk.
const IMAGES: usize = 4;

fn shapes() -> [(&'static str, Conv2d); 8] {
    let depthwise = |channels, shape| Conv2d { groups: channels, ..shape };
    [
        ("3x3_16to16_32", Conv2d::square([32, 32, 16], 16, 3, 1, 1)),
        ("3x3_16to32_32_s2", Conv2d::square([32, 32, 16], 32, 3, 2, 1)),
        ("3x3_32to32_16", Conv2d::square([16, 16, 32], 32, 3, 1, 1)),
        ("3x3_64to64_8", Conv2d::square([8, 8, 64], 64, 3, 1, 1)),
        ("1x1_16to96_56", Conv2d::square([56, 56, 16], 96, 1, 1, 0)),
        ("1x1_384to64_14", Conv2d::square([14, 14, 384], 64, 1, 1, 0)),
        ("depthwise_384_14", depthwise(384, Conv2d::square([14, 14, 384], 384, 3, 1, 1))),
        ("depthwise_96_28_s2", depthwise(96, Conv2d::square([28, 28, 96], 96, 3, 2, 1))),
    ]
}

/// Values between -0.5 and 1.2 that repeat after `period`.
fn values(len: usize, period: usize) -> AlignedVec {
    let mut values = AlignedVec::zeroed(len);
    values.iter_mut().enumerate().for_each(|(i, x)| *x = (i * 31 % period) as f32 * 0.1 - 0.5);
    values
}

fn quick(group: &mut BenchmarkGroup<'_, WallTime>) {
    group
        .warm_up_time(Duration::from_millis(200))
        .measurement_time(Duration::from_millis(600))
        .sample_size(20);
}

fn isa() -> Isa {
    Isa::from_env().expect("LOWBIT_ISA names an instruction set of this CPU")
}

/// Floating-point operations per second of the convolution and of both its gradients.
fn convolutions(criterion: &mut Criterion) {
    let isa = isa();
    for (name, shape) in shapes() {
        let mut group = criterion.benchmark_group(format!("conv2d/{isa}/{name}"));
        quick(&mut group);
        group.throughput(Throughput::Elements((2 * IMAGES * shape.macs()) as u64));
        let weights = values(shape.weight_len(), 13);
        let conv = PackedConv2d::new(isa, &shape, &weights, None).expect("the shapes above are valid");
        let mut gradient = Conv2dGradient::new(isa, &shape).expect("the shapes above are valid");
        gradient.set_weights(&weights).expect("as many as the shape says");
        let x = values(IMAGES * shape.in_len(), 17);
        let mut y = values(IMAGES * shape.out_len(), 17);
        let mut dx = AlignedVec::zeroed(x.len());
        let mut sums = AlignedVec::zeroed(gradient.sums_len());
        let mut scratch = AlignedVec::zeroed(conv.scratch_len().max(gradient.scratch_len()));
        group.bench_function("forward", |bench| {
            bench.iter(|| conv.run(black_box(&x), &Epilogue::default(), &mut scratch, &mut y));
        });
        group.bench_function("data", |bench| {
            bench.iter(|| gradient.data(black_box(&y), &mut scratch, &mut dx, false));
        });
        group.bench_function("weights", |bench| {
            bench.iter(|| gradient.add_weights(black_box(&x), &y, &mut scratch, &mut sums));
        });
        group.bench_function("pack", |bench| {
            bench.iter(|| gradient.set_weights(black_box(&weights)).expect("as many as the shape says"));
        });
    }
}

fn elements(criterion: &mut Criterion) {
    let isa = isa();
    let mut group = criterion.benchmark_group(format!("training/{isa}"));
    quick(&mut group);
    let (channels, len) = (64, 64 * 576);
    group.throughput(Throughput::Elements(len as u64));
    let (x, dy) = (values(len, 17), values(len, 19));
    let mut out = AlignedVec::zeroed(len);

    let quant = FakeQuant { scale: 0.1, zero_point: 2, lo: 0, hi: 15 };
    group.bench_function("fake_quant", |bench| {
        bench.iter(|| fake_quant::fake_quant(isa, &quant, black_box(&x), &mut out));
    });
    group.bench_function("fake_quant_backward", |bench| {
        bench.iter(|| fake_quant::backward(isa, &quant, black_box(&x), &dy, &mut out, false));
    });

    let (scales, zero_points) = (vec![0.1; channels], vec![8; channels]);
    let grid = Grid { scales: &scales, zero_points: &zero_points, codes: [0, 15] };
    let floor: Vec<f32> = (0..len).map(|i| (i % 15) as f32).collect();
    group.bench_function("soft_rounding", |bench| {
        bench.iter(|| rounding::soft(isa, &grid, &floor, black_box(&x), &mut out));
    });
    let regularizer = Regularizer { lambda: 0.01, beta: 11.0 };
    for (name, regularizer) in
        [("soft_rounding_backward", None), ("soft_rounding_backward_regularized", Some(regularizer))]
    {
        group.bench_function(name, |bench| {
            bench.iter(|| rounding::backward(isa, &grid, &floor, black_box(&x), &dy, regularizer, &mut out));
        });
    }

    let (mut first, mut second) = (AlignedVec::zeroed(len), AlignedVec::zeroed(len));
    group.bench_function("adam", |bench| {
        bench.iter(|| Adam::default().step(isa, 10, &mut out, black_box(&dy), [&mut first, &mut second]));
    });
}

criterion_group!(benches, convolutions, elements);
criterion_main!(benches);
