//! `search`: calibrate, walk through strategies, choose, write the network and what reproduces it.

mod choose;
mod files;
mod log;
mod points;
mod walk;

use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Context, Result, anyhow, bail};
use lowbit_onnx::WriteOptions;
use lowbit_quantize::lower::Flavour;
use lowbit_quantize::observe::Needs;
use lowbit_quantize::recipe::Recipe;
use lowbit_quantize::run::{Run, Samples};
use lowbit_quantize::search::cost::Pricing;
use lowbit_quantize::search::evaluator::{Evaluator, TEMPERATURE};
use lowbit_quantize::search::space::{Offer, Space};
use lowbit_quantize::search::trial::{self, FORM, Header};
use lowbit_quantize::search::tuner::Problem as _;
use lowbit_quantize::search::tuners::Kind;
use lowbit_quantize::site::{self, Sites};
use lowbit_quantize::workbench::Workbench;
use lowbit_tensor::Tensor;

use super::calibrate::calibrate;
use super::load::{self, Loaded, Wanted};
use super::memory;
use super::plan::Calibrated;
use super::quantize::target;
use super::quantize_tables::Tables;
use super::stages::Stages;
use crate::Progress;
use crate::blame::{Blame, Given};
use crate::facade::{Found, Goal, SearchJob, SearchReport};
use crate::render::units;
use files::Maker;
use log::TrialLog;
use walk::Walk;

/// One sample in so many is held out.
const HELD_OUT: usize = 4;

/// Samples on which the file of a point must answer as what was simulated; of the chosen network it is a whole batch.
const SHOWN_CHECK: usize = 8;

pub(crate) fn search(job: &SearchJob, progress: &dyn Progress) -> Result<Found> {
    load::with_threads(job.threads, || run(job, progress))
}

/// Joins logs of shards.
pub(crate) fn merge(logs: &[PathBuf]) -> Result<String> {
    let read = |path: &PathBuf| {
        let text =
            std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
        Ok((path.display().to_string(), text))
    };
    Ok(trial::merge(&logs.iter().map(read).collect::<Result<Vec<_>>>()?)?)
}

/// Numbers that no search could keep to or begin with.
fn check(job: &SearchJob) -> Result<()> {
    let (name, limit) = match job.goal {
        Goal::Drop(points) => ("max_drop", points),
        Goal::Size(_) => ("max_size", 0.0),
        Goal::Latency(ms) => ("max_latency", ms),
    };
    if !(limit >= 0.0 && limit.is_finite()) {
        bail!("{name} is {limit:?}, expected a number from 0");
    }
    if job.trials == 0 {
        bail!("no trials are asked for, at least 1 is needed");
    }
    if job.bits.is_empty() || !job.bits.iter().all(|bits| (2..=8).contains(bits)) {
        bail!("bits are {:?}, expected widths from 2 to 8", job.bits);
    }
    Ok(())
}

fn run(job: &SearchJob, progress: &dyn Progress) -> Result<Found> {
    check(job).blame(Given::Recipe)?;
    let stages = Stages::new(progress);
    stages.begin("read", None);
    let tuner = Kind::named(&job.tuner).blame(Given::Recipe)?;
    let target = target(&job.target).blame(Given::Recipe)?;
    if job.shard.is_some() && !tuner.spreads() {
        bail!(
            "tuner `{}` decides each trial by those before it: it cannot be spread over shards",
            tuner.name()
        );
    }
    let flavour = Flavour::named(&target.flavour).blame(Given::Recipe)?;
    let network = load::network(&job.model)?;
    network.expect_float(&job.model, "search from")?;
    let sites = site::find(&network.graph, &network.types, &target);
    if sites.weights.is_empty() {
        return Err(anyhow!("{}: nothing to quantize for target `{}`", job.model, target.name))
            .blame(Given::Model);
    }
    let offer = Offer {
        bits: job.bits.clone(),
        float: job.float,
        clips: job.clips.clone(),
        symmetric: job.symmetric,
    };
    let space = Space::new(&network.graph, &sites, &target, &offer);
    let pricing = Pricing::new(&network.graph, &network.types, &sites, &target, network.file_bytes);
    // A limit on time needs costs: known before hours of trials.
    let timed = pricing.milliseconds(&space, &vec![0; space.genes.len()]);
    if let (Goal::Latency(_), Err(missing)) = (job.goal, &timed) {
        return Err(anyhow!("{missing}")).blame(Given::Recipe);
    }
    let wanted = Wanted { preprocess: job.preprocess.as_deref(), skip: 0, limit: job.limit, seed: job.seed };
    let samples = load::samples(&job.data, &network, &wanted, true)?;
    stages.notes(samples.assumed.clone());
    let preprocess_toml = toml::to_string(&samples.options.preprocess)?;
    let budget = memory::budget(None, std::env::temp_dir());
    let needs = Needs { histogram: true, samples: true, ..Needs::default() };
    let seen = calibrate(&network, &sites, needs, &samples, &budget, &stages)?;
    let (kept, hash) = seen.samples.as_ref().context("no samples were kept")?;
    if kept.len() < HELD_OUT {
        bail!("{} samples are too few to hold some out; give at least {HELD_OUT}", kept.len());
    }
    if kept.labels.is_none() {
        stages.note("the samples have no labels: what is lost is agreement with the float network");
    }
    let judged = kept.len() - kept.len() / HELD_OUT;
    let (recipe, lent) = (Recipe::named("w8a8")?, Run { seed: job.seed, ..Run::quiet() });
    let bench = Workbench {
        graph: &network.graph,
        types: &network.types,
        sites: &sites,
        seen: &seen.edges,
        recipe: &recipe,
        target: &target,
        run: &lent,
    };
    let capacity = job.cache_bytes.or_else(|| Some(memory::available()? / 4)).unwrap_or(1 << 30);
    let capacity = usize::try_from(capacity).unwrap_or(usize::MAX);
    let evaluator = Evaluator::new(&bench, &space, tensor(kept)?, kept.labels.clone(), judged, capacity)?;
    let header = header(&network, &space, &sites, &format!("{hash} {judged} {TEMPERATURE}"))?;
    // A dry run leaves no file behind.
    let log = TrialLog::open(job.log.as_deref().filter(|path| !job.dry_run || path.exists()), &header)?;
    let mut report = SearchReport {
        model: network.summary(&job.model).name,
        float_bytes: network.file_bytes,
        target: target.name.clone(),
        tuner: tuner.name().to_owned(),
        goal: goal_text(job.goal),
        seed: job.seed,
        samples: [judged, kept.len() - judged],
        space: [space.genes.len(), space.sizes().iter().sum()],
        trials: [0, log.known()],
        ..SearchReport::default()
    };
    let mut walk = Walk::new(job.goal, &space, &pricing, evaluator, log, &stages);
    let uniform = points::uniform(&space, &job.bits);
    if job.dry_run {
        stages.note(estimate(&mut walk, tuner, job)?);
    } else {
        let mut all = tuner.independent(&walk, job.trials, job.seed);
        // Uniform widths are what a mixed strategy must beat.
        all.extend(uniform.iter().map(|(_, strategy)| strategy.clone()));
        if let Some((shard, of)) = job.shard {
            all = all.into_iter().skip(shard).step_by(of.max(1)).collect();
            stages.begin("search (shard)", Some(all.len() as u64));
        } else {
            stages.begin("search", Some((all.len() + job.trials) as u64));
        }
        walk.measure(&all)?;
        if job.shard.is_none() {
            tuner.run(&mut walk, job.trials, job.seed)?;
        }
        report.trials[0] = walk.done;
        report.trials_per_minute = walk.per_minute();
        let [ran, whole] = walk.evaluator.work;
        report.reuse = if ran > 0 { whole as f64 / ran as f64 } else { 1.0 };
    }
    if job.dry_run || job.shard.is_some() {
        report.notes = stages.finish().1;
        return Ok(Found { bytes: Vec::new(), recipe: String::new(), report });
    }

    stages.begin("write", None);
    // Values at cuts give their memory to the files and what runs them.
    walk.evaluator.forget();
    let trials = walk.log.trials();
    let priced = points::Priced::new(&trials, &space, &pricing, timed.is_ok());
    let order = choose::order(job.goal, &priced)?;
    let maker = Maker {
        // Tables stay float: a strategy is about layers and edges.
        calibrated: Calibrated {
            network: &network,
            tables: &Tables::default(),
            target: &target,
            sites: &sites,
            seen: &seen.edges,
        },
        space: &space,
        lent: &lent,
        flavour,
        preprocess_toml: &preprocess_toml,
        check: &seen.kept.first().context("no samples")?.input,
    };
    let summary =
        format!("found by `lowbit search` for {} on target {}: {}", report.model, report.target, report.goal);
    let (chosen, made) = maker.first(&trials, &order, job.goal, &summary)?;
    let shown = points::points(&priced, &uniform, chosen);
    stages.begin("frontier", Some(shown.len() as u64));
    let (mut points, mut sessions) = (Vec::new(), Vec::new());
    let maker = Maker { check: &first_rows(maker.check, SHOWN_CHECK), ..maker };
    for (place, mut point) in shown {
        let title = if point.uniform { &point.name } else { "a point found by `lowbit search`" };
        // The chosen one is there already, as the file that is given back.
        let shown = match place == chosen {
            true => None,
            false => Some(maker.make_known(&trials[place].strategy, title, walk.evaluator.settings())?),
        };
        let shown = shown.as_ref().unwrap_or(&made);
        points::complete(&mut point, shown);
        if job.time {
            sessions.push(points::session(shown)?);
        }
        points.push((place, point));
        stages.advance(1);
    }
    if job.time {
        stages.begin("time", Some(points::TURNS as u64));
        let times = points::milliseconds(&sessions, &network.made_up(1)?, &|| stages.advance(1))?;
        points.iter_mut().zip(times).for_each(|((_, point), ms)| point.measured_ms = Some(ms));
    }
    // Files weigh a little other than predicted.
    points.sort_by_key(|(_, point)| point.size());
    report.chosen = points.iter().position(|(place, _)| *place == chosen);
    report.points = points.into_iter().map(|(_, point)| point).collect();
    points::mark(&mut report.points);
    report.notes = stages.finish().1;
    Ok(Found { bytes: made.bytes, recipe: made.recipe, report })
}

/// What a search would take, by what one trial takes: codes are found once and for all before it.
fn estimate(walk: &mut Walk<'_>, tuner: Kind, job: &SearchJob) -> Result<String> {
    let strategy = vec![0; walk.space.genes.len()];
    walk.evaluator.settings().plan(walk.space, &strategy)?;
    let start = Instant::now();
    walk.evaluator.measure(&strategy)?;
    let one = start.elapsed().as_secs_f64();
    let count = tuner.independent(walk, job.trials, job.seed).len() + job.trials;
    Ok(format!(
        "dry run: about {} trials of at most {} each, {} at most; nothing was written",
        units::grouped(count as u64),
        units::seconds(one),
        units::seconds(one * count as f64)
    ))
}

fn goal_text(goal: Goal) -> String {
    match goal {
        Goal::Drop(points) => format!("at most {points} points lost"),
        Goal::Size(bytes) => format!("at most {}", units::bytes(bytes)),
        Goal::Latency(ms) => format!("at most {ms} ms"),
    }
}

/// The first `most` samples of a batch.
fn first_rows(batch: &Tensor, most: usize) -> Tensor {
    let shape = batch.shape();
    let rows = shape[0].min(most);
    let row: usize = shape[1..].iter().product();
    let shape: Vec<usize> = std::iter::once(rows).chain(shape[1..].iter().copied()).collect();
    Tensor::from_f32(shape, batch.to_f32()[..rows * row].to_vec())
}

fn tensor(samples: &Samples) -> Result<Tensor> {
    let mut values = vec![0.0; samples.len() * samples.inputs.row_len()];
    samples.inputs.read(0..samples.len(), &mut values)?;
    let shape: Vec<usize> = std::iter::once(samples.len()).chain(samples.shape.iter().copied()).collect();
    Ok(Tensor::from_f32(shape, values))
}

/// What trials depend on. Costs of the target are not part of it: other costs make other choices of the same trials.
fn header(network: &Loaded, space: &Space, sites: &Sites, samples: &str) -> Result<Header> {
    let hash = |bytes: &[u8]| blake3::hash(bytes).to_string();
    let prepared = lowbit_onnx::write_bytes(&network.graph, &WriteOptions::default())?;
    Ok(Header {
        lowbit_search: FORM,
        model: hash(&prepared),
        samples: hash(samples.as_bytes()),
        space: hash(format!("{}{sites:?}", space.text()).as_bytes()),
    })
}
