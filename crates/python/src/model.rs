//! Networks: a path, or bytes that stay Python's.

use std::path::PathBuf;

use lowbit::{ModelSource, facade};
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;

use crate::errors;

/// An ONNX network that a job is given.
#[pyclass(frozen, module = "lowbit._native")]
pub(crate) struct Model(pub(crate) ModelSource);

#[pymethods]
impl Model {
    #[staticmethod]
    fn path(path: PathBuf) -> Model {
        Model(ModelSource::File(path))
    }

    #[staticmethod]
    fn bytes(bytes: PyBackedBytes) -> Model {
        Model(ModelSource::bytes(bytes))
    }
}

/// Extents of one sample, without the batch axis.
#[pyfunction]
pub(crate) fn input_shape(py: Python<'_>, model: &Model) -> PyResult<Vec<usize>> {
    let source = &model.0;
    py.detach(|| facade::input_shape(source)).map_err(|error| errors::exception(py, &error))
}
