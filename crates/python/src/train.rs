//! `lowbit.train`.

use std::path::PathBuf;

use lowbit::facade::{self, TrainJob};
use pyo3::prelude::*;

use crate::data::Data;
use crate::model::Model;
use crate::quantize::{Made, made};
use crate::work;

#[pyfunction]
#[pyo3(signature = (model, data, validation, *, recipe, target, flavour, epochs, steps, batch, learning_rate, best, seed,
    limit, threads, preprocess, cache_bytes, state, fresh, progress))]
#[expect(clippy::too_many_arguments, reason = "the fields of the job, named in Python")]
pub(crate) fn train<'py>(
    py: Python<'py>,
    model: &Model,
    data: &Data,
    validation: Option<&Data>,
    recipe: String,
    target: String,
    flavour: Option<String>,
    epochs: Option<u64>,
    steps: Option<u64>,
    batch: Option<usize>,
    learning_rate: Option<f64>,
    best: bool,
    seed: Option<u64>,
    limit: Option<usize>,
    threads: Option<usize>,
    preprocess: Option<String>,
    cache_bytes: Option<u64>,
    state: Option<PathBuf>,
    fresh: bool,
    progress: Option<Py<PyAny>>,
) -> PyResult<Made<'py>> {
    let job = TrainJob {
        model: model.0.clone(),
        data: data.0.clone(),
        validation: validation.map(|data| data.0.clone()),
        recipe,
        target,
        flavour,
        epochs,
        steps,
        batch,
        learning_rate,
        best,
        metrics: None,
        seed,
        limit,
        threads,
        preprocess,
        cache_bytes,
        state,
        fresh,
        dry_run: false,
    };
    let outcome = work::run(py, progress, |progress| facade::train(&job, progress))?;
    Ok(made(py, outcome))
}
