//! `evaluate`: several networks on the same samples, side by side.

use anyhow::{Context, Result, bail};
use lowbit_quantize::evaluate::Comparison;
use lowbit_quantize::report::Score;

use super::load::{self, Loaded, Wanted};
use super::runner::Runner;
use super::score::doubt;
use super::stages::Stages;
use crate::Progress;
use crate::facade::{Engine, EvaluateJob};

pub(crate) fn evaluate(job: &EvaluateJob, progress: &dyn Progress) -> Result<Vec<Score>> {
    load::with_threads(job.threads, || run(job, progress))
}

fn run(job: &EvaluateJob, progress: &dyn Progress) -> Result<Vec<Score>> {
    let stages = Stages::new(progress);
    stages.begin("read", None);
    let loaded: Vec<Loaded> = job.models.iter().map(load::network).collect::<Result<_>>()?;
    let first = loaded.first().context("no network given")?;
    for (other, model) in loaded.iter().zip(&job.models).skip(1) {
        if other.classes() != first.classes() {
            bail!(
                "{model} gives {} values per sample, {} gives {}: they cannot be compared",
                other.classes(),
                job.models[0],
                first.classes()
            );
        }
    }
    let wanted =
        Wanted { preprocess: job.preprocess.as_deref(), skip: job.skip, limit: job.limit, seed: job.seed };
    let samples = load::samples(&job.data, first, &wanted, true)?;
    let pairs: Vec<_> = (0..loaded.len()).flat_map(|i| job.engines.iter().map(move |&e| (i, e))).collect();
    let runner = |&(i, engine): &(usize, _)| Runner::new(engine, &job.models[i], &loaded[i]);
    let networks: Vec<Runner> = pairs.iter().map(runner).collect::<Result<_>>()?;
    let batches = samples.batches()?;
    stages.begin("evaluate", Some(batches.samples() as u64));
    let mut comparison = Comparison::new(networks.len()).named(samples.dataset.class_names());
    for batch in batches {
        let mut batch = batch?;
        let n = batch.samples.len();
        let input = load::input(&mut batch, first)?;
        let outputs: Vec<Vec<f32>> = networks
            .iter()
            .map(|network| Ok(network.run(&input)?.first().context("the network has no output")?.to_f32()))
            .collect::<Result<_>>()?;
        let views: Vec<&[f32]> = outputs.iter().map(Vec::as_slice).collect();
        comparison.add(&views, first.classes(), batch.labels.as_deref());
        stages.advance(n);
    }
    let mut scores = comparison.scores();
    if let Some(doubt) = doubt(&scores[0], first.classes()) {
        stages.note(doubt);
    }
    stages.finish();
    for (score, &(i, engine)) in scores.iter_mut().zip(&pairs) {
        score.model = job.models[i].to_string();
        score.engine = Some(engine.name().to_owned()).filter(|_| job.engines != [Engine::Simulated]);
        score.bits = bits(&loaded[i]);
        score.size_bytes = loaded[i].file_bytes;
    }
    Ok(scores)
}

/// Bits as the file's metadata has them, or what its operators tell.
fn bits(network: &Loaded) -> String {
    match network.graph.metadata.get("lowbit.bits") {
        Some(bits) => bits.clone(),
        None if network.quantized => "int8".into(),
        None => "float32".into(),
    }
}
