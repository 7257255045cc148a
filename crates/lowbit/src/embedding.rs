//! Embedding tables: jobs, and what is known of them afterwards. The verbs are in [`crate::facade`].

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

pub use lowbit_embed::Source;
pub use lowbit_embed::files::{Hint, Packed};
pub use lowbit_embed::methods::{ALL as METHODS, Search};
pub use lowbit_embed::{EmbedError, Method, NonFinite, Order, RowLoss, Summary};
use serde::Serialize;

use crate::ModelSource;

/// A table of floats.
#[derive(Clone)]
pub enum TableSource {
    /// `.npy`, `.safetensors`, or an ONNX network that gathers rows of a table.
    File(PathBuf),
    /// An ONNX network that gathers rows of a table.
    Network(ModelSource),
    /// Rows of the caller's, and what messages call them.
    Rows(String, Arc<dyn Source + Send + Sync>),
}

impl From<&PathBuf> for TableSource {
    fn from(path: &PathBuf) -> TableSource {
        TableSource::File(path.clone())
    }
}

/// As messages call it.
impl fmt::Display for TableSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TableSource::File(path) => path.display().fmt(f),
            TableSource::Network(model) => model.fmt(f),
            TableSource::Rows(name, _) => f.write_str(name),
        }
    }
}

impl fmt::Debug for TableSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TableSource({self})")
    }
}

/// A table to quantize, and how.
#[derive(Clone, Debug)]
pub struct EmbedJob {
    /// The table, or a network that gathers rows of it.
    pub table: TableSource,
    /// Name of the tensor, where the file has several.
    pub tensor: Option<String>,
    /// Width of the codes: 8, 4 or 2.
    pub bits: u32,
    /// How rows are quantized.
    pub method: Method,
    /// Which search, where the method is greedy.
    pub search: Search,
    /// Where scale and bias go.
    pub order: Order,
    /// Clusters of `kmeans-cls`; `None` for as many as make the size of fused rows, at most 1024.
    pub clusters: Option<usize>,
    /// How often each row is read: a `.npy` file, or a column.
    pub counts: Option<TableSource>,
    /// What becomes of rows with NaN or infinities.
    pub non_finite: NonFinite,
    /// Methods to compare with, on so many rows.
    pub compare: Vec<Method>,
    /// Rows that methods are compared on, evenly spread.
    pub compare_rows: u64,
    /// Worker threads; `None` for one per core.
    pub threads: Option<usize>,
}

/// What quantizing a table cost.
#[derive(Clone, Debug, Serialize)]
pub struct EmbedReport {
    /// The file, and the tensor in it.
    pub table: String,
    /// Rows of the table.
    pub rows: u64,
    /// Values of a row.
    pub columns: usize,
    /// Method, and the search where there are several.
    pub method: String,
    /// Width of the codes.
    pub bits: u32,
    /// Form of the rows.
    pub format: &'static str,
    /// Bytes of a packed row.
    pub row_bytes: usize,
    /// Bytes of the table in float32.
    pub float_bytes: u64,
    /// Bytes of the packed table, with what is beside its rows.
    pub packed_bytes: u64,
    /// Normalised L2 loss of the whole table: `‖X − X'‖ / ‖X‖`.
    pub loss: f64,
    /// The same with each row as often as it is read.
    pub weighted_loss: Option<f64>,
    /// Losses that shares of the rows stay below.
    pub quantiles: Vec<Quantile>,
    /// Rows by loss: `(below, rows)`; the last bin has no upper end (`null` in JSON).
    pub distribution: Vec<(f64, u64)>,
    /// The worst rows, the worst first.
    pub worst: Vec<RowLoss>,
    /// Rows that held NaN, infinities or values beyond half precision and were changed.
    pub mended_rows: u64,
    /// Rows whose values are all the same.
    pub constant_rows: u64,
    /// Other methods at the same width, on `compared_rows` rows.
    pub compared: Vec<Compared>,
    /// Rows that methods were compared on.
    pub compared_rows: u64,
    /// Wall time of reading, quantizing, comparing and writing.
    pub seconds: f64,
    /// Threads.
    pub threads: usize,
    /// Instruction set.
    pub isa: &'static str,
    /// What else is to be known.
    pub notes: Vec<String>,
}

/// A share of the rows and the loss that they stay below.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Quantile {
    /// Of all rows.
    pub share: f64,
    /// To a twelfth of its value.
    pub loss: f64,
}

/// A method on some rows.
#[derive(Clone, Debug, Serialize)]
pub struct Compared {
    /// Which, and which search.
    pub method: String,
    /// Normalised L2 loss over these rows.
    pub loss: f64,
    /// Bytes of a row (without what clusters need beside).
    pub row_bytes: usize,
    /// Rows per second.
    pub rows_per_second: f64,
}

/// How fast a table is quantized and looked up.
#[derive(Clone, Debug, Serialize)]
pub struct EmbedBench {
    /// Rows of the table.
    pub rows: u64,
    /// Values of a row.
    pub columns: usize,
    /// Form of the rows that are looked up.
    pub format: &'static str,
    /// Width of their codes.
    pub bits: u32,
    /// Instruction set.
    pub isa: &'static str,
    /// Rows per bag.
    pub pooling: usize,
    /// Bags per call.
    pub bags: usize,
    /// Quantizing in memory, where the table is one of floats.
    pub quantized: Vec<Speed>,
    /// Look-ups.
    pub lookups: Vec<Speed>,
}

/// Something timed: the best of several runs.
#[derive(Clone, Debug, Serialize)]
pub struct Speed {
    /// What.
    pub what: String,
    /// Threads.
    pub threads: usize,
    /// Rows per second.
    pub rows_per_second: f64,
    /// Bytes of packed rows per second.
    pub bytes_per_second: f64,
    /// Of the rate at which memory gives these rows in this order, in percent.
    pub of_memory_percent: Option<f64>,
}
