//! `embed --bench`: how fast tables are quantized in memory and looked up.

use std::path::Path;
use std::time::Instant;

use anyhow::{Result, bail};
use lowbit_embed::Isa;
use lowbit_embed::files::{self, Hint, Packed};
use lowbit_embed::lookup::{large_zeroed, touch_rows};
use lowbit_embed::methods::Search;
use lowbit_embed::{Bags, Method, PackedTable, Pooling, Quantizer, Source};
use rayon::prelude::*;

use super::load::with_threads;
use crate::embedding::{EmbedBench, EmbedJob, Speed, TableSource};

/// Each is timed so often; the best counts.
const RUNS: usize = 5;
/// Where the operating system gives the rows' pages anew in each run, as it does for a program that packs a table once.
const NEW_MEMORY: &str = "asym, new memory";
/// Rows that one thread quantizes at a time.
const BLOCK: usize = 1024;

/// Looks up bags of `pooling` random rows. A table of floats is quantized first, by the job's method.
pub(crate) fn bench_embedding(
    job: &EmbedJob,
    hint: Option<Hint>,
    pooling: usize,
    bags: usize,
) -> Result<EmbedBench> {
    let isa = Isa::from_env()?;
    let threads = job.threads.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, usize::from));
    let counts: Vec<usize> = if threads == 1 { vec![1] } else { vec![1, threads] };
    let mut quantized = Vec::new();
    let TableSource::File(path) = &job.table else { bail!("{}: only tables in files are timed", job.table) };
    let table = match packed(path, hint) {
        Some(packed) => PackedTable::load(&packed?)?,
        None => {
            let floats = files::open(path, job.tensor.as_deref())?;
            let mut x: Vec<f32> = large_zeroed(floats.rows() as usize * floats.columns());
            floats.read(0, &mut x)?;
            for (method, search, what) in [
                (Method::Asym, Search::Refit, "asym"),
                (Method::Asym, Search::Refit, NEW_MEMORY),
                (Method::Greedy, Search::COMPATIBLE, "greedy, compatible"),
                (Method::Greedy, Search::Refit, "greedy"),
            ] {
                let quantizer =
                    Quantizer::new(method, floats.columns(), job.bits, job.order, isa)?.with_search(search);
                for &threads in &counts {
                    quantized
                        .push(with_threads(Some(threads), || quantize(&quantizer, &mut x, what, threads))?);
                }
            }
            let quantizer = Quantizer::new(job.method, floats.columns(), job.bits, job.order, isa)?
                .with_search(job.search);
            let mut bytes = large_zeroed(floats.rows() as usize * quantizer.format().row_bytes());
            quantizer.rows(0, &mut x, &mut bytes, &mut [])?;
            PackedTable::new(quantizer.format(), bytes)?
        }
    };
    let format = table.format();
    let indices = random(table.rows(), pooling * bags);
    let offsets: Vec<usize> = (0..bags).map(|bag| bag * pooling).collect();
    let weights: Vec<f32> = (0..indices.len()).map(|i| 0.5 + (i % 7) as f32 / 8.0).collect();
    let mut lookups = Vec::new();
    for &threads in &counts {
        let mut speeds = with_threads(Some(threads), || {
            let stride = format.row_bytes();
            let memory = best(indices.len(), || {
                let part = indices.len().div_ceil(4 * threads);
                let sum = indices.par_chunks(part).map(|part| touch_rows(isa, table.bytes(), stride, part));
                std::hint::black_box(sum.reduce(|| 0, u64::wrapping_add));
            });
            let speed = |what: &str, rows_per_second: f64| Speed {
                what: what.to_owned(),
                threads,
                rows_per_second,
                bytes_per_second: rows_per_second * stride as f64,
                of_memory_percent: Some(100.0 * rows_per_second / memory),
            };
            let mut speeds = vec![speed("rows read, not decoded", memory)];
            let mut out = vec![0.0; bags * format.columns()];
            for (what, mode, weights) in [
                ("sum", Pooling::Sum, None),
                ("mean", Pooling::Mean, None),
                ("weighted sum", Pooling::Sum, Some(&weights[..])),
            ] {
                let bags = Bags { indices: &indices, offsets: &offsets, weights };
                table.pool(isa, &bags, mode, &mut out)?;
                let rate = best(indices.len(), || {
                    // Refused above, if at all.
                    let _ = table.pool(isa, &bags, mode, &mut out);
                });
                speeds.push(speed(what, rate));
            }
            Ok(speeds)
        })?;
        lookups.append(&mut speeds);
    }
    Ok(EmbedBench {
        rows: table.rows() as u64,
        columns: format.columns(),
        format: format.name(),
        bits: format.bits(),
        isa: isa.name(),
        pooling,
        bags,
        quantized,
        lookups,
    })
}

/// A packed table, if the file is one.
fn packed(path: &Path, hint: Option<Hint>) -> Option<Result<Packed, lowbit_embed::EmbedError>> {
    match Packed::open(path, hint) {
        Ok(packed) => Some(Ok(packed)),
        // A table of floats is opened as one, and that says what is wrong with it.
        Err(_) => None,
    }
}

fn quantize(quantizer: &Quantizer, x: &mut [f32], what: &str, threads: usize) -> Result<Speed> {
    let (columns, stride) = (quantizer.format().columns(), quantizer.format().row_bytes());
    let rows = x.len() / columns;
    let (mut out, mut refused) = (large_zeroed(rows * stride), None);
    let rows_per_second = best(rows, || {
        if what == NEW_MEMORY {
            out = large_zeroed(rows * stride);
        }
        let blocks = x.par_chunks_mut(BLOCK * columns).zip(out.par_chunks_mut(BLOCK * stride)).enumerate();
        let done = blocks
            .try_for_each(|(nth, (x, out))| quantizer.rows((nth * BLOCK) as u64, x, out, &mut []).map(drop));
        refused = done.err();
    });
    if let Some(error) = refused {
        return Err(error.into());
    }
    let bytes_per_second = rows_per_second * stride as f64;
    Ok(Speed { what: what.to_owned(), threads, rows_per_second, bytes_per_second, of_memory_percent: None })
}

/// Steps per second of the best of some runs.
fn best(steps: usize, mut work: impl FnMut()) -> f64 {
    let mut least = f64::INFINITY;
    for _ in 0..RUNS {
        let begun = Instant::now();
        work();
        least = least.min(begun.elapsed().as_secs_f64());
    }
    steps as f64 / least
}

/// Rows in no order, the same every time.
fn random(rows: usize, count: usize) -> Vec<i64> {
    let mut state = 0x9e37_79b9_7f4a_7c15u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state % rows as u64) as i64
    };
    (0..count).map(|_| next()).collect()
}
