//! `quantize`: observe, plan, lower, write, read back, compare.

use std::path::Path;

use anyhow::{Context, Result, bail};
use lowbit_engine::Network;
use lowbit_onnx::WriteOptions;
use lowbit_quantize::describe::{alone, layers, layers_with_sites};
use lowbit_quantize::evaluate::Comparison;
use lowbit_quantize::lower::{Flavour, qdq::qdq};
use lowbit_quantize::observe::{Needs, Observations, Observer};
use lowbit_quantize::plan::{Plan, Setting};
use lowbit_quantize::recipe::Recipe;
use lowbit_quantize::report::{self, Report, Score};
use lowbit_quantize::run::Run;
use lowbit_quantize::simulate::simulate;
use lowbit_quantize::site::{self, Sites};
use lowbit_quantize::target::Target;
use lowbit_quantize::workbench::Workbench;
use lowbit_tensor::{Code, Tensor};

use super::load::{self, Loaded, Samples, Wanted};
use super::stages::Stages;
use crate::Progress;
use crate::facade::{Outcome, QuantizeJob};

/// Samples kept for measuring how much each layer hurts alone.
const DETAIL_SAMPLES: usize = 64;
/// Without validation data the network is scored on at most this many calibration samples.
const SELF_SCORED: usize = 256;

pub(crate) fn quantize(job: &QuantizeJob, progress: &dyn Progress) -> Result<Outcome> {
    load::with_threads(job.threads, || run(job, progress))
}

/// The built-in recipe of that name, or the file at that path.
pub(super) fn recipe(name: &str) -> Result<Recipe> {
    match text_of(name)? {
        None => Ok(Recipe::named(name)?),
        Some((stem, text)) => Recipe::parse(&stem, &text).with_context(|| format!("cannot use {name}")),
    }
}

/// The built-in target of that name, or the file at that path.
fn target(name: &str) -> Result<Target> {
    match text_of(name)? {
        None => Ok(Target::named(name)?),
        Some((stem, text)) => Target::parse(&stem, &text).with_context(|| format!("cannot use {name}")),
    }
}

/// Stem and text of a file, if `name` is one rather than a built-in name.
fn text_of(name: &str) -> Result<Option<(String, String)>> {
    let path = Path::new(name);
    if !name.ends_with(".toml") && !path.is_file() {
        return Ok(None);
    }
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {name}"))?;
    Ok(Some((path.file_stem().unwrap_or_default().to_string_lossy().into_owned(), text)))
}

/// A network with what calibration saw of it: what recipes work on.
pub(super) struct Calibrated<'a> {
    pub(super) network: &'a Loaded,
    pub(super) target: &'a Target,
    pub(super) sites: &'a Sites,
    pub(super) seen: &'a Observations,
}

/// A network quantized by one recipe.
pub(super) struct Quantized {
    pub(super) plan: Plan,
    pub(super) bytes: Vec<u8>,
    /// As read back from `bytes`.
    pub(super) network: Network,
}

impl Calibrated<'_> {
    pub(super) fn plan(&self, recipe: &Recipe) -> Result<Plan> {
        let graph = &self.network.graph;
        let bench = Workbench {
            graph,
            types: &self.network.types,
            sites: self.sites,
            seen: self.seen,
            recipe,
            target: self.target,
            run: &Run::quiet(),
        };
        let plan = recipe.start(graph, self.sites, self.target)?;
        recipe.run(plan, &bench).with_context(|| format!("recipe `{}`", recipe.name))
    }

    /// Writes a plan out and reads it back; `check` is a batch on which both forms must agree.
    pub(super) fn write(
        &self,
        plan: Plan,
        recipe: &Recipe,
        flavour: Flavour,
        seed: u64,
        preprocess_toml: &str,
        check: &Tensor,
    ) -> Result<Quantized> {
        let graph = &self.network.graph;
        let mut lowered = qdq(graph, self.sites, &plan, flavour)?;
        for (key, value) in [
            ("lowbit.recipe", recipe.text.trim()),
            ("lowbit.bits", &bits(&plan, self.sites)),
            ("lowbit.seed", &seed.to_string()),
            ("lowbit.target", &self.target.name),
            ("lowbit.flavour", flavour.name()),
            ("lowbit.version", env!("CARGO_PKG_VERSION")),
            ("lowbit.preprocess", preprocess_toml.trim()),
        ] {
            lowered.metadata.insert(key.to_owned(), value.to_owned());
        }
        let bytes = lowbit_onnx::write_bytes(&lowered, &WriteOptions::default())?;
        let network =
            Network::new(&load::network_bytes(&bytes).context("reading back what was written")?.graph)?;
        let simulated = Network::new(&simulate(graph, self.sites, &plan))?;
        let input = [check.clone()];
        let (written, expected) = (network.run(&input)?, simulated.run(&input)?);
        let equal = |a: &Tensor, b: &Tensor| {
            let (a, b) = (a.to_f32(), b.to_f32());
            let largest = b.iter().fold(0f32, |m, x| m.max(x.abs()));
            a.len() == b.len() && a.iter().zip(&b).all(|(x, y)| (x - y).abs() <= 1e-5 * largest)
        };
        if written.len() != expected.len() || !written.iter().zip(&expected).all(|(a, b)| equal(a, b)) {
            bail!(
                "the written network does not compute what was simulated; this is a fault of lowbit, please report it"
            );
        }
        Ok(Quantized { plan, bytes, network })
    }
}

fn run(job: &QuantizeJob, progress: &dyn Progress) -> Result<Outcome> {
    let mut stages = Stages::new(progress);
    stages.begin("read", None);
    let (recipe, target) = (recipe(&job.recipe)?, target(&job.target)?);
    let flavour = Flavour::named(job.flavour.as_deref().unwrap_or(&target.flavour))?;
    let seed = job.seed.unwrap_or(recipe.seed);
    let network = load::network(&job.model)?;
    if network.quantized {
        bail!("{} is quantized already; quantize the float network it was made from", job.model.display());
    }
    let sites = site::find(&network.graph, &network.types, &target);
    if sites.weights.is_empty() {
        bail!("{}: nothing to quantize for target `{}`{}", job.model.display(), target.name, reasons(&sites));
    }
    let wanted = Wanted { preprocess: job.preprocess.as_deref(), skip: 0, limit: job.limit, seed };
    let samples = load::samples(&job.data, &network, &wanted, job.validation.is_none())?;
    let validation = match &job.validation {
        None => None,
        Some(path) => {
            let preprocess = Wanted { limit: None, ..wanted };
            Some(load::samples(path, &network, &preprocess, true)?)
        }
    };
    let preprocess_toml = toml::to_string(&samples.options.preprocess)?;
    // A report draws histograms, whatever the recipe reads.
    let needs = recipe.needs() | Needs { histogram: job.detail, ..Needs::default() };
    let (seen, kept) = observe(&network, &sites, needs, &samples, &mut stages)?;
    let calibrated = Calibrated { network: &network, target: &target, sites: &sites, seen: &seen };
    stages.begin("plan", None);
    let plan = calibrated.plan(&recipe)?;
    let mut report = Report {
        model: network.summary(&job.model),
        job: report::Job {
            recipe: recipe.name.clone(),
            recipe_toml: recipe.text.clone(),
            target: target.name.clone(),
            flavour: flavour.name().to_owned(),
            seed,
            data: job.data.display().to_string(),
            calibration_samples: seen.samples,
            preprocess_toml: preprocess_toml.clone(),
            threads: rayon::current_num_threads(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
        },
        layers: layers(&network.graph, &network.types, &sites, &plan, &seen),
        kept_float: sites.kept_float.clone(),
        ..Report::default()
    };
    report.notes.extend(samples.assumed.clone());
    if job.dry_run {
        report.notes.push("dry run: nothing was written".into());
        report.stages = stages.finish();
        return Ok(Outcome { bytes: Vec::new(), report });
    }
    stages.begin("write", None);
    let check = &kept.first().context("no samples")?.input;
    let quantized = calibrated.write(plan, &recipe, flavour, seed, &preprocess_toml, check)?;
    let variant = Variant {
        name: &recipe.name,
        bits: bits(&quantized.plan, &sites),
        network: &quantized.network,
        bytes: quantized.bytes.len(),
    };
    report.scores = match &validation {
        Some(samples) => score(&network, &[variant], samples.batches()?.map(|b| labelled(b?)), &mut stages)?,
        None => {
            report.notes.push(format!(
                "scored on {} calibration samples; give --validation for an unbiased figure",
                kept.iter().map(|k| k.input.shape()[0]).sum::<usize>()
            ));
            self_score(&network, &variant, &kept, &mut stages)?
        }
    };
    if job.detail {
        sensitivity(&calibrated, &quantized.plan, check, &mut report, &mut stages)?;
    }
    report.stages = stages.finish();
    Ok(Outcome { bytes: quantized.bytes, report })
}

/// A batch and its labels.
pub(super) type Labelled = (Tensor, Option<Vec<u32>>);

/// A batch kept from calibration, with what the float network made of it.
pub(super) struct Kept {
    pub(super) input: Tensor,
    pub(super) labels: Option<Vec<u32>>,
    pub(super) float: Vec<f32>,
}

pub(super) fn labelled(mut batch: lowbit_data::Batch) -> Result<Labelled> {
    let labels = batch.labels.take();
    Ok((load::input(&mut batch)?, labels))
}

/// Observes every sample, and keeps the first few batches for checks and scores.
pub(super) fn observe(
    network: &Loaded,
    sites: &Sites,
    needs: Needs,
    samples: &Samples,
    stages: &mut Stages<'_>,
) -> Result<(Observations, Vec<Kept>)> {
    let batches = samples.batches()?;
    stages.begin("calibrate", Some(batches.samples() as u64));
    let mut observer = Observer::new(&network.graph, sites, needs)?;
    let (mut kept, mut held): (Vec<Kept>, usize) = (Vec::new(), 0);
    for batch in batches {
        let (input, labels) = labelled(batch?)?;
        let n = input.shape()[0];
        let inputs = [input];
        let outputs = observer.add(&inputs)?;
        if held < SELF_SCORED {
            let [input] = inputs;
            let float = outputs.first().context("the network has no output")?.to_f32();
            kept.push(Kept { input, labels, float });
            held += n;
        }
        stages.advance(n);
    }
    let seen = observer.finish();
    for (site, edge) in sites.activations.iter().zip(&seen.edges) {
        if !edge.tensor.min.is_finite() || !edge.tensor.max.is_finite() {
            bail!("edge `{}` takes values that are not finite on these samples", site.name);
        }
    }
    Ok((seen, kept))
}

/// One network to score.
pub(super) struct Variant<'a> {
    pub(super) name: &'a str,
    pub(super) bits: String,
    pub(super) network: &'a Network,
    pub(super) bytes: usize,
}

/// Scores the float network and variants of it.
pub(super) fn score(
    float: &Loaded,
    variants: &[Variant<'_>],
    batches: impl Iterator<Item = Result<Labelled>>,
    stages: &mut Stages<'_>,
) -> Result<Vec<Score>> {
    stages.begin("score", None);
    let reference = Network::new(&float.graph)?;
    let mut comparison = Comparison::new(variants.len() + 1);
    for batch in batches {
        let (input, labels) = batch?;
        let input = [input];
        let networks = std::iter::once(&reference).chain(variants.iter().map(|v| v.network));
        let outputs: Vec<Vec<f32>> = networks
            .map(|n| Ok(n.run(&input)?.first().context("the network has no output")?.to_f32()))
            .collect::<Result<_>>()?;
        let views: Vec<&[f32]> = outputs.iter().map(Vec::as_slice).collect();
        comparison.add(&views, float.classes(), labels.as_deref());
        stages.advance(input[0].shape()[0]);
    }
    Ok(named(&comparison, float, variants))
}

/// Scores a variant on what calibration kept, where the float network has run already.
fn self_score(
    float: &Loaded,
    variant: &Variant<'_>,
    kept: &[Kept],
    stages: &mut Stages<'_>,
) -> Result<Vec<Score>> {
    stages.begin("score", None);
    let mut comparison = Comparison::new(2);
    for batch in kept {
        let output = first_output(variant.network, std::slice::from_ref(&batch.input))?;
        comparison.add(&[&batch.float, &output], float.classes(), batch.labels.as_deref());
        stages.advance(batch.input.shape()[0]);
    }
    Ok(named(&comparison, float, std::slice::from_ref(variant)))
}

fn named(comparison: &Comparison, float: &Loaded, variants: &[Variant<'_>]) -> Vec<Score> {
    let mut scores = comparison.scores();
    let names = std::iter::once(("float", "float32".to_owned(), float.file_bytes))
        .chain(variants.iter().map(|v| (v.name, v.bits.clone(), v.bytes as u64)));
    for (score, (name, bits, bytes)) in scores.iter_mut().zip(names) {
        (score.model, score.bits, score.size_bytes) = (name.to_owned(), bits, bytes);
    }
    scores
}

/// Measures each layer alone against the float network.
pub(super) fn sensitivity(
    calibrated: &Calibrated<'_>,
    plan: &Plan,
    samples: &Tensor,
    report: &mut Report,
    stages: &mut Stages<'_>,
) -> Result<()> {
    let (graph, sites) = (&calibrated.network.graph, calibrated.sites);
    let entries = layers_with_sites(graph, sites);
    stages.begin("layer by layer", Some(entries.len() as u64));
    let rows = samples.shape()[0].min(DETAIL_SAMPLES);
    let per_row = samples.len() / samples.shape()[0];
    let mut shape = samples.shape().to_vec();
    shape[0] = rows;
    let few = [Tensor::from_f32(shape, samples.to_f32()[..rows * per_row].to_vec())];
    let expected = first_output(&Network::new(graph)?, &few)?;
    for (entry, layer) in entries.iter().zip(&mut report.layers) {
        let network = Network::new(&simulate(graph, sites, &alone(plan, sites, *entry)))?;
        let mut comparison = Comparison::new(2);
        comparison.add(&[&expected, &first_output(&network, &few)?], calibrated.network.classes(), None);
        layer.alone_sqnr_db = comparison.scores()[1].sqnr_db;
        stages.advance(1);
    }
    Ok(())
}

fn first_output(network: &Network, input: &[Tensor]) -> Result<Vec<f32>> {
    Ok(network.run(input)?.first().context("the network has no output")?.to_f32())
}

/// Why nothing could be quantized.
fn reasons(sites: &Sites) -> String {
    let told: Vec<String> =
        sites.kept_float.iter().take(5).map(|k| format!("\n  {} `{}`: {}", k.op, k.node, k.reason)).collect();
    told.concat()
}

/// Most common bits of weights and of the edges that products read, such as `W4A8`.
pub(super) fn bits(plan: &Plan, sites: &Sites) -> String {
    let of =
        |setting: &Setting| setting.code.as_ref().map(|Code::Uniform(code)| code.mean_bits().round() as u8);
    let most_common = |all: Vec<u8>| (0..=8u8).max_by_key(|b| (all.iter().filter(|x| *x == b).count(), *b));
    let weights: Vec<u8> = plan.weights.iter().filter_map(of).collect();
    let products = sites.activations.iter().zip(&plan.activations).filter(|(s, _)| s.feeds_product);
    let activations: Vec<u8> = products.filter_map(|(_, setting)| of(setting)).collect();
    let text = |all: Vec<u8>| {
        if all.is_empty() { "32".to_owned() } else { most_common(all).unwrap_or(8).to_string() }
    };
    format!("W{}A{}", text(weights), text(activations))
}
