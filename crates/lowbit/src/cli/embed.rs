//! `lowbit embed`: embedding tables in few bits, and back.

use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use lowbit::embedding::{EmbedJob, EmbedReport, Hint, METHODS, Method, NonFinite, Order, Search};
use lowbit::{facade, render};

use super::progress::Bars;
use super::report_file::{Form, ReportFile};
use super::shared::{one_of, positive};
use super::{files, print, usage};

/// Quantize an embedding table row by row; decode, verify or time a packed one
#[derive(clap::Args)]
#[command(before_help = "Example: lowbit embed table.npy --bits 4 -o table-4bit.safetensors")]
pub(super) struct Args {
    /// Table: .npy, .safetensors, or an ONNX network with a `Gather`; for --decode, --verify, --bench a packed one
    table: PathBuf,

    /// Packed table (.npy: rows alone; .safetensors: with what they are; .onnx: the network with its tables packed); without
    /// it, only the report
    #[arg(short, long, value_name = "OUT")]
    output: Option<PathBuf>,

    /// Tensor of the table, where the file has several
    #[arg(long, value_name = "NAME")]
    tensor: Option<String>,

    /// Width of the codes [default: 4]; of a packed .npy table it must be said
    #[arg(long, value_name = "8|4|2", value_parser = one_of([8, 4, 2], bits_name))]
    bits: Option<u32>,

    /// How rows are quantized
    #[arg(long, value_name = "NAME", default_value = "greedy", value_parser = method())]
    method: Method,

    /// Greedy search as PyTorch does it, byte for byte
    #[arg(long)]
    compatible: bool,

    /// Parts of a range in that search
    #[arg(long, value_name = "N", requires = "compatible", default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    bins: u32,

    /// Share of a range that may be cut in that search
    #[arg(long, value_name = "R", requires = "compatible", default_value_t = 0.16, value_parser = share)]
    ratio: f32,

    /// Scale and bias behind the codes (PyTorch, FBGEMM) or before them (FBGEMM's table-batched rows)
    #[arg(long, value_name = "last|first", default_value = "last", value_parser = one_of(Order::ALL, Order::name))]
    layout: Order,

    /// Clusters of kmeans-cls [default: as many as make the size of fused rows, at most 1024]
    #[arg(long, value_name = "K", value_parser = positive)]
    clusters: Option<usize>,

    /// How often each row is read (.npy, one number per row): weighs the loss, and the clusters of kmeans-cls
    #[arg(long, value_name = "FILE")]
    counts: Option<PathBuf>,

    /// Rows with NaN or infinities: refused, or kept with infinities as the nearest other value and NaN as 0
    #[arg(long, value_name = "refuse|keep", default_value = "refuse", value_parser = one_of([NonFinite::Refuse, NonFinite::Keep], non_finite_name))]
    non_finite: NonFinite,

    /// Compare methods: a list, or `all`
    #[arg(long, value_name = "NAMES", value_parser = methods)]
    compare: Option<Methods>,

    /// Rows to compare on, evenly spread
    #[arg(long, value_name = "N", default_value_t = 10_000, value_parser = clap::value_parser!(u64).range(1..))]
    compare_rows: u64,

    /// Report (.html, .json or .md)
    #[arg(long, value_name = "FILE")]
    report: Option<ReportFile>,

    /// Decode a packed table into floats
    #[arg(long, requires = "output", conflicts_with_all = ["verify", "bench", "report", "compare"])]
    decode: bool,

    /// Compare a packed table with the floats it was made of
    #[arg(long, value_name = "FLOATS", conflicts_with_all = ["output", "bench", "compare"])]
    verify: Option<PathBuf>,

    /// Time look-ups, and quantizing where the table is one of floats
    #[arg(long, conflicts_with_all = ["output", "report", "compare"])]
    bench: bool,

    /// Rows of a bag, for --bench
    #[arg(long, value_name = "N", default_value_t = 40, value_parser = positive)]
    pooling: usize,

    /// Bags of a call, for --bench
    #[arg(long, value_name = "N", default_value_t = 25_000, value_parser = positive)]
    bags: usize,

    /// With --bench, print JSON
    #[arg(long, requires = "bench")]
    json: bool,

    /// Worker threads [default: one per core]
    #[arg(long, value_name = "N", value_parser = positive)]
    threads: Option<usize>,

    /// Replace an output that exists
    #[arg(long)]
    force: bool,
}

/// Methods to compare.
#[derive(Clone)]
struct Methods(Vec<Method>);

pub(super) fn run(args: &Args) -> Result<()> {
    if args.bench {
        let bench = facade::bench_embedding(&job(args), hint(args), args.pooling, args.bags)?;
        return print::out(&if args.json {
            serde_json::to_string_pretty(&bench)? + "\n"
        } else {
            render::embedding::bench(&bench, print::style())
        });
    }
    if let Some(floats) = &args.verify {
        let tensor = args.tensor.as_deref();
        let report =
            facade::verify_embedding(&args.table, hint(args), floats, tensor, args.threads, &Bars::new())?;
        return keep(&report, args);
    }
    if args.compatible && args.method != Method::Greedy {
        return Err(usage(format!("--compatible is a search of greedy, not of {}", args.method.name())));
    }
    let is_onnx = |path: &Path| path.extension().is_some_and(|e| e.eq_ignore_ascii_case("onnx"));
    if let Some(output) = args.output.as_deref().filter(|output| is_onnx(output)) {
        return network(output, args);
    }
    let mut place = None;
    if let Some(output) = &args.output {
        place = Some((output.as_path(), begin(output, args)?));
    }
    let file =
        place.as_ref().map(|(path, file)| Ok::<_, std::io::Error>((*path, file.as_file().try_clone()?)));
    let file = file.transpose()?;
    if args.decode {
        if let Some(file) = file {
            facade::restore_embedding(&args.table, hint(args), file, args.threads, &Bars::new())?;
        }
        return finish(place);
    }
    let report = facade::embed(&job(args), file, &Bars::new())?;
    // The table first: a report of a table that could not be kept would be of nothing.
    keep(&report, args)?;
    finish(place)
}

/// A network in, the network with packed tables out.
fn network(output: &Path, args: &Args) -> Result<()> {
    drop(begin(output, args)?);
    let (bytes, tables) = facade::embed_network(&job(args))?;
    let before = std::fs::metadata(&args.table)?.len();
    let whole = [(output.to_owned(), bytes)];
    files::write(&whole)?;
    let [(_, bytes)] = &whole;
    print::told(&format!(
        "{}: {} · {} → {}\n",
        args.method.name(),
        tables.join(", "),
        render::units::bytes(before),
        render::units::bytes(bytes.len() as u64)
    ))?;
    print::written(&whole)
}

/// A file that becomes `output`, which may not exist unless --force is said.
fn begin(output: &Path, args: &Args) -> Result<tempfile::NamedTempFile> {
    if output.exists() && !args.force {
        bail!("{} exists; --force replaces it", output.display());
    }
    let inputs = [Some(&args.table), args.counts.as_ref()];
    files::check_all([output], inputs.into_iter().flatten().map(PathBuf::as_path))?;
    files::begin(output)
}

fn finish(place: Option<(&Path, tempfile::NamedTempFile)>) -> Result<()> {
    let Some((path, file)) = place else { return Ok(()) };
    let bytes = file.as_file().metadata()?.len();
    files::finish(file, path)?;
    print::told(&format!("\nwrote {} ({})\n", path.display(), render::units::bytes(bytes)))
}

fn keep(report: &EmbedReport, args: &Args) -> Result<()> {
    if args.output.is_none() {
        print::out(&render::embedding::text(report, print::style()))?;
    } else {
        print::told(&render::embedding::text(report, print::style()))?;
    }
    let Some(file) = &args.report else { return Ok(()) };
    let text = match file.form() {
        Form::Html => render::html::embedding::page(report),
        Form::Json => render::embedding::json(report),
        Form::Markdown => render::embedding::markdown(report),
    };
    let whole = [(file.path().to_owned(), text.into_bytes())];
    files::write(&whole)?;
    print::written(&whole)
}

fn job(args: &Args) -> EmbedJob {
    let (bins, ratio) = (args.bins, args.ratio);
    EmbedJob {
        table: (&args.table).into(),
        tensor: args.tensor.clone(),
        bits: args.bits.unwrap_or(4),
        method: args.method,
        search: if args.compatible { Search::Compatible { bins, ratio } } else { Search::Refit },
        order: args.layout,
        clusters: args.clusters,
        counts: args.counts.as_ref().map(Into::into),
        non_finite: args.non_finite,
        compare: args.compare.as_ref().map_or_else(Vec::new, |methods| methods.0.clone()),
        compare_rows: args.compare_rows,
        threads: args.threads,
    }
}

/// What rows of a `.npy` file are, where their width was said.
fn hint(args: &Args) -> Option<Hint> {
    args.bits.map(|bits| Hint { bits, order: args.layout, codebook: args.method == Method::Kmeans })
}

fn bits_name(bits: u32) -> &'static str {
    match bits {
        8 => "8",
        4 => "4",
        _ => "2",
    }
}

fn non_finite_name(non_finite: NonFinite) -> &'static str {
    match non_finite {
        NonFinite::Refuse => "refuse",
        NonFinite::Keep => "keep",
    }
}

/// A method by name, with its summary in the help.
fn method() -> impl TypedValueParser<Value = Method> {
    let values = METHODS.map(|entry| PossibleValue::new(entry.name).help(entry.summary));
    PossibleValuesParser::new(values).try_map(|name| Method::named(&name).ok_or("unknown name"))
}

fn methods(text: &str) -> Result<Methods, String> {
    if text == "all" {
        // One is very slow and one learns from the whole table first; both can be named.
        let quick = |method: &Method| !matches!(method, Method::HistBrute | Method::KmeansCls);
        return Ok(Methods(METHODS.iter().map(|entry| entry.method).filter(quick).collect()));
    }
    let named = |name: &str| {
        let known: Vec<&str> = METHODS.iter().map(|entry| entry.name).collect();
        Method::named(name.trim())
            .ok_or_else(|| format!("no method `{name}`; there are {}, all", known.join(", ")))
    };
    text.split(',').map(named).collect::<Result<_, _>>().map(Methods)
}

fn share(text: &str) -> Result<f32, String> {
    let share = text.parse::<f32>().ok().filter(|share| (0.0..=1.0).contains(share));
    share.ok_or_else(|| "not a share between 0 and 1".to_owned())
}
