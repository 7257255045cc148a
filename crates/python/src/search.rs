//! `lowbit.search`.

use std::path::PathBuf;

use lowbit::facade::{self, Clip, Goal, SearchJob};
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::data::Data;
use crate::errors;
use crate::model::Model;
use crate::quantize::named;
use crate::report::Report;
use crate::work;

/// The chosen network, the recipe that reproduces it, and everything that was found.
type Found<'py> = (Bound<'py, PyBytes>, String, Report);

#[pyfunction]
#[pyo3(signature = (model, data, *, goal, target, tuner, budget, bits, offer_float, clips, symmetric, trials, seed, limit,
    threads, preprocess, cache_bytes, timing, progress))]
#[expect(clippy::too_many_arguments, reason = "the fields of the job, named in Python")]
pub(crate) fn search<'py>(
    py: Python<'py>,
    model: &Model,
    data: &Data,
    goal: (String, f64),
    target: String,
    tuner: String,
    budget: usize,
    bits: Vec<u8>,
    offer_float: bool,
    clips: Vec<String>,
    symmetric: bool,
    trials: Option<PathBuf>,
    seed: u64,
    limit: Option<usize>,
    threads: Option<usize>,
    preprocess: Option<String>,
    cache_bytes: Option<u64>,
    timing: bool,
    progress: Option<Py<PyAny>>,
) -> PyResult<Found<'py>> {
    let goal = match goal.0.as_str() {
        "max_drop" => Goal::Drop(goal.1),
        "max_size" => Goal::Size(goal.1 as u64),
        "max_latency" => Goal::Latency(goal.1),
        other => return Err(errors::raise(py, "InvalidRecipe", format!("there is no limit `{other}`"))),
    };
    let clip = |name: &String| named(py, "way of finding ranges", name, &Clip::ALL, Clip::name);
    let job = SearchJob {
        model: model.0.clone(),
        data: data.0.clone(),
        target,
        goal,
        tuner,
        trials: budget,
        bits,
        float: offer_float,
        clips: clips.iter().map(clip).collect::<PyResult<_>>()?,
        symmetric,
        log: trials,
        shard: None,
        seed,
        limit,
        threads,
        preprocess,
        cache_bytes,
        time: timing,
        dry_run: false,
    };
    let found = work::run(py, progress, |progress| facade::search(&job, progress))?;
    Ok((PyBytes::new(py, &found.bytes), found.recipe, Report::search(found.report)))
}
