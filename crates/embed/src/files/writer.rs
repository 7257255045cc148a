//! Packed rows into a file, block by block in any order.
//!
//! `.npy` holds the rows alone, `[rows, row bytes]` of uint8, which is what PyTorch and FBGEMM take. `.safetensors` says beside
//! them what they are: texts `lowbit.format`, `lowbit.bits`, `lowbit.columns` and what the caller adds; tensor `rows`, and for
//! clusters `clusters` (uint8, 16 or 32: the codebook of each row) and `codebooks` (`[clusters, 2^bits]` of float16).

use std::fs::File;
use std::path::{Path, PathBuf};

use super::raw::write_at;
use super::{npy, safetensors};
use crate::cluster::Clusters;
use crate::{EmbedError, Format};

/// A file being filled. Its header is written at once, rows when they come.
#[derive(Debug)]
pub struct Writer {
    file: File,
    path: PathBuf,
    format: Option<Format>,
    row_bytes: usize,
    start: u64,
    /// Where clusters of rows go, and their width in bytes.
    clusters: Option<(u64, usize)>,
}

impl Writer {
    /// Rows alone. `path` is for messages.
    ///
    /// # Errors
    /// The form needs more than rows, or the file cannot be written.
    pub fn npy(file: File, path: &Path, format: Format, rows: u64) -> Result<Writer, EmbedError> {
        if matches!(format, Format::Clusters { .. }) {
            let problem = "rows with clusters need their codebooks beside them: write .safetensors";
            return Err(EmbedError::file(path, problem));
        }
        let header = npy::header_bytes("|u1", rows, format.row_bytes());
        Writer::begin(file, path, Some(format), format.row_bytes(), &header, None)
    }

    /// Decoded rows: float32.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn npy_floats(file: File, path: &Path, rows: u64, columns: usize) -> Result<Writer, EmbedError> {
        Writer::begin(file, path, None, 4 * columns, &npy::header_bytes("<f4", rows, columns), None)
    }

    /// Decoded rows: float32, as tensor `table`.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn safetensors_floats(
        file: File,
        path: &Path,
        rows: u64,
        columns: usize,
    ) -> Result<Writer, EmbedError> {
        let tensor = ("table", "F32", vec![rows, columns as u64], rows * 4 * columns as u64);
        Writer::begin(file, path, None, 4 * columns, &safetensors::header_bytes(&[], &[tensor]), None)
    }

    /// Rows and what they are; `texts` are added.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn safetensors(
        file: File,
        path: &Path,
        format: Format,
        rows: u64,
        texts: &[(String, String)],
        clusters: Option<&Clusters>,
    ) -> Result<Writer, EmbedError> {
        let mut all = vec![
            ("lowbit.format".to_owned(), format.name().to_owned()),
            ("lowbit.bits".to_owned(), format.bits().to_string()),
            ("lowbit.columns".to_owned(), format.columns().to_string()),
        ];
        all.extend_from_slice(texts);
        let bytes = format.row_bytes() as u64;
        let mut tensors = vec![("rows", "U8", vec![rows, bytes], rows * bytes)];
        let mut width = 0;
        if let Some(known) = clusters {
            width = known.id_bytes();
            let dtype = ["U8", "U16", "U32"][width / 2];
            tensors.push(("clusters", dtype, vec![rows], rows * width as u64));
            let values = 1 << format.bits();
            tensors.push((
                "codebooks",
                "F16",
                vec![known.len() as u64, values],
                known.len() as u64 * values * 2,
            ));
        }
        let header = safetensors::header_bytes(&all, &tensors);
        let ids = header.len() as u64 + rows * bytes;
        let place = clusters.map(|_| (ids, width));
        let writer = Writer::begin(file, path, Some(format), format.row_bytes(), &header, place)?;
        if let Some(known) = clusters {
            writer.write(ids + rows * width as u64, &known.book_bytes())?;
        }
        Ok(writer)
    }

    fn begin(
        file: File,
        path: &Path,
        format: Option<Format>,
        row_bytes: usize,
        header: &[u8],
        clusters: Option<(u64, usize)>,
    ) -> Result<Writer, EmbedError> {
        let writer =
            Writer { file, path: path.to_owned(), format, row_bytes, start: header.len() as u64, clusters };
        writer.write(0, header)?;
        Ok(writer)
    }

    fn write(&self, at: u64, bytes: &[u8]) -> Result<(), EmbedError> {
        write_at(&self.file, at, bytes).map_err(|e| EmbedError::io(&self.path, e))
    }

    /// Writes rows (their bytes, and their clusters where the form has some) from row `first` on.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn rows(&self, first: u64, bytes: &[u8], clusters: &[u32]) -> Result<(), EmbedError> {
        self.write(self.start + first * self.row_bytes as u64, bytes)?;
        if let Some((start, width)) = self.clusters {
            let ids: Vec<u8> =
                clusters.iter().flat_map(|id| id.to_le_bytes().into_iter().take(width)).collect();
            self.write(start + first * width as u64, &ids)?;
        }
        Ok(())
    }

    /// Form of the rows; `None` for floats.
    pub fn format(&self) -> Option<Format> {
        self.format
    }

    /// Makes sure that everything is on the disk.
    ///
    /// # Errors
    /// It is not.
    pub fn finish(&self) -> Result<(), EmbedError> {
        self.file.sync_all().map_err(|e| EmbedError::io(&self.path, e))
    }
}
