//! ONNX bytes to [`Graph`](lowbit_graph::Graph) and back: the only place that knows protobuf and opset numbers.
//!
//! Reading accepts opsets 7 to 25 and brings every node into the one canonical form that the graph knows
//! ([`read_file`]); writing picks the oldest opset that allows what the graph holds ([`write_bytes`]). Files are
//! untrusted: whatever the bytes, the answer is a graph or an error that names the place. Shapes written beside the
//! values of a file are not believed; only those of its inputs and outputs are kept.

mod attributes;
mod error;
mod finite;
mod interface;
mod names;
mod opset;
mod proto;
mod read;
mod tensor;
#[cfg(test)]
mod testing;
mod upgrade;
mod windows;
mod write;

pub use error::{ReadError, ReadProblem, UnsupportedNode};
pub use finite::check_finite;
pub use read::{ReadOptions, read_bytes, read_bytes_with, read_file, read_file_with};
pub use tensor::TensorProblem;
pub use write::{WriteError, WriteOptions, write_bytes};
