//! A made-up report that has something of everything, of any depth.

use lowbit_quantize::report::{
    Activation, Class, Confusion, Histogram, Job, KeptFloat, Layer, Model, Report, Score, Stage, Weight,
    WindowUse,
};

/// A residual network of `depth` layers, quantized to about four bits.
pub(crate) fn report(depth: usize) -> Report {
    let layers: Vec<Layer> = (0..depth).map(|i| layer(i, depth)).collect();
    Report {
        model: Model {
            name: format!("resnet{depth}-cifar10"),
            inputs: vec!["input: float32[N,3,32,32]".into()],
            outputs: vec!["logits: float32[N,10]".into()],
            parameters: layers.iter().filter_map(|l| Some(elements(l.weight.as_ref()?) as u64)).sum(),
            macs: layers.iter().map(|l| l.macs).sum::<u64>() + 50_000,
            file_bytes: layers.iter().filter_map(|l| Some(l.weight.as_ref()?.float_bytes)).sum::<u64>()
                + 9_000,
            nodes: depth + 3,
        },
        training: None,
        job: Job {
            recipe: "w4a4-aciq".into(),
            recipe_toml: RECIPE.into(),
            target: "onnxruntime".into(),
            flavour: "packed".into(),
            seed: 7,
            data: "cifar10-train.tar.gz".into(),
            calibration_samples: 512,
            preprocess_toml: PREPROCESS.into(),
            effort: None,
            threads: 2,
            version: "0.1.0".into(),
        },
        scores: scores(&layers),
        tables: Vec::new(),
        kept_float: vec![
            kept("pool", "GlobalAveragePool", "the target has no integer form of this operator"),
            kept("softmax", "Softmax", "its output is read by nobody but the caller"),
        ],
        notes: vec![
            "First and last layer keep 8 bits, as the recipe asks (`edges = 8`).".into(),
            "Two channels of layer1.0.conv1 are zero everywhere; they take no bits.".into(),
        ],
        stages: [
            ("read and prepare", 0.04),
            ("observe", 1.31),
            ("aciq", 0.22),
            ("bias-correction", 0.57),
            ("write", 0.03),
            ("compare", 2.84),
        ]
        .map(|(name, seconds)| Stage { name: name.into(), seconds })
        .into(),
        layers,
    }
}

fn scores(layers: &[Layer]) -> Vec<Score> {
    let float: u64 = layers.iter().filter_map(|l| Some(l.weight.as_ref()?.float_bytes)).sum::<u64>() + 9_000;
    let packed: u64 = layers.iter().filter_map(|l| Some(l.weight.as_ref()?.bytes)).sum::<u64>() + 12_000;
    let score = |model: &str, bits: &str, top1, agreement, sqnr_db, size_bytes| Score {
        model: model.into(),
        engine: None,
        bits: bits.into(),
        samples: 10_000,
        top1: Some(top1),
        top5: Some(top1 + 0.5 * (100.0 - top1)),
        agreement,
        sqnr_db,
        size_bytes,
        classes: if agreement.is_some() { classes(top1) } else { Vec::new() },
    };
    vec![
        score("float", "float32", 88.21, None, None, float),
        score("w8a8", "W8A8", 88.16, Some(99.12), Some(31.42), float / 4 + 12_000),
        score("w4a4 (min-max)", "W4A4", 71.08, Some(74.9), Some(4.83), packed),
        score("w4a4-aciq", "W4A4", 85.93, Some(92.41), Some(12.71), packed),
    ]
}

/// Ten classes of a thousand samples, the later ones losing more.
fn classes(top1: f64) -> Vec<Class> {
    let class = |i: usize| Class {
        name: format!("class {i}"),
        samples: 1000,
        before: 900 - 4 * i,
        after: 890 + i - (i * (90 - top1 as usize)),
        taken_for: (i > 0).then(|| Confusion { class: format!("class {}", i / 2), more: 3 * i }),
    };
    (0..10).map(class).collect()
}

fn layer(i: usize, depth: usize) -> Layer {
    let last = i + 1 == depth;
    let stage = 3 * i / depth.max(1);
    let (channels, side) = (16 << stage, 32 >> stage);
    let edge = i == 0 || last;
    let op = match (last, i % 2) {
        (true, _) => "Gemm",
        (_, 0) => "Conv + Relu",
        _ => "Conv + Add + Relu",
    };
    let shape =
        if last { vec![10, channels] } else { vec![channels, if i == 0 { 3 } else { channels }, 3, 3] };
    let elements: usize = shape.iter().product();
    let by_bits = if edge {
        vec![]
    } else {
        vec![usize::from(i == 1) * 2, 0, 1, channels / 4, channels / 2, channels / 4, 1, 0, 0]
    };
    let bits = if edge { 8.0 } else { 3.98 - 0.01 * (i % 5) as f64 };
    let wave = (i as f64 * 1.7).sin();
    Layer {
        name: match (i, last) {
            (0, _) => "conv1".into(),
            (_, true) => "fc".into(),
            _ => format!("layer{}.{}.conv{}", stage + 1, (i - 1) / 2, 1 + (i - 1) % 2),
        },
        op: op.into(),
        output_shape: if last { vec![10] } else { vec![channels, side, side] },
        reads: match i {
            0 => vec![],
            _ if i.is_multiple_of(2) && i > 2 && !last => vec![i - 2, i - 1],
            _ => vec![i - 1],
        },
        macs: (elements * if last { 1 } else { side * side }) as u64,
        weight: Some(Weight {
            bits,
            channels_by_bits: by_bits,
            bytes: (elements as f64 * bits / 8.0) as u64 + 4 * shape[0] as u64,
            float_bytes: 4 * elements as u64,
            sqnr_db: Some(if edge { 42.0 } else { 19.5 + 1.5 * wave }),
            set_by: if edge { "minmax".into() } else { "aciq, bit-allocation, bias-correction".into() },
            shape,
        }),
        activation: (!last).then(|| activation(i, if edge { 8 } else { 4 })),
        window: (!edge).then(|| window(i)),
        alone_sqnr_db: Some(if edge { 38.0 } else { 24.0 + 6.0 * wave + 6.0 * (i as f64 / depth as f64) }),
    }
}

fn window(i: usize) -> WindowUse {
    let zero_percent = 40.0 + 7.0 * (i as f64).sin();
    WindowUse {
        window: "4 bits, shifts 4 3 2 1 0, round, pairs".into(),
        bits: 4,
        zero_percent,
        one_zero_percent: 0.9 * zero_percent,
        both_zero_percent: 0.5 * zero_percent,
        shifts: vec![0, 1, 2, 3, 4],
        shift_percent: vec![20.0, 14.0, 11.0, 6.0, 1.5],
        wide_percent: 47.5,
        flips_of_8_bits: 2.31,
        flips_of_window: 1.74,
        flips_of_control: 0.9,
    }
}

fn elements(weight: &Weight) -> usize {
    weight.shape.iter().product()
}

/// Fused ReLU on most edges: a spike at zero and one half of a bell, with a long thin tail.
fn activation(i: usize, bits: u8) -> Activation {
    let signed = i % 7 == 3;
    let max = 4.0 + 2.0 * (i as f32).cos();
    let min = if signed { -0.8 * max } else { 0.0 };
    let clip_hi = if bits == 8 { max } else { 0.62 * max };
    let clip_lo = if signed { -clip_hi } else { 0.0 };
    let bins = 512;
    let width = (max - min) / bins as f32;
    let mut seed = i as u32;
    let counts: Vec<u64> = (0..bins)
        .map(|bin| {
            let x = min + width * (bin as f32 + 0.5);
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let jitter = 0.8 + 0.4 * (seed >> 8) as f32 / (1 << 24) as f32;
            let spike = if bin == 0 && !signed { 2e6 } else { 0.0 };
            (spike + jitter * 2e5 * (-(x.abs() / 0.14 / max).powf(1.3)).exp()) as u64
        })
        .collect();
    let outside = counts.iter().enumerate().filter(|&(bin, _)| {
        let x = min + width * (bin as f32 + 0.5);
        x > clip_hi || x < clip_lo
    });
    let clipped: u64 = outside.map(|(_, n)| n).sum();
    Activation {
        name: format!("/layer{i}/Relu_output_0"),
        bits,
        clip_lo,
        clip_hi,
        min,
        max,
        clipped_percent: 100.0 * clipped as f64 / counts.iter().sum::<u64>() as f64,
        sqnr_db: Some(if bits == 8 { 41.3 } else { 17.9 + (i as f64).sin() }),
        histogram: Histogram { lo: min, width, counts },
        set_by: if bits == 8 { "minmax".into() } else { "aciq".into() },
        levels: Vec::new(),
    }
}

fn kept(node: &str, op: &str, reason: &str) -> KeptFloat {
    KeptFloat { node: node.into(), op: op.into(), reason: reason.into() }
}

const RECIPE: &str = "\
seed = 7

[bits]
weight = 4
activation = 4
edges = 8

[[step]]
method = \"aciq\"
distribution = \"laplace\"

[[step]]
method = \"bit-allocation\"

[[step]]
method = \"bias-correction\"
";

const PREPROCESS: &str = "\
layout = \"nchw\"
scale = 0.00392156862745098
mean = [0.4914, 0.4822, 0.4465]
std = [0.247, 0.2435, 0.2616]
";
