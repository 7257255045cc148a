//! Samples for calibration and evaluation: recognised, decoded in parallel, streamed in batches.
//!
//! ```no_run
//! # fn main() -> Result<(), lowbit_data::DataError> {
//! use lowbit_data::{Dataset, Options, Preprocess};
//!
//! let data = Dataset::open("cifar10-test.tar.gz".as_ref())?;
//! let options =
//!     Options { preprocess: Preprocess::preset("cifar10")?, limit: Some(512), ..Options::default() };
//! for batch in data.batches(&options, 64)? {
//!     let batch = batch?;
//!     println!("{:?}, labels {:?}", batch.shape, batch.labels);
//! }
//! # Ok(())
//! # }
//! ```
//!
//! A [`Dataset`] is an index: where each sample lies, its label, its name. It holds no pixels, so memory is a few dozen
//! bytes per image of a folder or archive (name, offset, label), four bytes per label of an array, and
//! nothing else that grows with the number of samples. [`Dataset::batches`] then walks storage once, front to
//! back, which is what lets a compressed archive be read as a stream: one thread reads, workers decode, and
//! batches come out in storage order. Order and content do not depend on the number of threads.
//!
//! Sources, told apart by content rather than by extension:
//!
//! | source | samples | labels |
//! |---|---|---|
//! | folder of JPEG/PNG, flat or one sub-folder per class | images | index of the class folder in alphabetical order |
//! | `.tar`, `.tar.gz` of such a folder | images | same |
//! | `.npy`, `.npz` (`x`, optional `y`) | `[N, ...]` of any number type | `y`: integers `[N]` |
//! | CIFAR-10/100 binary, file or folder | 32×32 RGB | in the record (CIFAR-100: the fine one) |
//! | IDX (MNIST), also gzipped | `[N, ...]` bytes | the labels file beside it |
//!
//! What lies in memory already ([`Dataset::in_memory`]) counts as the `.npy` file of it would.
//!
//! Arrays of bytes are images; arrays of other numbers are taken as they are, shape and values, unless the
//! [`Preprocess`] asks for something.
//!
//! Everything read is untrusted: sizes are checked against what the file can hold and against fixed limits
//! before memory is asked for, and every refusal names the file, the entry, what was found and what was expected.

mod batches;
mod dataset;
mod decode;
mod error;
mod memory;
mod preprocess;
mod reader;
mod record;
mod select;
mod source;
mod stream;
mod transform;
mod worker;

pub use batches::{Batch, Batches};
pub use dataset::{Dataset, Options};
pub use error::{DataError, Fault};
pub use memory::{Bytes, Spool};
pub use preprocess::{Color, Filter, Layout, Preprocess, PreprocessError, Resize};

/// Largest image decoded, in pixels, checked before any memory is asked for: above every camera, below a bomb.
pub const MAX_PIXELS: usize = 1 << 26;

/// Largest encoded image or raw array sample read, in bytes.
pub const MAX_SAMPLE_BYTES: u64 = 1 << 28;
