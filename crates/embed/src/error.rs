//! Refusals: each names the file or row, what was found and what would be accepted.

use std::io;
use std::path::{Path, PathBuf};

/// Why a table cannot be read, quantized, written or looked up.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EmbedError {
    /// The operating system refused.
    #[error("{}: {source}", path.display())]
    Io {
        /// File.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// A file that is not what it should be.
    #[error("{}: {problem}", path.display())]
    File {
        /// File.
        path: PathBuf,
        /// What is wrong, and what would be right.
        problem: String,
    },
    /// A row that cannot be quantized.
    #[error("row {row}: {problem}")]
    Row {
        /// Its number, from zero.
        row: u64,
        /// What is wrong with it.
        problem: String,
    },
    /// Options that do not go together, or do not fit the table.
    #[error("{0}")]
    Options(String),
    /// Bags that do not fit a table.
    #[error("{0}")]
    Bags(String),
}

impl EmbedError {
    pub(crate) fn io(path: &Path, source: io::Error) -> EmbedError {
        EmbedError::Io { path: path.to_owned(), source }
    }

    pub(crate) fn file(path: &Path, problem: impl Into<String>) -> EmbedError {
        EmbedError::File { path: path.to_owned(), problem: problem.into() }
    }
}
