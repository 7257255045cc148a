//! Embedding tables in 8, 4 and 2 bits, row by row (Guan et al. 2019, arXiv:1911.02079).
//!
//! A table `[rows, columns]` of floats becomes rows of bytes: codes, and what they stand for. A [`Quantizer`] makes rows of
//! one [`Format`] by one of the [`methods`]; [`quantize`](run::quantize) streams a table through it, block by block, from a
//! [`Source`] into a file; a [`PackedTable`] is looked up without being decoded. Tables of any size take the memory of some
//! blocks. Results are the same bytes for any instruction set and number of threads.

pub mod cluster;
mod error;
pub mod files;
mod format;
pub mod lookup;
pub mod methods;
mod numbers;
mod quantizer;
pub mod run;
mod summary;

pub use error::EmbedError;
pub use files::{MemoryRows, Packed, Source};
pub use format::{Format, Order};
pub use lookup::{Bags, PackedTable, Pooling};
pub use lowbit_kernels::Isa;
pub use methods::Method;
pub use quantizer::{NonFinite, Quantizer};
pub use summary::{RowLoss, Summary};
