//! Samples: a path, an array of numpy that is lent, or batches that are kept as they come.
//!
//! An array is never copied as a whole: reading threads take the rows that they want next, holding the interpreter for as
//! long as that takes. Batches of a generator stay in memory up to a limit and then go to a file without a name.

use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use lowbit::DataSource;
use lowbit_data::{Bytes, Dataset, Spool as Kept};
use numpy::{PyArray1, PyArrayMethods, PyReadonlyArray1};
use pyo3::prelude::*;

use crate::errors;

/// Samples that a job is given.
#[pyclass(frozen, module = "lowbit._native")]
pub(crate) struct Data(pub(crate) DataSource);

#[pymethods]
impl Data {
    #[staticmethod]
    fn path(path: PathBuf) -> Data {
        Data(DataSource::Path(path))
    }

    /// `bytes`: a contiguous array, seen as bytes; `descr` and `shape` say what it is.
    #[staticmethod]
    fn array(
        bytes: Bound<'_, PyArray1<u8>>,
        descr: &str,
        shape: Vec<usize>,
        labels: Option<PyReadonlyArray1<'_, i64>>,
        name: &str,
    ) -> PyResult<Data> {
        let py = bytes.py();
        open(py, name, descr, &shape, Arc::new(Lent::new(&bytes)), labels)
    }
}

fn open(
    py: Python<'_>,
    name: &str,
    descr: &str,
    shape: &[usize],
    bytes: Arc<dyn Bytes>,
    labels: Option<PyReadonlyArray1<'_, i64>>,
) -> PyResult<Data> {
    let labels = labels.map(|labels| checked(py, name, &labels)).transpose()?;
    let dataset = Dataset::in_memory(name, descr, shape, bytes, labels);
    let dataset = dataset.map_err(|error| errors::exception(py, &error.into()))?;
    Ok(Data(DataSource::Open(dataset)))
}

fn checked(py: Python<'_>, name: &str, labels: &PyReadonlyArray1<'_, i64>) -> PyResult<Vec<u32>> {
    let label = |(at, &label): (usize, &i64)| {
        u32::try_from(label).ok().filter(|&label| label < u32::MAX).ok_or_else(|| {
            let said = format!("{name}: y[{at}]: label {label}, expected an integer in 0..{}", u32::MAX);
            errors::raise(py, "InvalidData", said)
        })
    };
    labels.as_array().iter().enumerate().map(label).collect()
}

/// Bytes of an array of numpy.
#[derive(Debug)]
struct Lent {
    array: Py<PyArray1<u8>>,
    len: u64,
}

impl Lent {
    fn new(array: &Bound<'_, PyArray1<u8>>) -> Lent {
        Lent { len: array.len().unwrap_or(0) as u64, array: array.clone().unbind() }
    }
}

impl Bytes for Lent {
    fn len(&self) -> u64 {
        self.len
    }

    fn read_at(&self, at: u64, out: &mut [u8]) -> io::Result<()> {
        Python::attach(|py| {
            let array = self.array.bind(py).try_readonly().map_err(io::Error::other)?;
            let bytes = array.as_slice().map_err(io::Error::other)?;
            let start = usize::try_from(at).map_err(io::Error::other)?;
            let part = bytes.get(start..).and_then(|rest| rest.get(..out.len()));
            out.copy_from_slice(part.ok_or(io::ErrorKind::UnexpectedEof)?);
            Ok(())
        })
    }
}

/// Batches that come one after the other.
#[pyclass(frozen, module = "lowbit._native")]
pub(crate) struct Spool(Mutex<Kept>);

#[pymethods]
impl Spool {
    #[new]
    fn new(limit: usize) -> Spool {
        Spool(Mutex::new(Kept::new(limit)))
    }

    /// Adds a batch, seen as bytes.
    fn add(&self, bytes: PyReadonlyArray1<'_, u8>) -> PyResult<()> {
        let py = bytes.py();
        let slice = bytes.as_slice()?;
        let kept = || self.0.lock().unwrap_or_else(PoisonError::into_inner).add(slice, tempfile::tempfile);
        py.detach(kept).map_err(|error| {
            let place = format!("cannot keep the batches in {}", std::env::temp_dir().display());
            errors::exception(py, &anyhow::Error::new(error).context(place))
        })
    }

    /// All of them as samples; the spool is empty then.
    fn finish(
        &self,
        py: Python<'_>,
        descr: &str,
        shape: Vec<usize>,
        labels: Option<PyReadonlyArray1<'_, i64>>,
        name: &str,
    ) -> PyResult<Data> {
        let kept =
            std::mem::replace(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner), Kept::new(0));
        open(py, name, descr, &shape, Arc::new(kept), labels)
    }
}
