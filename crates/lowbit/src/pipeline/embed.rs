//! `embed`: a table of floats to packed rows, and back.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use anyhow::{Context, Result, bail};
use lowbit_embed::Isa;
use lowbit_embed::cluster::{Clusters, LEARN};
use lowbit_embed::files::{self, Hint, Packed, Spread, Writer};
use lowbit_embed::{Format, MemoryRows, Method, Quantizer, Source, Summary, run};
use lowbit_graph::Graph;

use super::embed_onnx;
use super::load::with_threads;
use crate::Progress;
use crate::embedding::{Compared, EmbedJob, EmbedReport, Quantile, Search, TableSource};
use crate::render::units;

/// Quantizes into `output`, whose path says the container, or nowhere.
pub(crate) fn embed(
    job: &EmbedJob,
    output: Option<(&Path, File)>,
    progress: &dyn Progress,
) -> Result<EmbedReport> {
    with_threads(job.threads, || work(job, output, progress))
}

fn work(job: &EmbedJob, output: Option<(&Path, File)>, progress: &dyn Progress) -> Result<EmbedReport> {
    let isa = Isa::from_env()?;
    let (source, name) = open(&job.table, job.tensor.as_deref())?;
    let source = &*source;
    let counts = job.counts.as_ref().map(open_counts).transpose()?;
    let counts = counts.as_deref().map(|counts| counts as &dyn Source);
    let begun = Instant::now();
    let mut notes = Vec::new();
    let quantizer = quantizer(job, job.method, source, counts, isa, progress)?;
    if let Some(known) = quantizer.clusters() {
        notes.push(format!(
            "{} clusters, learned from {} rows evenly spread over the table",
            units::grouped(known.len() as u64),
            units::grouped(source.rows().min(LEARN))
        ));
    }
    if counts.is_some() && job.method != Method::KmeansCls {
        notes.push("counts weigh rows in the loss; rows are quantized each on its own, so codes do not depend on them".into());
    }
    let writer = output.map(|(path, file)| writer(path, file, job, &quantizer, source.rows())).transpose()?;
    progress.stage("quantize", Some(source.rows()));
    let tick = rate(progress);
    let summary = run::quantize(source, &quantizer, counts, writer.as_ref(), &tick)
        .with_context(|| format!("cannot quantize {name}"))?;
    if let Some(writer) = &writer {
        writer.finish()?;
    }
    let seconds = begun.elapsed().as_secs_f64();
    let compared = compare(job, source, isa, progress)?;
    progress.finish();
    let format = quantizer.format();
    let beside = quantizer.clusters().map_or(0, |known| beside(known, source.rows()));
    if summary.mended > 0 {
        notes.push(format!(
            "{} held NaN, infinities or values beyond half precision: infinities became the nearest other value of their row, \
             NaN became 0",
            units::plural(summary.mended as usize, "row")
        ));
    }
    Ok(EmbedReport {
        table: name,
        rows: source.rows(),
        columns: source.columns(),
        method: method_name(job.method, job.search),
        bits: job.bits,
        format: format.name(),
        row_bytes: format.row_bytes(),
        float_bytes: source.rows() * source.columns() as u64 * 4,
        packed_bytes: source.rows() * format.row_bytes() as u64 + beside,
        loss: summary.loss(),
        weighted_loss: summary.weighted_loss(),
        quantiles: quantiles(&summary),
        distribution: summary.distribution(),
        worst: summary.worst,
        mended_rows: summary.mended,
        constant_rows: summary.constant,
        compared_rows: if compared.is_empty() { 0 } else { job.compare_rows.min(source.rows()) },
        compared,
        seconds,
        threads: rayon::current_num_threads(),
        isa: isa.name(),
        notes,
    })
}

/// Bytes of clusters: an id per row, and codebooks.
fn beside(known: &Clusters, rows: u64) -> u64 {
    rows * known.id_bytes() as u64 + known.book_bytes().len() as u64
}

fn quantiles(summary: &Summary) -> Vec<Quantile> {
    [0.5, 0.9, 0.99].map(|share| Quantile { share, loss: summary.quantile(share) }).to_vec()
}

/// The method's name, with its search where it is not the default.
fn method_name(method: Method, search: Search) -> String {
    match (method, search) {
        (Method::Greedy, Search::Compatible { .. }) => format!("{}, compatible", method.name()),
        _ => method.name().to_owned(),
    }
}

pub(super) fn quantizer(
    job: &EmbedJob,
    method: Method,
    source: &dyn Source,
    counts: Option<&dyn Source>,
    isa: Isa,
    progress: &dyn Progress,
) -> Result<Quantizer> {
    let quantizer = if method == Method::KmeansCls {
        progress.stage("clusters", None);
        let count = |row: u64| {
            let mut count = [1.0];
            // Counts that cannot be read are refused when their turn comes.
            let read = counts.is_none_or(|counts| counts.read(row, &mut count).is_ok());
            if read && count[0] >= 0.0 { f64::from(count[0]) } else { 0.0 }
        };
        Quantizer::clustered(Arc::new(Clusters::learn(source, job.bits, job.clusters, &count)?), isa)
    } else {
        Quantizer::new(method, source.columns(), job.bits, job.order, isa)?
    };
    Ok(quantizer.with_search(job.search).with_non_finite(job.non_finite))
}

fn compare(job: &EmbedJob, source: &dyn Source, isa: Isa, progress: &dyn Progress) -> Result<Vec<Compared>> {
    let some = Spread::new(source, job.compare_rows);
    let mut all = Vec::new();
    for &method in &job.compare {
        let searches: &[Search] =
            if method == Method::Greedy { &[Search::COMPATIBLE, Search::Refit] } else { &[Search::Refit] };
        for &search in searches {
            let begun = Instant::now();
            let quantizer = match quantizer(job, method, &some, None, isa, progress) {
                Ok(quantizer) => quantizer.with_search(search),
                // A method that has no such width is no line.
                Err(_) if method != job.method => continue,
                Err(error) => return Err(error),
            };
            progress.stage(method.name(), Some(some.rows()));
            let summary = run::quantize(&some, &quantizer, None, None, &rate(progress))?;
            all.push(Compared {
                method: method_name(method, search),
                loss: summary.loss(),
                row_bytes: quantizer.format().row_bytes(),
                rows_per_second: some.rows() as f64 / begun.elapsed().as_secs_f64(),
            });
        }
    }
    Ok(all)
}

/// Advances a stage and says how many rows a second are done.
fn rate(progress: &dyn Progress) -> impl Fn(u64) + Sync {
    let (begun, done) = (Instant::now(), AtomicU64::new(0));
    move |rows| {
        let done = done.fetch_add(rows, Ordering::Relaxed) + rows;
        progress.advance(rows);
        let rate = done as f64 / begun.elapsed().as_secs_f64();
        progress.say(&format!("{} rows/s", units::count(rate as u64)));
    }
}

/// Whether a path is that of a `.safetensors` file; `.npy` is the other possibility.
fn is_safetensors(path: &Path) -> Result<bool> {
    match path.extension().and_then(|e| e.to_str()).unwrap_or_default() {
        "safetensors" => Ok(true),
        "npy" => Ok(false),
        other => {
            bail!("cannot write a `.{other}` table: {}: .npy and .safetensors are possible", path.display())
        }
    }
}

fn writer(path: &Path, file: File, job: &EmbedJob, quantizer: &Quantizer, rows: u64) -> Result<Writer> {
    let format = quantizer.format();
    if !is_safetensors(path)? {
        if matches!(format, Format::Codebook { columns, bits } if !columns.is_multiple_of(8 / bits as usize))
        {
            bail!(
                "{}: a .npy file does not say that the last byte of codes is not full: write .safetensors",
                path.display()
            );
        }
        return Ok(Writer::npy(file, path, format, rows)?);
    }
    let texts = [
        ("lowbit.method".to_owned(), method_name(job.method, job.search)),
        ("lowbit.version".to_owned(), env!("CARGO_PKG_VERSION").to_owned()),
    ];
    let clusters = quantizer.clusters().map(|known| &**known);
    Ok(Writer::safetensors(file, path, format, rows, &texts, clusters)?)
}

/// A table of floats, and what to call it.
pub(super) fn open(
    table: &TableSource,
    tensor: Option<&str>,
) -> Result<(Arc<dyn Source + Send + Sync>, String)> {
    match table {
        TableSource::Rows(name, rows) => return Ok((Arc::clone(rows), name.clone())),
        TableSource::File(path) if !embed_onnx::is_network(path) => {
            let rows = files::open(path, tensor)?;
            let name = tensor.map_or_else(|| table.to_string(), |tensor| format!("`{tensor}` of {table}"));
            return Ok((Arc::new(rows), name));
        }
        TableSource::File(_) | TableSource::Network(_) => {}
    }
    let graph = embed_onnx::read(table)?;
    let (rows, name) = gathered(&graph, tensor, table)?;
    Ok((Arc::new(rows), format!("`{name}` of {table}")))
}

fn open_counts(counts: &TableSource) -> Result<Arc<dyn Source + Send + Sync>> {
    match counts {
        TableSource::Rows(_, rows) => Ok(Arc::clone(rows)),
        TableSource::File(path) => Ok(Arc::new(files::open_counts(path)?)),
        TableSource::Network(_) => bail!("{counts}: counts are a `.npy` file"),
    }
}

/// The table whose rows a `Gather` of the network picks.
fn gathered(graph: &Graph, tensor: Option<&str>, file: &TableSource) -> Result<(MemoryRows, String)> {
    let tables = embed_onnx::tables(graph, tensor, file)?;
    let names: Vec<&str> = tables.iter().map(|&id| graph.value(id).name.as_str()).collect();
    let [table] = tables[..] else { bail!("say which table with --tensor: {}", names.join(", ")) };
    let Some(values) = graph.constant(table) else { bail!("`{}` is no constant", names[0]) };
    Ok((MemoryRows::new(values.to_f32(), values.shape()[1])?, names[0].to_owned()))
}

/// Decodes a packed table into `output`, whose path says the container.
pub(crate) fn restore_embedding(
    table: &Path,
    hint: Option<Hint>,
    output: (&Path, File),
    threads: Option<usize>,
    progress: &dyn Progress,
) -> Result<(u64, usize)> {
    with_threads(threads, || {
        let packed = Packed::open(table, hint)?;
        let (rows, columns) = (packed.rows(), packed.columns());
        let (path, file) = output;
        let writer = if is_safetensors(path)? {
            Writer::safetensors_floats(file, path, rows, columns)?
        } else {
            Writer::npy_floats(file, path, rows, columns)?
        };
        progress.stage("decode", Some(rows));
        run::restore(&packed, &writer, &rate(progress))
            .with_context(|| format!("cannot decode {}", table.display()))?;
        writer.finish()?;
        progress.finish();
        Ok((rows, columns))
    })
}

/// Compares a packed table with the floats it was made of.
pub(crate) fn verify_embedding(
    table: &Path,
    hint: Option<Hint>,
    floats: &Path,
    tensor: Option<&str>,
    threads: Option<usize>,
    progress: &dyn Progress,
) -> Result<EmbedReport> {
    with_threads(threads, || {
        let packed = Packed::open(table, hint)?;
        let (source, _) = open(&TableSource::File(floats.to_owned()), tensor)?;
        progress.stage("verify", Some(packed.rows()));
        let begun = Instant::now();
        let summary = run::verify(&packed, &*source, &rate(progress))
            .with_context(|| format!("{} does not hold {}", table.display(), floats.display()))?;
        progress.finish();
        let format = packed.format();
        let method = packed.texts().get("lowbit.method").cloned().unwrap_or_else(|| "method unknown".into());
        Ok(EmbedReport {
            table: table.display().to_string(),
            rows: packed.rows(),
            columns: packed.columns(),
            method,
            bits: format.bits(),
            format: format.name(),
            row_bytes: format.row_bytes(),
            float_bytes: packed.rows() * packed.columns() as u64 * 4,
            packed_bytes: packed.data_bytes(),
            loss: summary.loss(),
            weighted_loss: None,
            quantiles: quantiles(&summary),
            distribution: summary.distribution(),
            worst: summary.worst,
            mended_rows: 0,
            constant_rows: summary.constant,
            compared: Vec::new(),
            compared_rows: 0,
            seconds: begun.elapsed().as_secs_f64(),
            threads: rayon::current_num_threads(),
            isa: Isa::from_env()?.name(),
            notes: Vec::new(),
        })
    })
}
