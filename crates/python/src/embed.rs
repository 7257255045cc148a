//! `lowbit.embed`: tables of floats to packed rows.
//!
//! Rows go into a file without a name, as the library streams them, and from there into an array or a file of the user's:
//! a table that does not fit memory never has to.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context;
use lowbit::embedding::{
    EmbedError, EmbedJob, METHODS, Method, NonFinite, Order, Search, Source, TableSource,
};
use lowbit::facade;
use numpy::{IntoPyArray, PyArray1, PyArray2, PyArrayMethods, PyUntypedArrayMethods};
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::model::Model;
use crate::quantize::named;
use crate::report::Report;
use crate::{errors, work};

/// A table that a job is given.
#[pyclass(frozen, module = "lowbit._native")]
pub(crate) struct Table(TableSource);

#[pymethods]
impl Table {
    #[staticmethod]
    fn path(path: PathBuf) -> Table {
        Table(TableSource::File(path))
    }

    #[staticmethod]
    fn network(model: &Model) -> Table {
        Table(TableSource::Network(model.0.clone()))
    }

    /// `values`: a contiguous table, seen as one row.
    #[staticmethod]
    fn array(values: Bound<'_, PyArray1<f32>>, columns: usize, name: String) -> PyResult<Table> {
        if columns == 0 || values.len() == 0 || !values.len().is_multiple_of(columns) {
            let said = format!("{name}: {} values in rows of {columns} columns", values.len());
            return Err(errors::raise(values.py(), "InvalidData", said));
        }
        let rows = (values.len() / columns) as u64;
        Ok(Table(TableSource::Rows(name, Arc::new(Lent { values: values.unbind(), rows, columns }))))
    }
}

/// A table of numpy.
struct Lent {
    values: Py<PyArray1<f32>>,
    rows: u64,
    columns: usize,
}

impl Source for Lent {
    fn rows(&self) -> u64 {
        self.rows
    }

    fn columns(&self) -> usize {
        self.columns
    }

    fn read(&self, first: u64, out: &mut [f32]) -> Result<(), EmbedError> {
        Python::attach(|py| {
            let refuse = |problem: String| EmbedError::Row { row: first, problem };
            let values = self.values.bind(py).try_readonly().map_err(|error| refuse(error.to_string()))?;
            let values = values.as_slice().map_err(|error| refuse(error.to_string()))?;
            let part = values.get(first as usize * self.columns..).and_then(|rest| rest.get(..out.len()));
            out.copy_from_slice(part.ok_or_else(|| refuse("there is no such row".into()))?);
            Ok(())
        })
    }
}

#[pyfunction]
#[pyo3(signature = (table, *, tensor, bits, method, compatible, layout, clusters, counts, non_finite, threads, progress))]
#[expect(clippy::too_many_arguments, reason = "the fields of the job, named in Python")]
pub(crate) fn embed(
    py: Python<'_>,
    table: &Table,
    tensor: Option<String>,
    bits: u32,
    method: &str,
    compatible: bool,
    layout: &str,
    clusters: Option<usize>,
    counts: Option<&Table>,
    non_finite: &str,
    threads: Option<usize>,
    progress: Option<Py<PyAny>>,
) -> PyResult<(Embedded, Report)> {
    let counts = counts.map(|table| table.0.clone());
    let job =
        job(py, table, tensor, bits, method, compatible, layout, clusters, counts, non_finite, threads)?;
    let (file, report) = work::run(py, progress, |progress| {
        let file = tempfile::tempfile().context("cannot make a temporary file")?;
        // The name says the container, and is what messages call the file.
        let name = Path::new("packed.safetensors");
        let report = facade::embed(&job, Some((name, file.try_clone()?)), progress)?;
        Ok((file, report))
    })?;
    let embedded = Embedded { file, rows: report.rows as usize, row_bytes: report.row_bytes };
    Ok((embedded, Report::table(report)))
}

/// The network with packed tables, and their names.
#[pyfunction]
#[pyo3(signature = (model, *, tensor, bits, method, compatible, non_finite, threads, progress))]
#[expect(clippy::too_many_arguments, reason = "the fields of the job, named in Python")]
pub(crate) fn embed_model<'py>(
    py: Python<'py>,
    model: &Table,
    tensor: Option<String>,
    bits: u32,
    method: &str,
    compatible: bool,
    non_finite: &str,
    threads: Option<usize>,
    progress: Option<Py<PyAny>>,
) -> PyResult<(Bound<'py, PyBytes>, Vec<String>)> {
    let layout = Order::default().name();
    let job = job(py, model, tensor, bits, method, compatible, layout, None, None, non_finite, threads)?;
    let (bytes, tables) = work::run(py, progress, |_| facade::embed_network(&job))?;
    Ok((PyBytes::new(py, &bytes), tables))
}

#[expect(clippy::too_many_arguments, reason = "the fields of the job")]
fn job(
    py: Python<'_>,
    table: &Table,
    tensor: Option<String>,
    bits: u32,
    method: &str,
    compatible: bool,
    layout: &str,
    clusters: Option<usize>,
    counts: Option<TableSource>,
    non_finite: &str,
    threads: Option<usize>,
) -> PyResult<EmbedJob> {
    let methods: Vec<Method> = METHODS.iter().map(|entry| entry.method).collect();
    let method = named(py, "method", method, &methods, Method::name)?;
    if compatible && method != Method::Greedy {
        let said = format!("compatible= is a search of greedy, not of {}", method.name());
        return Err(errors::raise(py, "InvalidRecipe", said));
    }
    let non_finite_name = |value| match value {
        NonFinite::Refuse => "refuse",
        NonFinite::Keep => "keep",
    };
    Ok(EmbedJob {
        table: table.0.clone(),
        tensor,
        bits,
        method,
        search: if compatible { Search::COMPATIBLE } else { Search::Refit },
        order: named(py, "layout", layout, &Order::ALL, Order::name)?,
        clusters,
        counts,
        non_finite: named(
            py,
            "non_finite",
            non_finite,
            &[NonFinite::Refuse, NonFinite::Keep],
            non_finite_name,
        )?,
        compare: Vec::new(),
        compare_rows: 0,
        threads,
    })
}

/// A packed table, in a file without a name.
#[pyclass(frozen, module = "lowbit._native")]
pub(crate) struct Embedded {
    /// As `.safetensors`, its first tensor the rows.
    file: File,
    rows: usize,
    row_bytes: usize,
}

#[pymethods]
impl Embedded {
    /// Packed rows: `[rows, row bytes]`.
    fn rows<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyArray2<u8>>> {
        let bytes = py.detach(|| self.read()).map_err(|error| errors::exception(py, &error.into()))?;
        bytes.into_pyarray(py).reshape([self.rows, self.row_bytes])
    }

    /// Writes the whole file.
    fn copy_to(&self, py: Python<'_>, path: PathBuf) -> PyResult<()> {
        let copy = || {
            let mut file = &self.file;
            file.seek(SeekFrom::Start(0))?;
            io::copy(&mut file, &mut File::create(&path)?)
        };
        py.detach(copy).map(drop).map_err(|error| errors::exception(py, &error.into()))
    }
}

impl Embedded {
    fn read(&self) -> io::Result<Vec<u8>> {
        let mut file = &self.file;
        file.seek(SeekFrom::Start(0))?;
        let mut header = [0; 8];
        file.read_exact(&mut header)?;
        file.seek(SeekFrom::Start(8 + u64::from_le_bytes(header)))?;
        let mut bytes = vec![0; self.rows * self.row_bytes];
        file.read_exact(&mut bytes)?;
        Ok(bytes)
    }
}
