//! Training samples: read once, kept channels last, drawn from at random.

use std::sync::Arc;

use anyhow::{Context, Result, anyhow};
use lowbit_quantize::rows::{Budget, Rows};
use lowbit_tensor::Tensor;
use lowbit_train::Data;
use rayon::prelude::*;

use crate::blame::{Blame, Given};
use crate::pipeline::load::{self, Loaded, Samples};
use crate::pipeline::memory;
use crate::pipeline::stages::Stages;

/// All samples with their labels, and a hash of both.
pub(super) fn read(
    network: &Loaded,
    samples: &Samples,
    budget: &Arc<Budget>,
    stages: &Stages<'_>,
) -> Result<(Data, blake3::Hash)> {
    if !samples.dataset.has_labels() {
        let place = samples.dataset.path().display();
        return Err(anyhow!("{place}: training needs labels, and these samples have none"))
            .blame(Given::Data);
    }
    let shape = network.sample_shape()?;
    let row: usize = shape.iter().product();
    let batches = samples.batches()?;
    stages.begin("read samples", Some(batches.samples() as u64));
    let rows = Rows::new(budget, batches.samples(), row).map_err(|error| memory::no_place(error, budget))?;
    let mut rows = rows.named("training samples");
    let (mut labels, mut hash) = (Vec::new(), blake3::Hasher::new());
    for batch in batches {
        let batch = batch?;
        let mut values = batch.x;
        hash.update(bytemuck::cast_slice(&values));
        if let [channels, ref extents @ ..] = shape[..]
            && !extents.is_empty()
        {
            let cells = extents.iter().product();
            values.par_chunks_mut(row.max(1)).for_each(|sample| {
                let planes = sample.to_vec();
                lowbit_kernels::layout::nchw_to_nhwc(channels, cells, &planes, sample);
            });
        }
        rows.write(labels.len(), &values).map_err(|error| memory::no_place(error, budget))?;
        labels.extend(batch.labels.context("labels")?);
        stages.advance(batch.samples.len());
    }
    hash.update(bytemuck::cast_slice(&labels));
    let shape = match shape[..] {
        [channels, ref extents @ ..] => [extents, &[channels]].concat(),
        [] => Vec::new(),
    };
    Ok((Data { samples: rows, shape, labels }, hash.finalize()))
}

/// The first batches as the network takes them.
pub(super) fn first_batches(network: &Loaded, samples: &Samples, count: usize) -> Result<Vec<Tensor>> {
    samples.batches()?.take(count).map(|batch| load::input(&mut batch?, network)).collect()
}
