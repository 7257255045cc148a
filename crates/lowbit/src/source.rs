//! Where networks and samples come from: files for the command line, values in memory for whoever has them.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result};
use lowbit_data::Dataset;
use lowbit_graph::Graph;
use lowbit_onnx::{ReadOptions, read_bytes_with, read_file_with};

/// An ONNX network: a file, or the bytes of one.
#[derive(Clone)]
pub enum ModelSource {
    /// The file at this path; its external data lies beside it.
    File(PathBuf),
    /// The bytes of a file, whose weights are all in it.
    Bytes(Arc<dyn AsRef<[u8]> + Send + Sync>),
}

impl ModelSource {
    /// Bytes of the caller's.
    pub fn bytes(bytes: impl AsRef<[u8]> + Send + Sync + 'static) -> ModelSource {
        ModelSource::Bytes(Arc::new(bytes))
    }

    /// The graph as it is there.
    pub(crate) fn read(&self, options: ReadOptions) -> Result<Graph> {
        Ok(match self {
            // Errors of the reader name the file themselves.
            ModelSource::File(path) => read_file_with(path, options)?,
            ModelSource::Bytes(bytes) => read_bytes_with((**bytes).as_ref(), None, options)?,
        })
    }

    /// Size of the file.
    pub(crate) fn len(&self) -> Result<u64> {
        match self {
            ModelSource::File(path) => {
                let metadata = std::fs::metadata(path);
                Ok(metadata.with_context(|| format!("cannot use the network {self}"))?.len())
            }
            ModelSource::Bytes(bytes) => Ok((**bytes).as_ref().len() as u64),
        }
    }

    /// The name of the file without its extension.
    pub fn stem(&self) -> Option<String> {
        match self {
            ModelSource::File(path) => Some(path.file_stem()?.to_string_lossy().into_owned()),
            ModelSource::Bytes(_) => None,
        }
    }
}

/// As messages call it.
impl fmt::Display for ModelSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ModelSource::File(path) => path.display().fmt(f),
            ModelSource::Bytes(_) => f.write_str("the network in memory"),
        }
    }
}

impl fmt::Debug for ModelSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ModelSource({self})")
    }
}

/// Samples: a place that is recognised, or a source that is open.
#[derive(Clone, Debug)]
pub enum DataSource {
    /// What [`Dataset::open`] recognises.
    Path(PathBuf),
    /// Opened, or in memory.
    Open(Dataset),
}

impl DataSource {
    pub(crate) fn open(&self) -> Result<Dataset> {
        match self {
            DataSource::Path(path) => Ok(Dataset::open(path)?),
            DataSource::Open(dataset) => Ok(dataset.clone()),
        }
    }
}

/// As messages call them.
impl fmt::Display for DataSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DataSource::Path(path) => path.display().fmt(f),
            DataSource::Open(dataset) => dataset.path().display().fmt(f),
        }
    }
}

macro_rules! from_paths {
    ($source:ty, $variant:path) => {
        impl From<PathBuf> for $source {
            fn from(path: PathBuf) -> Self {
                $variant(path)
            }
        }
        impl From<&PathBuf> for $source {
            fn from(path: &PathBuf) -> Self {
                $variant(path.clone())
            }
        }
        impl From<&Path> for $source {
            fn from(path: &Path) -> Self {
                $variant(path.to_owned())
            }
        }
        impl From<&$source> for $source {
            fn from(source: &$source) -> Self {
                source.clone()
            }
        }
    };
}
from_paths!(ModelSource, ModelSource::File);
from_paths!(DataSource, DataSource::Path);
