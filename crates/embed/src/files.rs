//! Tables in files, read and written by position: rows are never all in memory, and a bad disk is an error with a name, where
//! a memory map would end the process by a signal.

mod npy;
mod packed;
mod raw;
mod safetensors;
mod writer;

use std::path::Path;

pub(crate) use packed::decode;
pub use packed::{Hint, Packed};
pub use raw::FileRows;
pub use writer::Writer;

use crate::EmbedError;

/// A table of floats, read in any order by any thread.
pub trait Source: Sync {
    /// How many rows.
    fn rows(&self) -> u64;
    /// Values of a row.
    fn columns(&self) -> usize;
    /// Reads whole rows from row `first` on: as many as fit `out: [rows, columns]`.
    ///
    /// # Errors
    /// What the file or the rows say.
    fn read(&self, first: u64, out: &mut [f32]) -> Result<(), EmbedError>;
}

/// A table in memory.
#[derive(Clone, Debug)]
pub struct MemoryRows {
    values: Vec<f32>,
    columns: usize,
}

impl MemoryRows {
    /// From `values: [rows, columns]`.
    ///
    /// # Errors
    /// There are no rows or columns, or the values do not fill rows.
    pub fn new(values: Vec<f32>, columns: usize) -> Result<MemoryRows, EmbedError> {
        if columns == 0 || values.is_empty() || !values.len().is_multiple_of(columns) {
            return Err(EmbedError::Options(format!("{} values in rows of {columns} columns", values.len())));
        }
        Ok(MemoryRows { values, columns })
    }

    /// All of them.
    pub fn values(&self) -> &[f32] {
        &self.values
    }
}

impl Source for MemoryRows {
    fn rows(&self) -> u64 {
        (self.values.len() / self.columns) as u64
    }
    fn columns(&self) -> usize {
        self.columns
    }
    fn read(&self, first: u64, out: &mut [f32]) -> Result<(), EmbedError> {
        out.copy_from_slice(&self.values[first as usize * self.columns..][..out.len()]);
        Ok(())
    }
}

/// At most so many rows of a table, evenly spread.
pub struct Spread<'a> {
    source: &'a dyn Source,
    rows: u64,
}

impl<'a> Spread<'a> {
    /// `rows` of `source`, or all if there are fewer.
    pub fn new(source: &'a dyn Source, rows: u64) -> Spread<'a> {
        Spread { source, rows: rows.min(source.rows()) }
    }
}

impl Source for Spread<'_> {
    fn rows(&self) -> u64 {
        self.rows
    }
    fn columns(&self) -> usize {
        self.source.columns()
    }
    fn read(&self, first: u64, out: &mut [f32]) -> Result<(), EmbedError> {
        if self.rows == self.source.rows() {
            return self.source.read(first, out);
        }
        for (nth, row) in out.chunks_exact_mut(self.columns()).enumerate() {
            let at = u128::from(first + nth as u64) * u128::from(self.source.rows()) / u128::from(self.rows);
            self.source.read(at as u64, row)?;
        }
        Ok(())
    }
}

/// Opens a table of floats: a `.npy` file of two axes, or a tensor of a `.safetensors` file (which may be left out where there
/// is one of two axes only).
///
/// # Errors
/// A file that is neither, is cut short, or holds something else.
pub fn open(path: &Path, tensor: Option<&str>) -> Result<FileRows, EmbedError> {
    let file = raw::Bytes::open(path)?;
    if npy::is_npy(&file)? {
        if tensor.is_some() {
            return Err(EmbedError::file(path, "a .npy file holds one table, which has no name"));
        }
        return npy::rows(file);
    }
    safetensors::rows(file, tensor)
}

/// Opens counts, one per row: a `.npy` file of one axis (or of two with one column), integers or floats.
///
/// # Errors
/// As [`open`].
pub fn open_counts(path: &Path) -> Result<FileRows, EmbedError> {
    npy::counts(raw::Bytes::open(path)?)
}
