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
    Ok(named(&comparison, float, variants))
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

/// Values of the first output.
pub(super) fn first_output(network: &Network, input: &[Tensor]) -> Result<Vec<f32>> {
    Ok(network.run(input)?.first().context("the network has no output")?.to_f32())
}
