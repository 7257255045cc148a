//! Times a network on noise: `throughput MODEL [BATCH] [THREADS] [IMAGES] [REPEATS]`, one JSON object on one line.
//!
//! `images_per_second` is by the clock, `cpu_us_per_image` CPU time of the process; best and median over the repeats,
//! as `scripts/time_ort.py` prints them. Each repeat runs at least IMAGES images.

use lowbit_engine::{Network, bindings, evaluate_for_pass};
use lowbit_graph::passes::{prepare, specialize};
use lowbit_tensor::{DType, Tensor};
use std::error::Error;
use std::path::PathBuf;
use std::time::Instant;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let model = arguments.next().ok_or("throughput MODEL [BATCH] [THREADS] [IMAGES] [REPEATS]")?;
    let mut number = |default: usize| arguments.next().map_or(Ok(default), |a| a.parse());
    let (batch, threads) = (number(250)?, number(1)?);
    let (images, repeats) = (number(250)?, number(15)?);

    let graph = prepare(lowbit_onnx::read_file(&PathBuf::from(&model))?, &evaluate_for_pass)?;
    let network = Network::new(&graph)?;
    let (_, types) = specialize(&graph, &bindings(&graph, batch), &evaluate_for_pass)?;
    let input = |id: &lowbit_graph::ValueId| {
        let ty = types[id.0].as_ref().filter(|ty| ty.dtype == DType::F32).ok_or("an input is not f32")?;
        Ok::<_, Box<dyn Error>>(Tensor::from_f32(ty.shape.clone(), noise(ty.len())))
    };
    let inputs = graph.inputs.iter().map(input).collect::<Result<Vec<_>, _>>()?;

    let runs = images.div_ceil(batch);
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build()?;
    let mut samples = pool
        .install(|| -> Result<Vec<[f64; 2]>, Box<dyn Error + Send + Sync>> {
            let mut samples = Vec::new();
            for repeat in 0..=repeats {
                let (wall, cpu) = (Instant::now(), cpu_seconds());
                for _ in 0..runs {
                    network.run(&inputs)?;
                }
                // The first repeat warms up.
                if repeat > 0 {
                    samples.push([wall.elapsed().as_secs_f64(), cpu_seconds() - cpu]);
                }
            }
            Ok(samples)
        })
        .map_err(|error| error.to_string())?;

    let each = 1.0 / (runs * batch) as f64;
    let mut column = |i: usize| {
        samples.sort_by(|a, b| a[i].total_cmp(&b[i]));
        [samples[0][i] * each, samples[samples.len() / 2][i] * each]
    };
    let (wall, cpu) = (column(0).map(|s| (1.0 / s).round()), column(1).map(|s| (1e7 * s).round() / 10.0));
    println!(
        "{}",
        serde_json::json!({
            "model": model, "threads": threads, "batch": batch,
            "images_per_second": wall, "cpu_us_per_image": cpu,
        })
    );
    Ok(())
}

/// CPU time of this process, all threads, where the system tells it in `/proc`; else 0.
fn cpu_seconds() -> f64 {
    let run = |stat: String| stat.split_whitespace().next().and_then(|ns| ns.parse::<f64>().ok());
    let tasks = std::fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
    let nanoseconds =
        tasks.filter_map(|task| run(std::fs::read_to_string(task.path().join("schedstat")).ok()?));
    nanoseconds.sum::<f64>() / 1e9
}

/// Numbers in [-1, 1).
fn noise(len: usize) -> Vec<f32> {
    let mut state = 1u64;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f32 / (1u64 << 23) as f32 - 1.0
    };
    (0..len).map(|_| next()).collect()
}
