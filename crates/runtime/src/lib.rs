//! Runs quantized networks in integers: what a product embeds.
//!
//! A [`Session`] takes an ONNX file with quantized edges and weights (ours, or any with Q/DQ pairs), lowers it once to
//! steps on 8-bit codes ([`lower()`]), plans its memory, and runs batches of any size. Sums are exact in 32 bits, and
//! what leaves a sum is rounded by one rule ([`lowbit_kernels::integer::Requantize`]): every instruction set and every number of
//! threads gives the same bytes.
//!
//! What has no integer form stays float and runs on the float engine between two conversions; [`Lowered::left`] says
//! which nodes, and why.
//!
//! ```no_run
//! let session = lowbit_runtime::Session::open("small.onnx".as_ref())?;
//! let scores = session.run(&[0.0; 3 * 32 * 32])?;
//! # Ok::<(), lowbit_runtime::RuntimeError>(())
//! ```

mod error;
mod exact;
mod grid;
mod lower;
mod memory;
mod ops;
mod program;
mod session;
mod share;
mod weights;

pub use error::RuntimeError;
pub use grid::Grid;
pub use lower::{Left, Lowered, lower};
pub use program::{Buffer, Content, StepSummary};
pub use session::{Options, Output, Profile, Session};
