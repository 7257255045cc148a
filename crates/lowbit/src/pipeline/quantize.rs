//! `quantize`: observe, plan, lower, write, read back, compare.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result, anyhow};
use lowbit_engine::Network;
use lowbit_graph::Graph;
use lowbit_onnx::WriteOptions;
use lowbit_quantize::describe::{alone, layers, layers_with_sites};
use lowbit_quantize::evaluate::Comparison;
use lowbit_quantize::lower::Flavour;
use lowbit_quantize::observe::Needs;
use lowbit_quantize::plan::{Plan, Setting};
use lowbit_quantize::recipe::Recipe;
use lowbit_quantize::report::{self, Report};
use lowbit_quantize::rows::Budget;
use lowbit_quantize::run::{Effort, Quiet, Run, State};
use lowbit_quantize::simulate::simulate;
use lowbit_quantize::site::{self, Sites, WeightSite};
use lowbit_quantize::target::Target;
use lowbit_quantize::window_use;
use lowbit_tensor::{Code, Tensor};

use super::calibrate::{calibrate, labelled};
use super::load::{self, Loaded, Wanted};
use super::memory;
use super::plan::{Calibrated, Origin};
use super::quantize_tables::{self, Tables};
use super::score::{Variant, first_output, score, self_score};
use super::stages::Stages;
use super::state::{Identity, StateFile};
use crate::Progress;
use crate::blame::{Blame, Given};
use crate::facade::{Outcome, QuantizeJob};
use crate::render::units;

/// Samples for what is measured layer by layer: how much each hurts alone, and how it uses its window.
const DETAIL_SAMPLES: usize = 64;

pub(crate) fn quantize(job: &QuantizeJob, progress: &dyn Progress) -> Result<Outcome> {
    load::with_threads(job.threads, || run(job, progress))
}

/// The built-in recipe of that name, or the file at that path.
pub(super) fn recipe(name: &str) -> Result<Recipe> {
    let recipe = match text_of(name)? {
        None => Recipe::named(name)?,
        Some((stem, text)) => Recipe::parse(&stem, &text).with_context(|| format!("cannot use {name}"))?,
    };
    quantize_tables::method(&recipe)?;
    Ok(recipe)
}

/// The built-in target of that name, or the file at that path; what that extends may be a file beside it.
pub(crate) fn target(name: &str) -> Result<Target> {
    let Some((stem, text)) = text_of(name)? else { return Ok(Target::named(name)?) };
    let folder = folder_of(Path::new(name));
    let beside = |base: &str| std::fs::read_to_string(folder.join(base)).ok();
    Target::parse_with(&stem, &text, &beside).with_context(|| format!("cannot use {name}"))
}

/// Stem and text of a file, if `name` is one rather than a built-in name.
pub(super) fn text_of(name: &str) -> Result<Option<(String, String)>> {
    let path = Path::new(name);
    if !name.ends_with(".toml") && !path.is_file() {
        return Ok(None);
    }
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {name}"))?;
    Ok(Some((path.file_stem().unwrap_or_default().to_string_lossy().into_owned(), text)))
}

fn run(job: &QuantizeJob, progress: &dyn Progress) -> Result<Outcome> {
    let stages = Stages::new(progress);
    stages.begin("read", None);
    let (recipe, target) =
        (recipe(&job.recipe).blame(Given::Recipe)?, target(&job.target).blame(Given::Recipe)?);
    let flavour = Flavour::named(job.flavour.as_deref().unwrap_or(&target.flavour)).blame(Given::Recipe)?;
    let seed = job.seed.unwrap_or(recipe.seed);
    let float = load::network(&job.model)?;
    float.expect_float(&job.model, "quantize")?;
    // Tables need no samples: from here on the network is the one with their rows as they will be.
    let (tables, packed) = Tables::pack(&float, &recipe)?;
    let network = packed.as_ref().unwrap_or(&float);
    let mut sites = site::find(&network.graph, &network.types, &target);
    for reader in tables.readers(&network.graph) {
        sites.kept_float.retain(|kept| kept.node != reader);
    }
    if sites.weights.is_empty() && tables.is_empty() {
        return Err(anyhow!(
            "{}: nothing to quantize for target `{}`{}",
            job.model,
            target.name,
            reasons(&sites)
        ))
        .blame(Given::Model);
    }
    let wanted = Wanted { preprocess: job.preprocess.as_deref(), skip: 0, limit: job.limit, seed };
    let samples = load::samples(&job.data, network, &wanted, job.validation.is_none())?;
    let validation = match &job.validation {
        None => None,
        Some(data) => {
            let preprocess = Wanted { limit: None, ..wanted };
            Some(load::samples(data, network, &preprocess, true)?)
        }
    };
    let preprocess_toml = toml::to_string(&samples.options.preprocess)?;
    // A report draws histograms, whatever the recipe reads.
    let mut needs = recipe.needs() | Needs { histogram: job.detail, ..Needs::default() };
    // A dry run does not learn, which may take hours.
    needs.samples &= !job.dry_run;
    // Steps that need no samples are done in no time, whatever the effort, and save nothing.
    let effort = needs.samples.then_some(job.effort);
    let state = job.state.as_deref().filter(|_| needs.samples).map(StateFile::open).transpose()?;
    stages.notes(samples.assumed.clone());
    let folder = job.state.as_deref().map_or_else(std::env::temp_dir, folder_of);
    let budget = memory::budget(job.cache_bytes, folder);
    stages.notes(tables.notes.iter().cloned());
    let seen = calibrate(network, &sites, needs, &samples, &budget, &stages)?;
    let calibrated =
        Calibrated { network, tables: &tables, target: &target, sites: &sites, seen: &seen.edges };
    stages.begin("plan", None);
    let state = match (state, &seen.samples) {
        (Some(state), Some((_, hash))) => {
            let identity = identity(network, &recipe, &target, hash, seed, job.effort)?;
            let (state, note) = state.resume(&identity, job.fresh);
            stages.notes(note);
            Some(state)
        }
        _ => None,
    };
    let lent = Run {
        samples: seen.samples.as_ref().map(|(samples, _)| samples),
        budget: Arc::clone(&budget),
        seed,
        effort: job.effort,
        watch: &stages,
        state: state.as_ref().map_or(&Quiet, |state| state as &dyn State),
    };
    let kept = || state.as_ref().and_then(StateFile::kept);
    let place = || match kept() {
        None => format!("recipe `{}`", recipe.name),
        Some(path) => format!("recipe `{}` (what was done is kept in {})", recipe.name, path.display()),
    };
    let plan = match job.dry_run {
        false => calibrated.plan(&recipe, &lent).with_context(place)?,
        true => {
            let (plan, left) = calibrated.outline(&recipe, &lent).with_context(place)?;
            stages.notes(left_out(left, &recipe, seen.edges.samples));
            plan
        }
    };
    stages.notes(spilled(&budget));
    let mut report = Report {
        model: float.summary(&job.model),
        job: report::Job {
            recipe: recipe.name.clone(),
            recipe_toml: recipe.text.clone(),
            target: target.name.clone(),
            flavour: flavour.name().to_owned(),
            seed,
            data: job.data.to_string(),
            calibration_samples: seen.edges.samples,
            preprocess_toml: preprocess_toml.clone(),
            effort: effort.map(|effort| effort.name().to_owned()),
            threads: rayon::current_num_threads(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
        },
        layers: layers(&network.graph, &network.types, &sites, &plan, &seen.edges),
        tables: tables.about(),
        kept_float: sites.kept_float.clone(),
        ..Report::default()
    };
    if job.dry_run {
        stages.note("dry run: nothing was written");
        (report.stages, report.notes) = stages.finish();
        return Ok(Outcome { bytes: Vec::new(), report, state: Vec::new() });
    }
    stages.begin("write", None);
    let check = &seen.kept.first().context("no samples")?.input;
    let origin = Origin { recipe: &recipe, flavour, seed, effort, preprocess_toml: &preprocess_toml };
    let quantized = calibrated.write(plan, &origin, check)?;
    let variant = Variant {
        name: &recipe.name,
        bits: bits(&quantized.plan, &sites, &network.graph),
        network: &quantized.network,
        bytes: quantized.bytes.len(),
    };
    report.scores = match &validation {
        Some(samples) => {
            let batches = samples.batches()?.map(|b| labelled(b?, &float));
            score(&float, &[variant], samples.dataset.class_names(), batches, &stages)?
        }
        None => {
            stages.note(format!(
                "scored on {} calibration samples; give --validation for an unbiased figure",
                seen.kept.iter().map(|k| k.input.shape()[0]).sum::<usize>()
            ));
            let classes = samples.dataset.class_names();
            match tables.is_empty() {
                true => self_score(&float, &variant, classes, &seen.kept, &stages)?,
                // What calibration kept is of the network with packed tables.
                false => {
                    let kept = seen.kept.iter().map(|k| Ok((k.input.clone(), k.labels.clone())));
                    score(&float, &[variant], classes, kept, &stages)?
                }
            }
        }
    };
    windows(&calibrated, &quantized.plan, check, &mut report)?;
    if job.detail {
        sensitivity(&calibrated, &quantized.plan, check, &mut report, &stages)?;
    }
    (report.stages, report.notes) = stages.finish();
    Ok(Outcome { bytes: quantized.bytes, report, state: kept().map(Path::to_owned).into_iter().collect() })
}

/// What a dry run did not do.
fn left_out(steps: usize, recipe: &Recipe, samples: usize) -> Option<String> {
    (steps > 0).then(|| {
        format!(
            "dry run: {steps} of the {} steps of `{}` would learn from these {samples} samples; what is listed is without them",
            recipe.steps.len(),
            recipe.name
        )
    })
}

/// The folder that a file lies in.
pub(super) fn folder_of(path: &Path) -> PathBuf {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new(".")).to_owned()
}

/// All that decides which plan a recipe comes to.
fn identity(
    network: &Loaded,
    recipe: &Recipe,
    target: &Target,
    samples: &blake3::Hash,
    seed: u64,
    effort: Effort,
) -> Result<Identity> {
    let hash = |bytes: &[u8]| blake3::hash(bytes).to_string();
    // As prepared: weights may lie in several files, and what else a file says changes nothing.
    let prepared = lowbit_onnx::write_bytes(&network.graph, &WriteOptions::default())?;
    Ok(vec![
        ("version", env!("CARGO_PKG_VERSION").to_owned()),
        ("network", hash(&prepared)),
        ("recipe", hash(recipe.text.as_bytes())),
        ("target", hash(toml::to_string(target)?.as_bytes())),
        ("samples", samples.to_string()),
        ("seed", seed.to_string()),
        ("effort", effort.name().to_owned()),
    ])
}

/// What the user may want to know if memory did not suffice.
fn spilled(budget: &Budget) -> Option<String> {
    let (spilled, limit) = (units::bytes(budget.spilled()), units::bytes(budget.limit()));
    (budget.spilled() > 0)
        .then(|| format!("{spilled} of caches went to files, as memory for them is limited to {limit}; --cache-bytes changes that"))
}

/// The first few samples, for what is measured layer by layer.
fn few(samples: &Tensor) -> [Tensor; 1] {
    let rows = samples.shape()[0].min(DETAIL_SAMPLES);
    let per_row = samples.len() / samples.shape()[0];
    let mut shape = samples.shape().to_vec();
    shape[0] = rows;
    [Tensor::from_f32(shape, samples.to_f32()[..rows * per_row].to_vec())]
}

/// Counts how layers use their windows, where they have any.
fn windows(calibrated: &Calibrated<'_>, plan: &Plan, samples: &Tensor, report: &mut Report) -> Result<()> {
    if plan.windows.is_empty() {
        return Ok(());
    }
    let (graph, sites) = (&calibrated.network.graph, calibrated.sites);
    let mut uses = window_use::measure(graph, sites, plan, &few(samples))?;
    for (entry, layer) in layers_with_sites(graph, sites).iter().zip(&mut report.layers) {
        layer.window = entry.weight.and_then(|i| uses.remove(&i));
    }
    Ok(())
}

/// Measures each layer alone against the float network.
pub(super) fn sensitivity(
    calibrated: &Calibrated<'_>,
    plan: &Plan,
    samples: &Tensor,
    report: &mut Report,
    stages: &Stages<'_>,
) -> Result<()> {
    let (graph, sites) = (&calibrated.network.graph, calibrated.sites);
    let entries = layers_with_sites(graph, sites);
    stages.begin("layer by layer", Some(entries.len() as u64));
    let few = few(samples);
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

/// Why nothing could be quantized.
fn reasons(sites: &Sites) -> String {
    let told: Vec<String> =
        sites.kept_float.iter().take(5).map(|k| format!("\n  {} `{}`: {}", k.op, k.node, k.reason)).collect();
    told.concat()
}

/// Bits of weights, on average over all but the first and last layers', and the most common ones of what products read, such
/// as `W4A8` or `W3.5A32`; of windowed operands, those of the window.
pub(super) fn bits(plan: &Plan, sites: &Sites, graph: &Graph) -> String {
    let of = |setting: &Setting| setting.code.as_ref().map(Code::code_bits);
    let weights: Vec<(&WeightSite, f64)> = sites
        .weights
        .iter()
        .zip(&plan.weights)
        .filter_map(|(site, setting)| Some((site, of(setting)?)))
        .collect();
    // A network of first and last layers has only those.
    let inner = weights.iter().any(|(site, _)| !site.first_or_last);
    let (mut bits, mut count) = (0.0, 0.0);
    for (site, width) in weights.into_iter().filter(|(site, _)| !(inner && site.first_or_last)) {
        let len = graph.constant(site.value).map_or(0.0, |weight| weight.len() as f64);
        (bits, count) = (bits + width * len, count + len);
    }
    let products = sites.activations.iter().zip(&plan.activations).filter(|(s, _)| s.feeds_product);
    let activations: Vec<u8> = match plan.windows.is_empty() {
        true => products.filter_map(|(_, setting)| Some(of(setting)?.round() as u8)).collect(),
        false => plan.windows.values().map(|read| read.window.bits).collect(),
    };
    let occurs = |b: u8| activations.iter().filter(|x| **x == b).count();
    let most_common = (0..=8u8).max_by_key(|&b| (occurs(b), std::cmp::Reverse(b)));
    let weights = if count == 0.0 { 32.0 } else { (10.0 * bits / count).round() / 10.0 };
    let activations = if activations.is_empty() { 32 } else { most_common.unwrap_or(8) };
    format!("W{weights}A{activations}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use lowbit_graph::NodeId;
    use lowbit_tensor::Uniform;

    #[test]
    fn bits_are_those_of_inner_weights_each_counting_once() {
        let mut graph = Graph::default();
        let mut sites = Sites::default();
        let mut plan = Plan::default();
        let mut layer = |len: usize, bits: u8, first_or_last: bool| {
            let name = format!("w{}", sites.weights.len());
            let value = graph.add_constant(name.clone(), Tensor::from_f32([len], vec![0.0; len]));
            let (node, channel_axis, reads) = (NodeId(0), None, None);
            sites.weights.push(WeightSite {
                name,
                node,
                input: 1,
                value,
                channel_axis,
                reads,
                first_or_last,
            });
            let code = (bits > 0).then(|| Code::Uniform(Uniform::per_tensor(bits, true, 1.0, 0)));
            plan.weights.push(Setting { code, ..Setting::default() });
        };
        layer(100, 8, true);
        layer(30, 4, false);
        layer(10, 2, false);
        layer(50, 0, false);
        assert_eq!(bits(&plan, &sites, &graph), "W3.5A32");
        assert_eq!(bits(&Plan::default(), &sites, &graph), "W32A32");
    }
}
