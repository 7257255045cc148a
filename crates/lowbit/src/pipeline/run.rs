//! `run`: a network's answers to samples, as arrays.

use anyhow::{Context, Result, bail};
use lowbit_tensor::{Data, Tensor};

use super::load::{self, Wanted};
use super::runner::Runner;
use super::stages::Stages;
use crate::Progress;
use crate::facade::RunJob;

/// Names that are ours; an output that has one is renamed.
const OWN: [&str; 3] = ["index", "y", "x"];

pub(crate) fn run(job: &RunJob, progress: &dyn Progress) -> Result<Vec<(String, Tensor)>> {
    load::with_threads(job.threads, || work(job, progress))
}

fn work(job: &RunJob, progress: &dyn Progress) -> Result<Vec<(String, Tensor)>> {
    let stages = Stages::new(progress);
    stages.begin("read", None);
    let loaded = load::network(&job.model)?;
    let wanted =
        Wanted { preprocess: job.preprocess.as_deref(), skip: job.skip, limit: job.limit, seed: job.seed };
    let samples = load::samples(&job.data, &loaded, &wanted, false)?;
    let network = Runner::new(job.engine, &job.model, &loaded)?;
    let batches = samples.batches()?;
    stages.begin("run", Some(batches.samples() as u64));
    let mut outputs: Vec<Rows> = loaded.graph.outputs.iter().map(|_| Rows::default()).collect();
    let (mut index, mut labels, mut seen) = (Vec::new(), Vec::new(), Rows::default());
    for batch in batches {
        let mut batch = batch?;
        let n = batch.samples.len();
        index.extend(batch.samples.iter().map(|&i| i as i64));
        labels.extend(batch.labels.take().unwrap_or_default().into_iter().map(i64::from));
        let input = load::input(&mut batch, &loaded)?;
        for ((rows, output), id) in outputs.iter_mut().zip(network.run(&input)?).zip(&loaded.graph.outputs) {
            let place = || format!("output `{}`", loaded.graph.value(*id).name);
            rows.push(output, n).with_context(place)?;
        }
        if job.with_samples {
            // As the file takes them.
            let dtype = loaded.integers.and_then(|id| loaded.graph.value(id).dtype);
            seen.push(dtype.map_or(input.clone(), |dtype| input.cast(dtype)), n)?;
        }
        stages.advance(n);
    }
    stages.finish();
    let mut arrays = vec![("index".to_owned(), Tensor::from_i64s(&index))];
    if !labels.is_empty() {
        arrays.push(("y".to_owned(), Tensor::from_i64s(&labels)));
    }
    if job.with_samples {
        arrays.push(("x".to_owned(), seen.finish()?));
    }
    for (rows, id) in outputs.into_iter().zip(&loaded.graph.outputs) {
        let name = &loaded.graph.value(*id).name;
        let own = if OWN.contains(&name.as_str()) { "_output" } else { "" };
        arrays.push((format!("{name}{own}"), rows.finish()?));
    }
    Ok(arrays)
}

/// Batches joined along their first axis.
#[derive(Default)]
struct Rows {
    shape: Vec<usize>,
    data: Option<Data>,
}

impl Rows {
    /// Adds a batch of `n` samples.
    fn push(&mut self, batch: Tensor, n: usize) -> Result<()> {
        let [first, rest @ ..] = batch.shape() else { bail!("a single number, expected one row per sample") };
        if *first != n {
            bail!("{first} rows for {n} samples");
        }
        match &mut self.data {
            None => {
                self.shape = batch.shape().to_vec();
                self.data = Some(batch.into_data());
            }
            Some(data) => {
                if rest != &self.shape[1..] || data.dtype() != batch.dtype() {
                    bail!("rows of shape {rest:?} after rows of shape {:?}", &self.shape[1..]);
                }
                self.shape[0] += n;
                data.extend_from(batch.data(), 0..batch.len());
            }
        }
        Ok(())
    }

    fn finish(self) -> Result<Tensor> {
        Ok(Tensor::new(self.shape, self.data.context("no samples")?)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batches_join_and_misfits_are_refused() {
        let mut rows = Rows::default();
        rows.push(Tensor::from_f32([2, 1], vec![1.0, 2.0]), 2).unwrap();
        rows.push(Tensor::from_f32([1, 1], vec![3.0]), 1).unwrap();
        assert!(rows.push(Tensor::from_f32([1, 2], vec![3.0, 4.0]), 1).is_err());
        assert!(rows.push(Tensor::from_f32([2, 1], vec![3.0, 4.0]), 1).is_err());
        assert!(rows.push(Tensor::scalar(1.0), 1).is_err());
        assert_eq!(rows.finish().unwrap(), Tensor::from_f32([3, 1], vec![1.0, 2.0, 3.0]));
    }
}
