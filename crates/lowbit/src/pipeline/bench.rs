//! `bench`: how fast a network runs here, and where its time goes.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use lowbit_runtime::Session;
use lowbit_tensor::Tensor;

use super::load::{self, Loaded};
use super::runner::Runner;
use super::stages::Stages;
use crate::Progress;
use crate::facade::{Bench, BenchJob, Engine, NodeTime};

/// Runs whose times are not counted: caches fill, memory is made, the processor speeds up.
const WARM_UP: Duration = Duration::from_millis(200);
/// Fewer runs say nothing about a 99th percentile.
const LEAST_RUNS: usize = 20;

pub(crate) fn bench(job: &BenchJob, progress: &dyn Progress) -> Result<Bench> {
    load::with_threads(job.threads, || work(job, progress))
}

fn work(job: &BenchJob, progress: &dyn Progress) -> Result<Bench> {
    let stages = Stages::new(progress);
    stages.begin("read", None);
    let loaded = load::network(&job.model)?;
    let engine = job.engine.unwrap_or(if loaded.quantized { Engine::Integer } else { Engine::Simulated });
    let runner = Runner::new(engine, &job.model, &loaded)?;
    let input = samples(&loaded, job.batch)?;
    stages.begin("warm up", None);
    let start = Instant::now();
    while start.elapsed() < WARM_UP {
        once(&runner, &input)?;
    }
    stages.begin("measure", None);
    let (mut latencies, start, cpu) = (Vec::new(), Instant::now(), cpu_time());
    while latencies.len() < LEAST_RUNS || start.elapsed() < job.duration {
        let run = Instant::now();
        once(&runner, &input)?;
        latencies.push(run.elapsed());
    }
    let (wall, cpu) = (start.elapsed(), cpu_time().saturating_sub(cpu));
    stages.finish();
    let images = (latencies.len() * job.batch) as f64;
    latencies.sort_unstable();
    let percentile =
        |p: usize| 1e3 * latencies[(latencies.len() * p / 100).min(latencies.len() - 1)].as_secs_f64();
    let nodes = match &runner {
        Runner::Integer(session) if job.nodes => nodes(session, &input)?,
        _ => Vec::new(),
    };
    let (left, weight_bytes) = match &runner {
        Runner::Integer(session) => (session.left().to_vec(), Some(session.weight_bytes() as u64)),
        Runner::Float(_) => (Vec::new(), None),
    };
    Ok(Bench {
        seconds_per_image: cpu.as_secs_f64() / images,
        latency_p50_ms: percentile(50),
        latency_p99_ms: percentile(99),
        images_per_second: images / wall.as_secs_f64(),
        batch: job.batch,
        threads: rayon::current_num_threads(),
        peak_bytes: peak_bytes(),
        engine: engine.name().to_owned(),
        isa: lowbit_kernels::Isa::from_env()?.name().to_owned(),
        runs: latencies.len(),
        weight_bytes,
        float_nodes: left.into_iter().map(|l| format!("{} `{}` {}", l.op, l.node, l.reason)).collect(),
        nodes,
    })
}

fn once(runner: &Runner, input: &Tensor) -> Result<()> {
    std::hint::black_box(runner.run(input)?);
    Ok(())
}

/// Time of each step: the least of several rounds, as what disturbs only ever adds.
fn nodes(session: &Session, input: &Tensor) -> Result<Vec<NodeTime>> {
    let (samples, batch) = (input.to_f32(), input.shape()[0]);
    let mut profile = session.profile(&samples)?;
    for _ in 0..LEAST_RUNS {
        for (best, again) in profile.iter_mut().zip(session.profile(&samples)?) {
            best.time = best.time.min(again.time);
        }
    }
    let node = |p: lowbit_runtime::Profile| NodeTime {
        node: p.step.name,
        what: p.step.what,
        weight_bytes: p.step.weight_bytes as u64,
        seconds_per_image: p.time.as_secs_f64() / batch as f64,
    };
    Ok(profile.into_iter().map(node).collect())
}

/// Numbers that look like normalised samples, always the same.
fn samples(loaded: &Loaded, batch: usize) -> Result<Tensor> {
    if let Some(integers) = loaded.integers {
        let name = &loaded.graph.value(integers).name;
        bail!("input `{name}` takes indices; the random numbers that `bench` feeds are none");
    }
    let shape: Vec<usize> = std::iter::once(batch).chain(loaded.sample_shape()?).collect();
    Ok(Tensor::from_f32(shape, loaded.made_up(batch)?))
}

/// Processor time of the process so far, all threads.
#[cfg(unix)]
fn cpu_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Duration::new(u64::try_from(time.tv_sec).unwrap_or(0), u32::try_from(time.tv_nsec).unwrap_or(0))
}

#[cfg(not(unix))]
fn cpu_time() -> Duration {
    static START: std::sync::OnceLock<Instant> = std::sync::OnceLock::new();
    START.get_or_init(Instant::now).elapsed()
}

/// Most memory that the process has held, by what Linux says.
fn peak_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
}
