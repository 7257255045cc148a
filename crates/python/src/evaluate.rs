//! `lowbit.evaluate`.

use lowbit::facade::{self, Engine, EvaluateJob};
use pyo3::prelude::*;

use crate::data::Data;
use crate::model::Model;
use crate::quantize::named;
use crate::report::Report;
use crate::work;

#[pyfunction]
#[pyo3(signature = (models, data, *, engines, limit, skip, threads, preprocess, seed, progress))]
#[expect(clippy::too_many_arguments, reason = "the fields of the job, named in Python")]
pub(crate) fn evaluate(
    py: Python<'_>,
    models: Vec<PyRef<'_, Model>>,
    data: &Data,
    engines: Vec<String>,
    limit: Option<usize>,
    skip: usize,
    threads: Option<usize>,
    preprocess: Option<String>,
    seed: u64,
    progress: Option<Py<PyAny>>,
) -> PyResult<Report> {
    let engine = |name: &String| named(py, "engine", name, &Engine::ALL, Engine::name);
    let job = EvaluateJob {
        models: models.iter().map(|model| model.0.clone()).collect(),
        engines: engines.iter().map(engine).collect::<PyResult<_>>()?,
        data: data.0.clone(),
        limit,
        skip,
        threads,
        preprocess,
        seed,
    };
    drop(models);
    let scores = work::run(py, progress, |progress| facade::evaluate(&job, progress))?;
    let mut report = lowbit::Report { scores, ..lowbit::Report::default() };
    report.model.name = report.scores.first().map_or_else(String::new, |score| score.model.clone());
    report.job.data = job.data.to_string();
    report.job.version = env!("CARGO_PKG_VERSION").to_owned();
    Ok(Report::network(report))
}
