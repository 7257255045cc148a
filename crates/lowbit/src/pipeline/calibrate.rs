//! Calibration: one pass over the samples, for the statistics of every edge and whatever else the run keeps of them.

use std::sync::Arc;

use anyhow::{Context, Result, bail};
use blake3::Hasher;
use lowbit_quantize::observe::{Needs, Observations, Observer};
use lowbit_quantize::rows::{Budget, Rows};
use lowbit_quantize::run;
use lowbit_quantize::site::Sites;
use lowbit_tensor::Tensor;

use super::load::{self, Loaded, Samples};
use super::memory;
use super::stages::Stages;

/// Without validation data the network is scored on at most this many calibration samples.
const SELF_SCORED: usize = 256;

/// A batch and its labels.
pub(super) type Labelled = (Tensor, Option<Vec<u32>>);

pub(super) fn labelled(mut batch: lowbit_data::Batch, network: &Loaded) -> Result<Labelled> {
    let labels = batch.labels.take();
    Ok((load::input(&mut batch, network)?, labels))
}

/// What one pass over the calibration samples gives.
pub(super) struct Seen {
    pub(super) edges: Observations,
    /// The first few batches, for checks and scores.
    pub(super) kept: Vec<Kept>,
    /// All samples and a hash of them, where a step needs them.
    pub(super) samples: Option<(run::Samples, blake3::Hash)>,
}

/// A batch kept from calibration, with what the float network made of it.
pub(super) struct Kept {
    pub(super) input: Tensor,
    pub(super) labels: Option<Vec<u32>>,
    pub(super) float: Vec<f32>,
}

/// Runs the float network over every sample. `budget` is for samples that are kept.
pub(super) fn calibrate(
    network: &Loaded,
    sites: &Sites,
    needs: Needs,
    samples: &Samples,
    budget: &Arc<Budget>,
    stages: &Stages<'_>,
) -> Result<Seen> {
    let batches = samples.batches()?;
    stages.begin("calibrate", Some(batches.samples() as u64));
    let mut observer = Observer::new(&network.graph, sites, needs)?;
    let (mut kept, mut held): (Vec<Kept>, usize) = (Vec::new(), 0);
    let mut keeper = match needs.samples {
        true => Some(Keeper::new(network, samples, batches.samples(), budget, stages)?),
        false => None,
    };
    for batch in batches {
        let (input, labels) = labelled(batch?, network)?;
        let n = input.shape()[0];
        if let Some(keeper) = &mut keeper {
            keeper.add(&input, labels.as_deref(), budget)?;
        }
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
    let edges = observer.finish();
    for (site, edge) in sites.activations.iter().zip(&edges.edges) {
        if !edge.tensor.min.is_finite() || !edge.tensor.max.is_finite() {
            bail!("edge `{}` takes values that are not finite on these samples", site.name);
        }
    }
    Ok(Seen { edges, kept, samples: keeper.map(Keeper::finish) })
}

/// Keeps samples as they stream by.
struct Keeper {
    samples: run::Samples,
    next: usize,
    hash: Hasher,
}

impl Keeper {
    fn new(
        network: &Loaded,
        samples: &Samples,
        count: usize,
        budget: &Arc<Budget>,
        stages: &Stages<'_>,
    ) -> Result<Keeper> {
        let shape = network.sample_shape()?;
        let inputs = Rows::new(budget, count, shape.iter().product());
        let inputs = inputs.map_err(|error| memory::no_place(error, budget))?.named("calibration samples");
        let fit = samples.dataset.check_classes(network.classes());
        if let Err(misfit) = &fit {
            stages.note(format!("calibration goes without labels: {misfit}"));
        }
        let labels = (samples.dataset.has_labels() && fit.is_ok()).then(Vec::new);
        Ok(Keeper { samples: run::Samples { inputs, shape, labels }, next: 0, hash: Hasher::new() })
    }

    fn add(&mut self, input: &Tensor, labels: Option<&[u32]>, budget: &Budget) -> Result<()> {
        let values = input.as_f32().context("samples are float32")?;
        self.hash.update(bytemuck::cast_slice(values));
        self.samples.inputs.write(self.next, values).map_err(|error| memory::no_place(error, budget))?;
        self.next += input.shape()[0];
        if let (Some(kept), Some(labels)) = (&mut self.samples.labels, labels) {
            kept.extend_from_slice(labels);
        }
        Ok(())
    }

    fn finish(mut self) -> (run::Samples, blake3::Hash) {
        let labels = self.samples.labels.as_deref();
        self.hash.update(&(self.next as u64).to_le_bytes());
        self.hash.update(bytemuck::cast_slice(labels.unwrap_or_default()));
        (self.samples, self.hash.finalize())
    }
}
