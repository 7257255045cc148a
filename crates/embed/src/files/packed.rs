//! Packed tables read back: rows decoded on the way, or as they are.

use std::collections::BTreeMap;
use std::path::Path;

use lowbit_kernels::embedding::reference;

use super::raw::Bytes;
use super::{Source, npy, safetensors};
use crate::cluster::Clusters;
use crate::{EmbedError, Format, Order};

/// What the rows of a `.npy` file are, which it does not say.
#[derive(Clone, Copy, Debug)]
pub struct Hint {
    /// Width of the codes.
    pub bits: u32,
    /// Where scale and bias are.
    pub order: Order,
    /// Whether rows have codebooks instead.
    pub codebook: bool,
}

/// A packed table in a file.
#[derive(Debug)]
pub struct Packed {
    bytes: Bytes,
    start: u64,
    rows: u64,
    format: Format,
    /// Place and width of clusters of rows.
    ids: Option<(u64, usize)>,
    clusters: Option<Clusters>,
    texts: BTreeMap<String, String>,
}

impl Packed {
    /// Opens a table; `hint` is needed for `.npy` only.
    ///
    /// # Errors
    /// The file is no packed table, is cut short, or its parts do not fit together.
    pub fn open(path: &Path, hint: Option<Hint>) -> Result<Packed, EmbedError> {
        let bytes = Bytes::open(path)?;
        if npy::is_npy(&bytes)? {
            let hint =
                hint.ok_or_else(|| bytes.refuse("a .npy file does not say what its rows are: say --bits"))?;
            return Packed::from_npy(bytes, hint);
        }
        let header = safetensors::header(&bytes)?;
        let text = |name: &str| {
            let found = header.texts.get(name);
            found.ok_or_else(|| bytes.refuse(format!("no text `{name}`: not a packed table of ours")))
        };
        let number = |name: &str| {
            let found = text(name)?;
            found.parse::<u32>().map_err(|_| bytes.refuse(format!("`{name}` is `{found}`, not a number")))
        };
        let (bits, columns) = (number("lowbit.bits")?, number("lowbit.columns")? as usize);
        let within = |error: EmbedError| bytes.refuse(error.to_string());
        let format = Format::named(text("lowbit.format")?, columns, bits).map_err(within)?;
        let tensor = |name: &str, shape: &[u64], types: &[&str]| {
            let found =
                header.tensors.get(name).ok_or_else(|| bytes.refuse(format!("no tensor `{name}`")))?;
            let width = match found.dtype.as_str() {
                "U8" => 1,
                "U16" | "F16" => 2,
                _ => 4,
            };
            let fits = found.shape.len() == shape.len()
                && found.shape.iter().zip(shape).all(|(found, want)| *want == u64::MAX || found == want)
                && found.shape.iter().try_fold(width, |n: u64, &d| n.checked_mul(d)) == Some(found.len);
            if fits && types.contains(&found.dtype.as_str()) {
                return Ok((found.start, found.shape[0], width as usize));
            }
            Err(bytes.refuse(format!("tensor `{name}` is {} of shape {:?}", found.dtype, found.shape)))
        };
        let (start, rows, _) = tensor("rows", &[u64::MAX, format.row_bytes() as u64], &["U8"])?;
        if rows == 0 {
            return Err(bytes.refuse("a table without rows"));
        }
        let (mut ids, mut clusters) = (None, None);
        if matches!(format, Format::Clusters { .. }) {
            let (at, _, width) = tensor("clusters", &[rows], &["U8", "U16", "U32"])?;
            ids = Some((at, width));
            let (at, count, _) = tensor("codebooks", &[u64::MAX, 1 << bits], &["F16"])?;
            let mut books = vec![0; (count << bits) as usize * 2];
            bytes.read(at, &mut books)?;
            clusters = Some(Clusters::from_books(format, &books));
        }
        let texts = header.texts;
        Ok(Packed { bytes, start, rows, format, ids, clusters, texts })
    }

    fn from_npy(bytes: Bytes, hint: Hint) -> Result<Packed, EmbedError> {
        let (descr, shape, start) = npy::header(&bytes)?;
        let ("u1", &[rows, stride]) = (descr.as_str(), &shape[..]) else {
            return Err(
                bytes.refuse(format!("'{descr}' of shape {shape:?}; packed rows are uint8 of two axes"))
            );
        };
        if rows == 0 {
            return Err(bytes.refuse("a table without rows"));
        }
        let stride = usize::try_from(stride).unwrap_or(usize::MAX);
        let bits = hint.bits;
        if !matches!(bits, 2 | 4 | 8) {
            return Err(EmbedError::Options(format!("codes of {bits} bits; there are 8, 4 and 2")));
        }
        let beside = match (hint.codebook, bits, hint.order) {
            (true, _, _) => 2 << bits,
            (false, 8, Order::Last) => 8,
            _ => 4,
        };
        let columns = stride.saturating_sub(beside).saturating_mul(8 / bits as usize);
        let format = if hint.codebook {
            Format::codebook(columns, bits, false)
        } else {
            Format::fused(columns, bits, hint.order)
        };
        let format =
            format.map_err(|_| bytes.refuse(format!("rows of {stride} bytes are no {bits}-bit rows")))?;
        let end = rows.checked_mul(stride as u64).and_then(|n| n.checked_add(start)).unwrap_or(u64::MAX);
        bytes.check_end(end, &format!("the table of {rows} rows of {stride} bytes"))?;
        Ok(Packed { bytes, start, rows, format, ids: None, clusters: None, texts: BTreeMap::new() })
    }

    /// Form of its rows.
    pub fn format(&self) -> Format {
        self.format
    }

    /// What the file says of itself.
    pub fn texts(&self) -> &BTreeMap<String, String> {
        &self.texts
    }

    /// Codebooks, where the form has some.
    pub fn clusters(&self) -> Option<&Clusters> {
        self.clusters.as_ref()
    }

    /// Bytes of rows, of their clusters, and of codebooks.
    pub fn data_bytes(&self) -> u64 {
        let ids = self.ids.map_or(0, |(_, width)| width as u64);
        let books = self.clusters.as_ref().map_or(0, |known| known.len() << (self.format.bits() + 1));
        self.rows * (self.format.row_bytes() as u64 + ids) + books as u64
    }

    /// Packed rows from row `first` on, as many as fit `out`.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn read_packed(&self, first: u64, out: &mut [u8]) -> Result<(), EmbedError> {
        self.bytes.read(self.start + first * self.format.row_bytes() as u64, out)
    }

    /// Clusters of rows from row `first` on; nothing where the form has none.
    ///
    /// # Errors
    /// The file cannot be read, or names a cluster that it does not have.
    pub fn read_clusters(&self, first: u64, rows: usize) -> Result<Vec<u32>, EmbedError> {
        let (Some((start, width)), Some(known)) = (self.ids, &self.clusters) else { return Ok(Vec::new()) };
        let mut bytes = vec![0; rows * width];
        self.bytes.read(start + first * width as u64, &mut bytes)?;
        let id = |(nth, b): (usize, &[u8])| {
            let mut wide = [0; 4];
            wide[..width].copy_from_slice(b);
            let id = u32::from_le_bytes(wide);
            if (id as usize) < known.len() {
                return Ok(id);
            }
            let row = first + nth as u64;
            Err(EmbedError::Row { row, problem: format!("cluster {id} of {}", known.len()) })
        };
        bytes.chunks_exact(width).enumerate().map(id).collect()
    }
}

impl Source for Packed {
    fn rows(&self) -> u64 {
        self.rows
    }
    fn columns(&self) -> usize {
        self.format.columns()
    }
    fn read(&self, first: u64, out: &mut [f32]) -> Result<(), EmbedError> {
        let (columns, stride) = (self.format.columns(), self.format.row_bytes());
        let rows = out.len() / columns;
        let mut bytes = vec![0; rows * stride];
        self.read_packed(first, &mut bytes)?;
        let ids = self.read_clusters(first, rows)?;
        for (nth, (row, out)) in bytes.chunks_exact(stride).zip(out.chunks_exact_mut(columns)).enumerate() {
            let book = self.clusters.as_ref().map(|known| known.book(ids[nth] as usize));
            decode(self.format, row, book, out);
        }
        Ok(())
    }
}

/// The values of a packed row; `book` is that of its cluster, where the form has clusters.
pub(crate) fn decode(format: Format, row: &[u8], book: Option<&[f32]>, out: &mut [f32]) {
    if let Some(layout) = format.layout() {
        return reference::decode(&layout, row, out);
    }
    let bits = format.bits() as usize;
    let mut own = [0f32; 16];
    let values = book.unwrap_or_else(|| {
        let stored = row[format.code_bytes()..].chunks_exact(2);
        own.iter_mut()
            .zip(stored)
            .for_each(|(to, b)| *to = reference::half_value(u16::from_le_bytes([b[0], b[1]])));
        &own
    });
    let (per_byte, mask) = (8 / bits, (1u8 << bits) - 1);
    for (i, to) in out.iter_mut().enumerate() {
        *to = values[usize::from(row[i / per_byte] >> (i % per_byte * bits) & mask)];
    }
}
