//! `train`: attach quantizers, learn, write what a plan of the learned codes comes to.

mod checkpoint;
mod data;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use lowbit_engine::{Network, bindings, evaluate_for_pass};
use lowbit_graph::Graph;
use lowbit_graph::passes::{prepare, specialize};
use lowbit_onnx::WriteOptions;
use lowbit_quantize::describe::layers;
use lowbit_quantize::evaluate::Comparison;
use lowbit_quantize::lower::Flavour;
use lowbit_quantize::observe::Needs;
use lowbit_quantize::plan::Plan;
use lowbit_quantize::report::{self, Epoch, Report, TrainingLog};
use lowbit_quantize::simulate::simulate;
use lowbit_quantize::site::{self, Sites};
use lowbit_quantize::target::Target;
use lowbit_train::recipe::BatchNorm;
use lowbit_train::trainer::Progress as Part;
use lowbit_train::{Model, TrainError, TrainRecipe, Trainer, attach, batch_norm, deploy};

use self::checkpoint::Checkpoint;
use super::calibrate::{calibrate, labelled};
use super::load::{self, Loaded, Wanted};
use super::memory;
use super::plan::{Calibrated, Origin};
use super::quantize::{bits, folder_of, target, text_of};
use super::quantize_tables::Tables;
use super::score::{Variant, first_output, score};
use super::stages::Stages;
use crate::Progress;
use crate::blame::{Blame, Given};
use crate::facade::{Outcome, TrainJob};
use crate::render::units;

/// Training samples that the report's statistics are taken from.
const REPORTED: usize = 512;
/// Batches that an inserted normalization is measured on.
const MEASURED: usize = 8;
/// A killed run loses this much at most.
const BETWEEN_SAVES: Duration = Duration::from_secs(60);

pub(crate) fn train(job: &TrainJob, progress: &dyn Progress) -> Result<Outcome> {
    load::with_threads(job.threads, || run(job, progress))
}

/// The built-in recipe of that name, or the file at that path, with what the command line says otherwise.
fn recipe(job: &TrainJob) -> Result<TrainRecipe> {
    let name = &job.recipe;
    let mut recipe = match text_of(name)? {
        None => TrainRecipe::named(name)?,
        Some((stem, text)) => {
            TrainRecipe::parse(&stem, &text).with_context(|| format!("cannot use {name}"))?
        }
    };
    if let Some(epochs) = job.epochs {
        (recipe.train.epochs, recipe.train.steps) = (epochs, None);
    }
    if let Some(steps) = job.steps {
        recipe.train.steps = Some(steps);
    }
    if let Some(batch) = job.batch {
        recipe.train.batch = batch;
    }
    if let Some(rate) = job.learning_rate {
        recipe.train.learning_rate = rate;
    }
    Ok(recipe)
}

/// What does not change during a run.
struct Task<'a> {
    recipe: &'a TrainRecipe,
    target: &'a Target,
    /// The float network as it was read.
    float: &'a Loaded,
    stages: &'a Stages<'a>,
}

fn run(job: &TrainJob, progress: &dyn Progress) -> Result<Outcome> {
    let stages = Stages::new(progress);
    stages.begin("read", None);
    let (recipe, target) = (recipe(job).blame(Given::Recipe)?, target(&job.target).blame(Given::Recipe)?);
    let seed = job.seed.unwrap_or(recipe.bits.seed);
    let flavour = Flavour::named(job.flavour.as_deref().unwrap_or(&target.flavour)).blame(Given::Recipe)?;
    let (mut graph, float) = load::network_to_train(&job.model)?;
    float.expect_float(&job.model, "train")?;
    let wanted = Wanted { preprocess: job.preprocess.as_deref(), skip: 0, limit: job.limit, seed };
    let samples = load::samples(&job.data, &float, &wanted, true)?;
    let validation = match &job.validation {
        None => None,
        Some(data) => Some(load::samples(data, &float, &Wanted { limit: None, ..wanted }, true)?),
    };
    stages.notes(samples.assumed.clone());
    let folder = job.state.as_deref().map_or_else(std::env::temp_dir, folder_of);
    let budget = memory::budget(job.cache_bytes, folder);
    let (data, hash) = data::read(&float, &samples, &budget, &stages)?;
    if recipe.train.batch_norm == BatchNorm::Insert && batch_norm::is_folded(&graph) {
        let batches = data::first_batches(&float, &samples, MEASURED)?;
        graph = batch_norm::insert(&graph, &batches)?;
        stages.note(
            "the file has its batch normalization folded: put back for training, folded again in the end",
        );
    }
    let task = Task { recipe: &recipe, target: &target, float: &float, stages: &stages };
    let model = task.model(&graph)?;
    let teacher = (recipe.train.loss.distillation > 0.0).then_some(&float.graph);
    let mut trainer = Trainer::new(model, &data, &recipe.train, seed, teacher)?;
    task.announce(&trainer, &budget)?;
    let identity = checkpoint::identity(&task, &graph, &hash, seed)?;
    if job.dry_run {
        stages.note("dry run: nothing was trained or written");
        let mut report = task.report(job, seed, flavour, &samples)?;
        (report.stages, report.notes) = stages.finish();
        return Ok(Outcome { bytes: Vec::new(), report, state: Vec::new() });
    }
    let checkpoint = job.state.as_deref().map(|path| Checkpoint::new(path, identity));
    let mut log = TrainingLog { names: names(trainer.model()), ..TrainingLog::default() };
    let mut part = Part::default();
    let resumed = match &checkpoint {
        Some(checkpoint) if !job.fresh => checkpoint.load(&mut trainer, &mut log, &mut part)?,
        _ => false,
    };
    if resumed {
        stages.note(format!("went on from step {} of {}", trainer.position().step, trainer.steps()));
    } else {
        trainer.fit_edges()?;
    }
    let best = fit(&task, job, &mut trainer, &mut log, part, checkpoint.as_ref(), validation.as_ref())?;
    if let Some(best) = best.filter(|_| job.best) {
        trainer.load(&best)?;
    }
    stages.begin("write", None);
    let mut report = task.report(job, seed, flavour, &samples)?;
    report.training = Some(log);
    let bytes = task.finish(&trainer, &samples, validation.as_ref(), &mut report, seed, flavour)?;
    (report.stages, report.notes) = stages.finish();
    let state = checkpoint.as_ref().map(Checkpoint::files).unwrap_or_default();
    Ok(Outcome { bytes, report, state })
}

/// All epochs; returns the state of the best validation.
fn fit(
    task: &Task<'_>,
    job: &TrainJob,
    trainer: &mut Trainer<'_>,
    log: &mut TrainingLog,
    mut part: Part,
    checkpoint: Option<&Checkpoint>,
    validation: Option<&load::Samples>,
) -> Result<Option<lowbit_train::Saved>> {
    let mut metrics = job.metrics.as_deref().map(|path| Metrics::create(path, log)).transpose()?;
    let mut best: Option<(f64, lowbit_train::Saved)> = match checkpoint {
        Some(checkpoint) => checkpoint.best()?.filter(|_| !log.epochs.is_empty()),
        None => None,
    };
    let (mut saved, mut begun) = (Instant::now(), Instant::now());
    let mut counted = part.samples;
    let epochs = trainer.epochs();
    let mut stage_of = u64::MAX;
    while !trainer.is_done() {
        let at = trainer.position();
        if at.epoch != stage_of {
            stage_of = at.epoch;
            task.stages.begin(&format!("epoch {}/{epochs}", at.epoch + 1), Some(trainer.steps_per_epoch()));
            task.stages.advance(at.in_epoch as usize);
        }
        let rate = trainer.rate();
        let step = trainer.advance().map_err(|error| failed(error, checkpoint))?;
        part.add(step);
        task.stages.advance(1);
        let seconds = begun.elapsed().as_secs_f64();
        let speed = (part.samples - counted) as f64 / seconds.max(1e-9);
        task.stages.say(&format!(
            "loss {:.3} · {:.1} % right · {speed:.0} images/s",
            part.loss / part.samples.max(1) as f64,
            100.0 * part.correct as f64 / part.samples.max(1) as f64,
        ));
        let next = trainer.position();
        let ended = trainer.is_done() || next.epoch != at.epoch || next.stage != at.stage;
        if ended {
            let accuracy = match validation {
                None => None,
                Some(samples) => Some(task.validate(trainer, samples)?),
            };
            let epoch = Epoch {
                epoch: at.epoch + 1,
                step: next.step,
                stage: at.stage as u64 + 1,
                learning_rate: rate,
                loss: part.loss / part.samples as f64,
                train_top1: 100.0 * part.correct as f64 / part.samples as f64,
                validation_top1: accuracy,
                seconds,
                images_per_second: speed,
                learned: learned(trainer.model()),
            };
            if let Some(metrics) = &mut metrics {
                metrics.add(&epoch)?;
            }
            task.stages.note(told(&epoch, epochs));
            log.epochs.push(epoch);
            trainer.is_good();
            if let Some(accuracy) = accuracy.filter(|a| best.as_ref().is_none_or(|(b, _)| a > b)) {
                best = Some((accuracy, trainer.save()));
                if let (Some(checkpoint), Some((accuracy, saved))) = (checkpoint, &best) {
                    checkpoint.save_best(*accuracy, saved)?;
                }
            }
            part = Part::default();
            counted = 0;
            begun = Instant::now();
        }
        if let Some(checkpoint) = checkpoint
            && (ended || saved.elapsed() > BETWEEN_SAVES)
        {
            checkpoint.save(&trainer.save(), log, part)?;
            saved = Instant::now();
        }
    }
    Ok(best.map(|(_, saved)| saved))
}

/// One line of the run's notes.
fn told(epoch: &Epoch, epochs: u64) -> String {
    let validation = epoch.validation_top1.map_or(String::new(), |a| format!(" · validation {a:.2} %"));
    format!(
        "epoch {}/{epochs}: loss {:.4} · training {:.2} %{validation} · {:.0} images/s",
        epoch.epoch, epoch.loss, epoch.train_top1, epoch.images_per_second
    )
}

fn failed(error: TrainError, checkpoint: Option<&Checkpoint>) -> anyhow::Error {
    match checkpoint.and_then(Checkpoint::kept) {
        Some(path) => anyhow::Error::new(error)
            .context(format!("training stopped; the last good state is kept in {}", path.display())),
        None => error.into(),
    }
}

/// Quantizers of which a log follows the first learned number.
fn names(model: &Model) -> Vec<String> {
    let quantizers = model.groups.iter().filter(|g| g.kind == lowbit_train::model::Kind::Quantizer);
    quantizers.map(|group| group.name.clone()).collect()
}

fn learned(model: &Model) -> Vec<f32> {
    let quantizers = model.groups.iter().filter(|g| g.kind == lowbit_train::model::Kind::Quantizer);
    quantizers.filter_map(|group| group.values.first().copied()).collect()
}

impl Task<'_> {
    /// The network with its quantizers.
    fn model(&self, graph: &Graph) -> Result<Model> {
        let folded = prepare(graph.clone(), &evaluate_for_pass)?;
        let (_, types) = specialize(&folded, &bindings(&folded, 1), &evaluate_for_pass)?;
        let sites = site::find(&folded, &types, self.target);
        if self.recipe.quantizes() && sites.weights.is_empty() {
            bail!("nothing to quantize for target `{}`", self.target.name);
        }
        let plan = self.recipe.bits.start(&folded, &sites, self.target)?;
        let quantizers = attach::attach(self.recipe, &folded, &types, &sites, &plan);
        Ok(Model::new(graph.clone(), quantizers, self.target.float_sums)?)
    }

    /// Says what the run will take, and refuses what cannot fit.
    fn announce(&self, trainer: &Trainer<'_>, budget: &lowbit_quantize::rows::Budget) -> Result<()> {
        let (step, data) = (trainer.bytes() as u64, budget.in_memory());
        let numbers: usize = trainer.model().groups.iter().map(|g| g.values.len()).sum();
        self.stages.note(format!(
            "{} steps of {} samples; {} learned numbers; a step takes {}, samples {}",
            trainer.steps(),
            self.recipe.train.batch * self.recipe.train.accumulate,
            units::count(numbers as u64),
            units::bytes(step),
            units::bytes(data),
        ));
        match memory::available() {
            Some(free) if step > free => bail!(
                "a training step takes {}, and {} are free; lower `train.batch` (and raise `train.accumulate`)",
                units::bytes(step),
                units::bytes(free)
            ),
            _ => Ok(()),
        }
    }

    /// The folded network, its sites and its plan.
    fn deployed(&self, trainer: &Trainer<'_>) -> Result<(Loaded, Sites, Plan)> {
        let network = load::loaded(trainer.graph(), self.float.file_bytes)?;
        let sites = site::find(&network.graph, &network.types, self.target);
        let plan = self.recipe.bits.start(&network.graph, &sites, self.target)?;
        let plan = deploy::plan(trainer.model(), &trainer.result(), &network.graph, &sites, plan)?;
        Ok((network, sites, plan))
    }

    /// Top-1 accuracy in percent of what would be written now.
    fn validate(&self, trainer: &Trainer<'_>, samples: &load::Samples) -> Result<f64> {
        let (loaded, sites, plan) = self.deployed(trainer)?;
        let network = Network::new(&simulate(&loaded.graph, &sites, &plan))?;
        let mut comparison = Comparison::new(1);
        for batch in samples.batches()? {
            let (input, labels) = labelled(batch?, &loaded)?;
            let labels = labels.context("validation samples have no labels")?;
            let output = first_output(&network, &[input])?;
            comparison.add(&[&output], loaded.classes(), Some(&labels));
        }
        comparison.scores()[0].top1.context("there are no validation samples")
    }

    fn report(&self, job: &TrainJob, seed: u64, flavour: Flavour, samples: &load::Samples) -> Result<Report> {
        Ok(Report {
            model: self.float.summary(&job.model),
            job: report::Job {
                recipe: self.recipe.bits.name.clone(),
                recipe_toml: self.recipe.bits.text.clone(),
                target: self.target.name.clone(),
                flavour: flavour.name().to_owned(),
                seed,
                data: job.data.to_string(),
                preprocess_toml: toml::to_string(&samples.options.preprocess)?,
                threads: rayon::current_num_threads(),
                version: env!("CARGO_PKG_VERSION").to_owned(),
                ..report::Job::default()
            },
            ..Report::default()
        })
    }

    /// Writes the trained network, scores it and fills the report.
    fn finish(
        &self,
        trainer: &Trainer<'_>,
        samples: &load::Samples,
        validation: Option<&load::Samples>,
        report: &mut Report,
        seed: u64,
        flavour: Flavour,
    ) -> Result<Vec<u8>> {
        let (network, sites, plan) = self.deployed(trainer)?;
        let few = load::Samples {
            dataset: samples.dataset.clone(),
            options: lowbit_data::Options { limit: Some(REPORTED), ..samples.options.clone() },
            assumed: None,
        };
        let needs = Needs { histogram: true, ..Needs::default() };
        let seen = calibrate(
            &network,
            &sites,
            needs,
            &few,
            &memory::budget(None, std::env::temp_dir()),
            self.stages,
        )?;
        report.job.calibration_samples = seen.edges.samples;
        let (bytes, written, bits) = if self.recipe.quantizes() {
            // Beside the shadows, not beside what the network saw of them: that has no error.
            let shadows = trainer.model().graph_of(&trainer.result(), trainer.running(), false);
            let shadows = prepare(shadows, &evaluate_for_pass)?;
            // The same passes on the same nodes give the same ids, unless numbers beyond all bounds kept one from folding.
            let beside =
                if shadows.values.len() == network.graph.values.len() { &shadows } else { &network.graph };
            report.layers = layers(beside, &network.types, &sites, &plan, &seen.edges);
            report.kept_float = sites.kept_float.clone();
            let calibrated = Calibrated {
                network: &network,
                tables: &Tables::default(),
                target: self.target,
                sites: &sites,
                seen: &seen.edges,
            };
            let preprocess_toml = report.job.preprocess_toml.clone();
            let origin = Origin {
                recipe: &self.recipe.bits,
                flavour,
                seed,
                effort: None,
                preprocess_toml: &preprocess_toml,
            };
            let bits = bits(&plan, &sites, &network.graph);
            let check = &seen.kept.first().context("no samples")?.input;
            let quantized = calibrated.write(plan, &origin, check)?;
            (quantized.bytes, quantized.network, bits)
        } else {
            // A float network keeps its normalization: it can be trained on.
            let mut graph = trainer.graph();
            graph.metadata.insert("lowbit.preprocess".into(), report.job.preprocess_toml.trim().into());
            (
                lowbit_onnx::write_bytes(&graph, &WriteOptions::default())?,
                Network::new(&network.graph)?,
                "float32".into(),
            )
        };
        if let Some(validation) = validation {
            let variant =
                Variant { name: &self.recipe.bits.name, bits, network: &written, bytes: bytes.len() };
            let batches = validation.batches()?.map(|batch| labelled(batch?, self.float));
            report.scores =
                score(self.float, &[variant], validation.dataset.class_names(), batches, self.stages)?;
        }
        Ok(bytes)
    }
}

/// The log as JSON lines, one per epoch.
struct Metrics {
    path: PathBuf,
    file: std::fs::File,
}

impl Metrics {
    /// Begins with what earlier parts of the run logged.
    fn create(path: &Path, log: &TrainingLog) -> Result<Metrics> {
        let file = std::fs::File::create(path).with_context(|| format!("cannot write {}", path.display()))?;
        let mut metrics = Metrics { path: path.to_owned(), file };
        log.epochs.iter().try_for_each(|epoch| metrics.add(epoch))?;
        Ok(metrics)
    }

    fn add(&mut self, epoch: &Epoch) -> Result<()> {
        let mut line = serde_json::to_vec(epoch)?;
        line.push(b'\n');
        self.file.write_all(&line).with_context(|| format!("cannot write {}", self.path.display()))
    }
}
