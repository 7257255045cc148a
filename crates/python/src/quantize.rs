//! `lowbit.quantize`.

use std::path::PathBuf;

use lowbit::facade::{self, Effort, QuantizeJob};
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::data::Data;
use crate::errors;
use crate::model::Model;
use crate::report::Report;
use crate::work;

/// The written network, its report, and files that a killed run would have gone on from.
pub(crate) type Made<'py> = (Bound<'py, PyBytes>, Report, Vec<PathBuf>);

/// What the facade gave back.
pub(crate) fn made(py: Python<'_>, outcome: facade::Outcome) -> Made<'_> {
    (PyBytes::new(py, &outcome.bytes), Report::network(outcome.report), outcome.state)
}

#[pyfunction]
#[pyo3(signature = (model, data, validation, *, recipe, target, flavour, seed, limit, threads, preprocess, effort,
    cache_bytes, state, fresh, detail, progress))]
#[expect(clippy::too_many_arguments, reason = "the fields of the job, named in Python")]
pub(crate) fn quantize<'py>(
    py: Python<'py>,
    model: &Model,
    data: &Data,
    validation: Option<&Data>,
    recipe: String,
    target: String,
    flavour: Option<String>,
    seed: Option<u64>,
    limit: Option<usize>,
    threads: Option<usize>,
    preprocess: Option<String>,
    effort: &str,
    cache_bytes: Option<u64>,
    state: Option<PathBuf>,
    fresh: bool,
    detail: bool,
    progress: Option<Py<PyAny>>,
) -> PyResult<Made<'py>> {
    let job = QuantizeJob {
        model: model.0.clone(),
        data: data.0.clone(),
        validation: validation.map(|data| data.0.clone()),
        recipe,
        target,
        flavour,
        seed,
        limit,
        threads,
        preprocess,
        effort: named(py, "effort", effort, &Effort::ALL, Effort::name)?,
        cache_bytes,
        state,
        fresh,
        detail,
        dry_run: false,
    };
    let outcome = work::run(py, progress, |progress| facade::quantize(&job, progress))?;
    Ok(made(py, outcome))
}

/// One of some values, by name.
pub(crate) fn named<T: Copy>(
    py: Python<'_>,
    what: &str,
    given: &str,
    all: &[T],
    name: impl Fn(T) -> &'static str,
) -> PyResult<T> {
    all.iter().copied().find(|&value| name(value) == given).ok_or_else(|| {
        let names: Vec<_> = all.iter().map(|&value| name(value)).collect();
        errors::raise(py, "InvalidRecipe", format!("no {what} `{given}`; there are {}", names.join(", ")))
    })
}
