//! Bytes of a file by position, and numbers of several types as f32.

use std::fs::File;
use std::path::{Path, PathBuf};

use super::Source;
use crate::EmbedError;

/// An open file of known length.
#[derive(Debug)]
pub(super) struct Bytes {
    pub(super) path: PathBuf,
    file: File,
    pub(super) len: u64,
}

impl Bytes {
    pub(super) fn open(path: &Path) -> Result<Bytes, EmbedError> {
        let file = File::open(path).map_err(|e| EmbedError::io(path, e))?;
        let len = file.metadata().map_err(|e| EmbedError::io(path, e))?.len();
        Ok(Bytes { path: path.to_owned(), file, len })
    }

    /// Fills `out` from byte `at` on.
    pub(super) fn read(&self, at: u64, out: &mut [u8]) -> Result<(), EmbedError> {
        read_at(&self.file, at, out).map_err(|e| EmbedError::io(&self.path, e))
    }

    pub(super) fn refuse(&self, problem: impl Into<String>) -> EmbedError {
        EmbedError::file(&self.path, problem)
    }

    /// Refuses a file that ends before `end`.
    pub(super) fn check_end(&self, end: u64, what: &str) -> Result<(), EmbedError> {
        if end <= self.len {
            return Ok(());
        }
        Err(self.refuse(format!("truncated: {what} ends at byte {end}, the file at {}", self.len)))
    }
}

#[cfg(unix)]
fn read_at(file: &File, at: u64, out: &mut [u8]) -> std::io::Result<()> {
    std::os::unix::fs::FileExt::read_exact_at(file, out, at)
}

#[cfg(windows)]
fn read_at(file: &File, mut at: u64, mut out: &mut [u8]) -> std::io::Result<()> {
    while !out.is_empty() {
        match std::os::windows::fs::FileExt::seek_read(file, out, at)? {
            0 => return Err(std::io::ErrorKind::UnexpectedEof.into()),
            n => (at, out) = (at + n as u64, &mut out[n..]),
        }
    }
    Ok(())
}

#[cfg(unix)]
pub(super) fn write_at(file: &File, at: u64, bytes: &[u8]) -> std::io::Result<()> {
    std::os::unix::fs::FileExt::write_all_at(file, bytes, at)
}

#[cfg(windows)]
pub(super) fn write_at(file: &File, mut at: u64, mut bytes: &[u8]) -> std::io::Result<()> {
    while !bytes.is_empty() {
        let n = std::os::windows::fs::FileExt::seek_write(file, bytes, at)?;
        (at, bytes) = (at + n as u64, &bytes[n..]);
    }
    Ok(())
}

/// Types of numbers that are read, little-endian.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Number {
    F32,
    F16,
    BF16,
    F64,
    /// Of this many bytes, signed or not: counts only.
    Integer(usize, bool),
}

impl Number {
    pub(super) fn bytes(self) -> usize {
        match self {
            Number::F32 => 4,
            Number::F16 | Number::BF16 => 2,
            Number::F64 => 8,
            Number::Integer(bytes, _) => bytes,
        }
    }

    fn value(self, b: &[u8]) -> f32 {
        match self {
            Number::F32 => f32::from_le_bytes([b[0], b[1], b[2], b[3]]),
            Number::F16 => lowbit_kernels::embedding::reference::half_value(u16::from_le_bytes([b[0], b[1]])),
            Number::BF16 => f32::from_bits(u32::from(u16::from_le_bytes([b[0], b[1]])) << 16),
            Number::F64 => f64::from_le_bytes([b[0], b[1], b[2], b[3], b[4], b[5], b[6], b[7]]) as f32,
            Number::Integer(_, signed) => {
                let negative = signed && b.last().is_some_and(|&top| top >= 0x80);
                let mut wide = [if negative { 0xff } else { 0 }; 8];
                wide[..b.len()].copy_from_slice(b);
                if signed { i64::from_le_bytes(wide) as f32 } else { u64::from_le_bytes(wide) as f32 }
            }
        }
    }
}

/// Rows of numbers in a file, one after the other.
#[derive(Debug)]
pub struct FileRows {
    bytes: Bytes,
    start: u64,
    number: Number,
    rows: u64,
    columns: usize,
}

impl FileRows {
    /// Checked: there are rows, columns, and as many bytes as they need.
    pub(super) fn new(
        bytes: Bytes,
        start: u64,
        number: Number,
        shape: [u64; 2],
    ) -> Result<FileRows, EmbedError> {
        let [rows, columns] = shape;
        if rows == 0 || columns == 0 {
            return Err(bytes.refuse(format!("a table of {rows} rows and {columns} columns")));
        }
        let end = rows
            .checked_mul(columns)
            .and_then(|n| n.checked_mul(number.bytes() as u64))
            .and_then(|n| n.checked_add(start))
            .filter(|_| columns <= 1 << 24)
            .ok_or_else(|| {
                bytes.refuse(format!("{rows} rows of {columns} columns are more than any file holds"))
            })?;
        bytes.check_end(end, &format!("the table of {rows} rows and {columns} columns"))?;
        Ok(FileRows { bytes, start, number, rows, columns: columns as usize })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.bytes.path
    }

    /// Bytes of its numbers.
    pub fn data_bytes(&self) -> u64 {
        self.rows * (self.columns * self.number.bytes()) as u64
    }
}

impl Source for FileRows {
    fn rows(&self) -> u64 {
        self.rows
    }
    fn columns(&self) -> usize {
        self.columns
    }
    fn read(&self, first: u64, out: &mut [f32]) -> Result<(), EmbedError> {
        let width = self.number.bytes();
        let at = self.start + first * (self.columns * width) as u64;
        if self.number == Number::F32 && cfg!(target_endian = "little") {
            return self.bytes.read(at, bytemuck::cast_slice_mut(out));
        }
        let mut bytes = vec![0; out.len() * width];
        self.bytes.read(at, &mut bytes)?;
        for (to, bytes) in out.iter_mut().zip(bytes.chunks_exact(width)) {
            *to = self.number.value(bytes);
        }
        Ok(())
    }
}
