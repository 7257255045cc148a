//! `lowbit.Session`: a network in the integer runtime.

use std::panic::{AssertUnwindSafe, catch_unwind};

use lowbit::facade;
use numpy::{IntoPyArray, PyArrayDyn, PyArrayMethods, PyReadonlyArray1};
use pyo3::prelude::*;

use crate::model::Model;
use crate::{errors, work};

/// Samples between two looks for Ctrl-C.
const AT_ONCE: usize = 256;

#[pyclass(frozen, module = "lowbit._native")]
pub(crate) struct Session {
    session: facade::Session,
    /// The process that its threads live in.
    process: u32,
}

#[pymethods]
impl Session {
    #[new]
    #[pyo3(signature = (model, threads))]
    fn new(py: Python<'_>, model: &Model, threads: Option<usize>) -> PyResult<Session> {
        let source = model.0.clone();
        let session = work::run(py, None, move |_| facade::session(source, threads))?;
        Ok(Session { session, process: std::process::id() })
    }

    #[getter]
    fn input_shape(&self) -> Vec<usize> {
        self.session.input_shape().to_vec()
    }

    #[getter]
    fn outputs(&self) -> Vec<(String, Vec<usize>)> {
        self.session.outputs().iter().map(|output| (output.name.clone(), output.shape.clone())).collect()
    }

    #[getter]
    fn weight_bytes(&self) -> usize {
        self.session.weight_bytes()
    }

    #[getter]
    fn float_nodes(&self) -> Vec<String> {
        self.session
            .left()
            .iter()
            .map(|left| format!("{} `{}` {}", left.op, left.node, left.reason))
            .collect()
    }

    /// All outputs of `x`, samples one after the other.
    fn run<'py>(
        &self,
        py: Python<'py>,
        x: PyReadonlyArray1<'_, f32>,
    ) -> PyResult<Vec<Bound<'py, PyArrayDyn<f32>>>> {
        if std::process::id() != self.process {
            let said = "a session does not outlive a fork of its process: open one in the child";
            return Err(errors::raise(py, "Error", said.to_owned()));
        }
        let x = x.as_slice()?;
        let len = self.session.input_len();
        let rows = x.len() / len.max(1);
        let mut outputs: Vec<Vec<f32>> = Vec::new();
        for part in x.chunks((AT_ONCE * len).max(1)) {
            let run = || catch_unwind(AssertUnwindSafe(|| self.session.run_all(part)));
            let found = py.detach(run).map_err(|panic| work::fault(py, &*panic))?;
            let found = found.map_err(|error| errors::exception(py, &error.into()))?;
            if outputs.is_empty() {
                outputs = found;
            } else {
                outputs.iter_mut().zip(found).for_each(|(all, part)| all.extend(part));
            }
            py.check_signals()?;
        }
        let shaped = outputs.into_iter().zip(self.session.outputs()).map(|(values, output)| {
            let shape: Vec<usize> = std::iter::once(rows).chain(output.shape.iter().copied()).collect();
            values.into_pyarray(py).reshape(shape)
        });
        shaped.collect()
    }
}
