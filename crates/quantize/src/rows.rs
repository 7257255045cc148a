//! What a method keeps of every sample, such as the inputs of a block: rows of f32 in memory or, past a budget that
//! all of a run's rows share, in a file.
//!
//! The file is read and written by position, never mapped: a disk that fills up is then an error with a name, where a
//! mapping would end the process by a signal. Rows have the same bits wherever they lie. This crate opens no file: the
//! [`Budget`] is given a function that lends empty ones, which vanish when closed.

mod at;

use std::fmt;
use std::fs::File;
use std::io;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

type Spill = dyn Fn() -> io::Result<File> + Send + Sync;

/// How many bytes of memory the rows of a run may take together, and where further ones go.
pub struct Budget {
    limit: u64,
    in_memory: AtomicU64,
    in_files: AtomicU64,
    spill: Box<Spill>,
}

impl Budget {
    /// A budget of `limit` bytes; `spill` lends an empty file, readable and writable, for each set of rows beyond it.
    pub fn new(limit: u64, spill: impl Fn() -> io::Result<File> + Send + Sync + 'static) -> Arc<Budget> {
        let (in_memory, in_files) = (AtomicU64::new(0), AtomicU64::new(0));
        Arc::new(Budget { limit, in_memory, in_files, spill: Box::new(spill) })
    }

    /// All the memory there is, and no files.
    pub fn unlimited() -> Arc<Budget> {
        Budget::new(u64::MAX, || Err(io::ErrorKind::OutOfMemory.into()))
    }

    /// Bytes of memory allowed.
    pub fn limit(&self) -> u64 {
        self.limit
    }

    /// Bytes of memory taken now.
    pub fn in_memory(&self) -> u64 {
        self.in_memory.load(Ordering::Relaxed)
    }

    /// Bytes of all rows so far that went to files.
    pub fn spilled(&self) -> u64 {
        self.in_files.load(Ordering::Relaxed)
    }

    /// Takes `bytes` of memory if there are as many left.
    fn lease(self: &Arc<Budget>, bytes: u64) -> Option<Lease> {
        let add = |used: u64| used.checked_add(bytes).filter(|&sum| sum <= self.limit);
        let taken = self.in_memory.fetch_update(Ordering::Relaxed, Ordering::Relaxed, add);
        taken.ok().map(|_| Lease { budget: Arc::clone(self), bytes })
    }
}

impl fmt::Debug for Budget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Budget").field("limit", &self.limit).field("in_memory", &self.in_memory()).finish()
    }
}

/// Memory taken from a budget; given back when dropped.
#[derive(Debug)]
struct Lease {
    budget: Arc<Budget>,
    bytes: u64,
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.budget.in_memory.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

/// Values of each sample, `[rows, row_len]`. What was never written is zero.
#[derive(Debug)]
pub struct Rows {
    name: String,
    rows: usize,
    row_len: usize,
    place: Place,
}

#[derive(Debug)]
enum Place {
    Memory { values: Vec<f32>, _lease: Lease },
    File(File),
}

/// Rows could not be kept.
#[derive(Debug, thiserror::Error)]
#[error("cannot {doing} {name} ({rows} rows of {row_len} values, {bytes} bytes in all): {source}")]
pub struct RowsError {
    /// What the rows are, such as ``inputs of `layer1.0` ``.
    pub name: String,
    /// What failed: `open a temporary file for`, `write` or `read back`.
    pub doing: &'static str,
    /// Number of rows.
    pub rows: usize,
    /// Values in each.
    pub row_len: usize,
    /// Bytes that all rows take.
    pub bytes: u64,
    /// What the system said.
    pub source: io::Error,
}

impl Rows {
    /// `rows` rows of `row_len` zeros: in memory while the budget lasts, else in a file.
    ///
    /// # Errors
    /// When there is neither memory nor a file for them.
    pub fn new(budget: &Arc<Budget>, rows: usize, row_len: usize) -> Result<Rows, RowsError> {
        let name = "cached rows".to_owned();
        let bytes = (rows as u64).saturating_mul(row_len as u64).saturating_mul(4);
        if let Some(lease) = budget.lease(bytes)
            && let Some(values) = zeros(bytes)
        {
            return Ok(Rows { name, rows, row_len, place: Place::Memory { values, _lease: lease } });
        }
        match (budget.spill)() {
            Ok(file) => {
                budget.in_files.fetch_add(bytes, Ordering::Relaxed);
                Ok(Rows { name, rows, row_len, place: Place::File(file) })
            }
            Err(source) => {
                let doing = "open a temporary file for";
                Err(RowsError { name, doing, rows, row_len, bytes, source })
            }
        }
    }

    /// The same rows under a name for errors, such as ``inputs of `layer1.0` ``.
    #[must_use]
    pub fn named(self, name: impl Into<String>) -> Rows {
        Rows { name: name.into(), ..self }
    }

    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Values in each row.
    pub fn row_len(&self) -> usize {
        self.row_len
    }

    /// Whether the rows lie in a file.
    pub fn is_spilled(&self) -> bool {
        matches!(self.place, Place::File(_))
    }

    /// Writes whole rows, from `first_row` on.
    ///
    /// # Errors
    /// When the file cannot be written, such as on a full disk.
    ///
    /// # Panics
    /// When `values` are not whole rows, or more than there is place for.
    pub fn write(&mut self, first_row: usize, values: &[f32]) -> Result<(), RowsError> {
        let range = self.range(first_row..first_row + values.len() / self.row_len.max(1), values.len());
        let written = match &mut self.place {
            Place::Memory { values: held, .. } => {
                held[range].copy_from_slice(values);
                Ok(())
            }
            Place::File(file) => at::write(file, bytemuck::cast_slice(values), range.start as u64 * 4),
        };
        written.map_err(|source| self.failed("write", source))
    }

    /// Copies consecutive rows.
    ///
    /// # Errors
    /// When the file cannot be read.
    ///
    /// # Panics
    /// When there are not as many rows, or `into` has another length.
    pub fn read(&self, rows: Range<usize>, into: &mut [f32]) -> Result<(), RowsError> {
        let range = self.range(rows, into.len());
        let read = match &self.place {
            Place::Memory { values, .. } => {
                into.copy_from_slice(&values[range]);
                Ok(())
            }
            Place::File(file) => at::read(file, bytemuck::cast_slice_mut(into), range.start as u64 * 4),
        };
        read.map_err(|source| self.failed("read back", source))
    }

    /// Copies rows in the order of `rows`, such as those of a random batch.
    ///
    /// # Errors
    /// When the file cannot be read.
    ///
    /// # Panics
    /// When there is no such row, or `into` has another length.
    pub fn gather(&self, rows: &[usize], into: &mut [f32]) -> Result<(), RowsError> {
        assert_eq!(into.len(), rows.len() * self.row_len, "one row of place for each row of {}", self.name);
        let places = into.chunks_exact_mut(self.row_len.max(1));
        rows.iter().zip(places).try_for_each(|(&row, into)| self.read(row..row + 1, into))
    }

    /// Where rows lie among all values.
    fn range(&self, rows: Range<usize>, len: usize) -> Range<usize> {
        assert!(rows.start <= rows.end && rows.end <= self.rows, "rows {rows:?} of {}", self.rows);
        assert_eq!(rows.len() * self.row_len, len, "whole rows of {}", self.name);
        rows.start * self.row_len..rows.end * self.row_len
    }

    fn failed(&self, doing: &'static str, source: io::Error) -> RowsError {
        let bytes = (self.rows as u64).saturating_mul(self.row_len as u64).saturating_mul(4);
        RowsError { name: self.name.clone(), doing, rows: self.rows, row_len: self.row_len, bytes, source }
    }
}

/// Zeros, if the system has the memory.
fn zeros(bytes: u64) -> Option<Vec<f32>> {
    let len = usize::try_from(bytes / 4).ok()?;
    let mut values = Vec::new();
    values.try_reserve_exact(len).ok()?;
    values.resize(len, 0.0);
    Some(values)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicUsize;

    /// A budget of so many bytes that spills to unnamed files.
    fn budget(bytes: u64) -> Arc<Budget> {
        Budget::new(bytes, tempfile::tempfile)
    }

    /// Every bit pattern has its turn, numbers or not.
    fn pattern(seed: u32, len: usize) -> Vec<f32> {
        (0..len as u32).map(|i| f32::from_bits((i + seed).wrapping_mul(0x9E37_79B9))).collect()
    }

    fn bits(values: &[f32]) -> Vec<u32> {
        values.iter().map(|v| v.to_bits()).collect()
    }

    #[test]
    fn rows_have_the_same_bits_in_memory_and_in_a_file() {
        let all = [budget(u64::MAX), budget(0)].map(|budget| {
            let mut rows = Rows::new(&budget, 50, 7).unwrap();
            rows.write(30, &pattern(1, 10 * 7)).unwrap();
            rows.write(3, &pattern(2, 20 * 7)).unwrap();
            rows.write(4, &pattern(3, 7)).unwrap();
            rows.write(50, &[]).unwrap();
            let mut whole = vec![1.0; 50 * 7];
            rows.read(0..50, &mut whole).unwrap();
            let mut few = vec![1.0; 5 * 7];
            rows.gather(&[39, 4, 4, 0, 49], &mut few).unwrap();
            assert_eq!(bits(&few[7..14]), bits(&pattern(3, 7)));
            (rows.is_spilled(), bits(&whole), bits(&few))
        });
        assert_eq!([all[0].0, all[1].0], [false, true]);
        assert_eq!(all[0].1, all[1].1);
        assert_eq!(all[0].2, all[1].2);
        // Rows 0 to 2 and 40 on were never written.
        assert!(all[1].1[..3 * 7].iter().chain(&all[1].1[40 * 7..]).all(|&bits| bits == 0));
    }

    #[test]
    fn rows_share_the_budget_and_give_it_back() {
        let budget = budget(100);
        let first = Rows::new(&budget, 5, 4).unwrap();
        let second = Rows::new(&budget, 2, 3).unwrap();
        assert_eq!([first.is_spilled(), second.is_spilled()], [false, true]);
        assert_eq!([budget.in_memory(), budget.spilled()], [80, 24]);
        drop(first);
        assert_eq!(budget.in_memory(), 0);
        assert!(!Rows::new(&budget, 25, 1).unwrap().is_spilled());
        assert_eq!(budget.in_memory(), 0);
    }

    #[test]
    fn several_threads_read_one_file() {
        let mut rows = Rows::new(&budget(0), 64, 3).unwrap();
        let values = pattern(5, 64 * 3);
        rows.write(0, &values).unwrap();
        let wrong = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for thread in 0..4 {
                let (rows, values, wrong) = (&rows, &values, &wrong);
                scope.spawn(move || {
                    for row in (0..64).map(|i| (i * 7 + thread) % 64) {
                        let mut found = [0.0; 3];
                        rows.gather(&[row], &mut found).unwrap();
                        let same = bits(&found) == bits(&values[row * 3..row * 3 + 3]);
                        wrong.fetch_add(usize::from(!same), Ordering::Relaxed);
                    }
                });
            }
        });
        assert_eq!(wrong.into_inner(), 0);
    }

    #[test]
    fn more_than_memory_and_no_file_is_refused_by_size() {
        for (rows, row_len) in [(usize::MAX, usize::MAX), (1 << 40, 1 << 20)] {
            let error = Rows::new(&Budget::unlimited(), rows, row_len).unwrap_err();
            assert!(error.to_string().contains(&format!("{rows} rows of {row_len} values")), "{error}");
            assert_eq!(error.source.kind(), io::ErrorKind::OutOfMemory);
        }
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_full_disk_is_an_error_that_names_the_rows() {
        let full = || File::options().read(true).write(true).open("/dev/full");
        let mut rows = Rows::new(&Budget::new(0, full), 2, 8).unwrap().named("inputs of `layer1.0`");
        let error = rows.write(0, &[1.0; 8]).unwrap_err();
        assert_eq!(error.source.kind(), io::ErrorKind::StorageFull);
        let said = error.to_string();
        let expected = "cannot write inputs of `layer1.0` (2 rows of 8 values, 64 bytes in all): No space left on device";
        assert!(said.starts_with(expected), "{said}");
    }
}
