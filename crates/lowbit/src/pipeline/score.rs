//! Scores of the float network and what was made of it, on the same samples.

use anyhow::{Context, Result};
use lowbit_engine::Network;
use lowbit_quantize::evaluate::Comparison;
use lowbit_quantize::report::Score;
use lowbit_tensor::Tensor;

use super::calibrate::{Kept, Labelled};
use super::load::Loaded;
use super::stages::Stages;

/// One network to score.
pub(super) struct Variant<'a> {
    pub(super) name: &'a str,
    pub(super) bits: String,
    pub(super) network: &'a Network,
    pub(super) bytes: usize,
}

/// Scores the float network and variants of it; `classes` are names in order of labels, as far as there are some.
pub(super) fn score(
    float: &Loaded,
    variants: &[Variant<'_>],
    classes: &[String],
    batches: impl Iterator<Item = Result<Labelled>>,
    stages: &Stages<'_>,
) -> Result<Vec<Score>> {
    stages.begin("score", None);
    let reference = Network::new(&float.graph)?;
    let mut comparison = Comparison::new(variants.len() + 1).named(classes);
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
    Ok(named(&comparison, float, variants, stages))
}

/// Scores a variant on what calibration kept, where the float network has run already.
pub(super) fn self_score(
    float: &Loaded,
    variant: &Variant<'_>,
    classes: &[String],
    kept: &[Kept],
    stages: &Stages<'_>,
) -> Result<Vec<Score>> {
    stages.begin("score", None);
    let mut comparison = Comparison::new(2).named(classes);
    for batch in kept {
        let output = first_output(variant.network, std::slice::from_ref(&batch.input))?;
        comparison.add(&[&batch.float, &output], float.classes(), batch.labels.as_deref());
        stages.advance(batch.input.shape()[0]);
    }
    Ok(named(&comparison, float, std::slice::from_ref(variant), stages))
}

/// Samples below which a share of right answers says nothing.
const ENOUGH: usize = 50;

/// What to tell somebody whose network, as it was given, does no better than guessing.
pub(super) fn doubt(score: &Score, classes: usize) -> Option<String> {
    let chance = 100.0 / classes.max(1) as f64;
    let top1 = score.top1.filter(|&top1| score.samples >= ENOUGH && classes > 1 && top1 < 1.5 * chance)?;
    Some(format!(
        "the network as given is right on {top1:.2} % of {} samples, no more than guessing: is the preprocessing that of its \
         training, and are classes in the same order?",
        score.samples
    ))
}

fn named(
    comparison: &Comparison,
    float: &Loaded,
    variants: &[Variant<'_>],
    stages: &Stages<'_>,
) -> Vec<Score> {
    let mut scores = comparison.scores();
    if let Some(doubt) = doubt(&scores[0], float.classes()) {
        stages.note(doubt);
    }
    let names = std::iter::once(("float", "float32".to_owned(), float.file_bytes))
        .chain(variants.iter().map(|v| (v.name, v.bits.clone(), v.bytes as u64)));
    for (score, (name, bits, bytes)) in scores.iter_mut().zip(names) {
        (score.model, score.bits, score.size_bytes) = (name.to_owned(), bits, bytes);
    }
    scores
}

/// Values of the first output.
pub(super) fn first_output(network: &Network, input: &[Tensor]) -> Result<Vec<f32>> {
    Ok(network.run(input)?.first().context("the network has no output")?.to_f32())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn guessing_is_doubted() {
        let score = |top1, samples| Score { top1: Some(top1), samples, ..Score::default() };
        assert!(doubt(&score(8.6, 397), 10).unwrap().contains("8.60 % of 397 samples"));
        assert_eq!(doubt(&score(8.6, 20), 10), None);
        assert_eq!(doubt(&score(40.0, 397), 10), None);
        assert_eq!(doubt(&score(1.0, 5000), 1000), None);
    }
}
