//! Integer layers beside dense products, one thread: depthwise convolutions against the dot products they are made of,
//! products of one row against the memory that their weights come from, and the rest against a copy of what they read and
//! write. A name ends with the ratio, from runs in turn with what it is compared to.

use std::hint::black_box;
use std::time::{Duration, Instant};

use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, Criterion, Throughput, criterion_group, criterion_main};
use lowbit_kernels::integer::{
    Average, Code, ConcatPart, IntAdd, IntConv2d, IntLinear, IntPool2d, IntPooling, PairTables, Plane,
    Quantizer, Requantize, Residual, WeightBits, Weights, lookup_in_place, peak, window_in_place,
};
use lowbit_kernels::{AlignedBytes, Conv2d, Isa, Pool2d};

const BYTE: Code = Code { zero: 3, lo: 0, hi: 255 };

/// Bytes that differ from each other, some of them zero.
fn bytes(len: usize) -> AlignedBytes {
    let mut bytes = AlignedBytes::zeroed(len);
    bytes.iter_mut().enumerate().for_each(|(i, x)| *x = (i * 31 % 257).saturating_sub(1) as u8);
    bytes
}

/// The shortest time of each of `runs`, in seconds, measured in turn: other programs take time from most runs.
fn shortest<const N: usize>(mut runs: [&mut dyn FnMut(); N]) -> [f64; N] {
    let mut best = [f64::MAX; N];
    let start = Instant::now();
    while start.elapsed() < Duration::from_millis(400) {
        for (best, run) in best.iter_mut().zip(&mut runs) {
            let lap = Instant::now();
            run();
            *best = best.min(lap.elapsed().as_secs_f64());
        }
    }
    best
}

/// A copy of `len` bytes.
fn copy(len: usize) -> impl FnMut() {
    let (from, mut to) = (bytes(len), AlignedBytes::zeroed(len));
    move || black_box(&mut to).copy_from_slice(black_box(&from))
}

/// Measures what reads and writes `bytes` in all beside a copy that does.
fn beside_copy(group: &mut BenchmarkGroup<'_, WallTime>, name: &str, bytes: usize, mut run: impl FnMut()) {
    let mut copy = copy(bytes / 2);
    let [time, copied] = shortest([&mut run, &mut copy]);
    let name = format!("{name} {:.2} of a copy", copied / time);
    group.throughput(Throughput::Bytes(bytes as u64)).bench_function(name, |bench| bench.iter(&mut run));
}

fn depthwise(criterion: &mut Criterion) {
    let isa = Isa::from_env().expect("LOWBIT_ISA names an instruction set of this CPU");
    let mut group = group(criterion, format!("depthwise/{isa}"));
    for (name, size, channels, kernel, stride) in [
        ("3x3_32_112", 112, 32, 3, 1),
        ("3x3_96_112_s2", 112, 96, 3, 2),
        ("3x3_144_56", 56, 144, 3, 1),
        ("3x3_144_56_s2", 56, 144, 3, 2),
        ("3x3_192_28", 28, 192, 3, 1),
        ("3x3_384_14", 14, 384, 3, 1),
        ("3x3_576_14_s2", 14, 576, 3, 2),
        ("3x3_960_7", 7, 960, 3, 1),
        ("5x5_240_28", 28, 240, 5, 1),
    ] {
        let square = Conv2d::square([size, size, channels], channels, kernel, stride, kernel / 2);
        let shape = Conv2d { groups: channels, ..square };
        let input = Plane::new(size, size, channels).with_border(shape.pads);
        let output = Plane::new(shape.out_h(), shape.out_w(), channels);
        let codes: Vec<i8> = bytes(shape.weight_len()).iter().map(|&w| w.cast_signed()).collect();
        let bias = vec![0; channels];
        let weights = Weights { codes: &codes, bits: WeightBits::Eight, bias: &bias, zero_x: 3, max_x: 255 };
        let conv = IntConv2d::new(isa, &shape, input, output, &weights).expect("the shapes above are valid");
        let requantize = Requantize::new(&vec![1e-3; channels], BYTE);
        let (x, mut y) = (bytes(input.len()), AlignedBytes::zeroed(output.len()));
        let mut run = || conv.run(black_box(&x), &requantize, None, &mut [], &mut y);
        let mut most = || {
            black_box(peak(isa, 200));
        };
        let [time, dots] = shortest([&mut run, &mut most]);
        let share = shape.macs() as f64 / time / (peak(isa, 1) as f64 * 200.0 / dots);
        let name = format!("{name} {:.0}% of dot products", 100.0 * share);
        let macs = Throughput::Elements(shape.macs() as u64);
        group.throughput(macs).bench_function(name, |bench| bench.iter(&mut run));
    }
}

/// One row by a matrix of `size × size`, at each width of weights.
fn gemv(criterion: &mut Criterion) {
    let isa = Isa::from_env().expect("LOWBIT_ISA names an instruction set of this CPU");
    for size in [4096, 16384] {
        let mut group = group(criterion, format!("gemv_{size}/{isa}"));
        let (x, bias) = (bytes(size), vec![0; size]);
        let requantize = Requantize::new(&vec![1e-5; size], BYTE);
        let linears = [WeightBits::Eight, WeightBits::Four, WeightBits::Two].map(|bits| {
            let unused = 8 - bits.bits();
            let codes: Vec<i8> =
                bytes(size * size).iter().map(|&w| (w << unused).cast_signed() >> unused).collect();
            let weights = Weights { codes: &codes, bits, bias: &bias, zero_x: 3, max_x: 255 };
            IntLinear::new(isa, size, size, &weights).expect("the sizes above are valid")
        });
        let run = |linear: &IntLinear, scratch: &mut [u8], y: &mut [u8]| {
            linear.run(black_box(&x), &requantize, None, scratch, y);
        };
        let mut scratch = linears.each_ref().map(|linear| AlignedBytes::zeroed(linear.scratch_len()));
        let mut outputs = [(); 3].map(|()| AlignedBytes::zeroed(size));
        let times = {
            let [[s0, s1, s2], [y0, y1, y2]] = [scratch.each_mut(), outputs.each_mut()];
            let mut copied = copy(size * size);
            shortest([
                &mut || run(&linears[0], s0, y0),
                &mut || run(&linears[1], s1, y1),
                &mut || run(&linears[2], s2, y2),
                &mut copied,
            ])
        };
        // A copy reads its bytes and writes as many.
        let copied = 2.0 * (size * size) as f64 / times[3];
        for (i, bits) in [8, 4, 2].into_iter().enumerate() {
            let (linear, bytes) = (&linears[i], linears[i].weight_bytes());
            let name = format!(
                "w{bits} {:.2} times w8, {:.2} of a copy's {:.0} GB/s",
                times[0] / times[i],
                bytes as f64 / times[i] / copied,
                copied / 1e9
            );
            let (scratch, y) = (&mut scratch[i], &mut outputs[i]);
            group
                .throughput(Throughput::Bytes(bytes as u64))
                .bench_function(name, |bench| bench.iter(|| run(linear, scratch, y)));
        }
    }
}

fn rest(criterion: &mut Criterion) {
    let isa = Isa::from_env().expect("LOWBIT_ISA names an instruction set of this CPU");
    let mut group = group(criterion, format!("codes/{isa}"));
    let plane = Plane::new(28, 28, 64);
    let (codes, mut output) = (bytes(plane.len()), AlignedBytes::zeroed(plane.len()));
    let len = plane.len();

    let term = Residual { plane, zero: 3, scale: 0.7 };
    let add = IntAdd::new(isa, [term, term], plane, BYTE).expect("planes of one size");
    beside_copy(&mut group, "add", 3 * len, || add.run([black_box(&codes), &codes], &mut output));

    let table: [u8; 256] = std::array::from_fn(|i| 255 - i as u8);
    beside_copy(&mut group, "lookup", 2 * len, || lookup_in_place(isa, &table, black_box(&mut output)));
    let tables = PairTables { beside_code: std::array::from_fn(|i| i as u8 & 0xf0), beside_zero: table };
    beside_copy(&mut group, "window", 2 * len, || window_in_place(isa, &tables, black_box(&mut output)));

    let wide = Plane::new(28, 28, 128);
    let part = ConcatPart::new(isa, [plane, wide], 64, 64, 128, None).expect("half of the channels");
    let mut both = AlignedBytes::zeroed(wide.len());
    beside_copy(&mut group, "concat", 2 * len, || part.run(black_box(&codes), &mut both));
    let part = ConcatPart::new(isa, [plane, wide], 64, 64, 128, Some(table)).expect("half of the channels");
    beside_copy(&mut group, "concat_lookup", 2 * len, || part.run(black_box(&codes), &mut both));

    let pool = Pool2d {
        in_h: 28,
        in_w: 28,
        channels: 64,
        kernel: [3; 2],
        stride: [2; 2],
        dilation: [1; 2],
        pads: [1; 4],
        ceil: false,
    };
    let quarter = Plane::new(pool.out_h(), pool.out_w(), 64);
    let max = IntPool2d::new(isa, &pool, IntPooling::Max(None), plane, quarter).expect("a valid pool");
    beside_copy(&mut group, "max_3x3_s2", len + len / 4, || {
        max.run(black_box(&codes), &mut output[..quarter.len()]);
    });
    let average = Average { zero_x: 3, scale: 0.9, code: BYTE, count_pad: false };
    let of_windows =
        IntPool2d::new(isa, &pool, IntPooling::Average(average), plane, quarter).expect("a valid pool");
    beside_copy(&mut group, "average_3x3_s2", len + len / 4, || {
        of_windows.run(black_box(&codes), &mut output[..quarter.len()]);
    });
    let pixel = Plane::new(1, 1, 64);
    let global = IntPool2d::global_average(isa, 64, average, plane, pixel).expect("a valid pool");
    beside_copy(&mut group, "global_average", len, || global.run(black_box(&codes), &mut output[..64]));

    for (name, size, channels) in [("3_224", 224, 3), ("3_32", 32, 3), ("64_28", 28, 64)] {
        let plane = Plane::new(size, size, channels).with_border([1; 4]);
        let quantizer = Quantizer::new(isa, plane, channels, 0.02, BYTE).expect("a valid edge");
        let mut reals: Vec<f32> = (0..size * size * channels).map(|i| i as f32 * 1e-4).collect();
        let mut codes = bytes(plane.len());
        let bytes = 4 * reals.len() + codes.len();
        beside_copy(&mut group, &format!("encode_nchw_{name}"), bytes, || {
            quantizer.encode_nchw(black_box(&reals), &mut codes);
        });
        beside_copy(&mut group, &format!("encode_nhwc_{name}"), bytes, || {
            quantizer.encode_nhwc(black_box(&reals), &mut codes);
        });
        beside_copy(&mut group, &format!("decode_nchw_{name}"), bytes, || {
            quantizer.decode_nchw(black_box(&codes), &mut reals);
        });
        beside_copy(&mut group, &format!("decode_nhwc_{name}"), bytes, || {
            quantizer.decode_nhwc(black_box(&codes), &mut reals);
        });
    }
}

fn group(criterion: &mut Criterion, name: String) -> BenchmarkGroup<'_, WallTime> {
    let mut group = criterion.benchmark_group(name);
    group
        .warm_up_time(Duration::from_millis(100))
        .measurement_time(Duration::from_millis(300))
        .sample_size(10);
    group
}

criterion_group!(benches, depthwise, gemv, rest);
criterion_main!(benches);
