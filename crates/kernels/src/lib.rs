//! CPU kernels with run-time dispatch: the arithmetic under the float engine, forward and backward, and nothing else.
//!
//! Tensors are plain slices with explicit dimensions, NHWC (channels last). Kernels know no graph, start no
//! thread, and allocate nothing while running: weights are packed once, scratch is handed in. Threads belong
//! one level up, over images; what a kernel computes for one image does not depend on how many images it was
//! given with.
//!
//! Every family has a `reference` twin of plain loops which defines the answer. The fast bodies are written
//! once over a small vector trait and compiled per instruction set; an [`Isa`] value is the proof
//! that this CPU runs it. This is the only crate with `unsafe`.
//!
//! Slices of the wrong length are a mistake of the calling code and panic; anything that comes from a model (a shape,
//! an instruction set asked for by name) is checked and refused with a typed error.

pub mod adam;
pub mod batch_norm;
mod buffer;
pub mod columns;
pub mod conv2d;
pub mod elementwise;
pub mod embedding;
mod epilogue;
mod error;
pub mod fake_quant;
pub mod gemm;
pub mod integer;
mod isa;
pub mod layout;
pub mod linear;
pub mod loss;
mod math;
pub mod pool;
pub mod rounding;
pub mod sgd;
mod simd;
pub mod softmax;
pub mod staircase;
pub mod statistics;
#[cfg(test)]
mod testing;

pub use adam::Adam;
pub use buffer::{Aligned, AlignedBytes, AlignedVec, large_zeroed};
pub use conv2d::{Conv2d, Conv2dGradient, PackedConv2d};
pub use elementwise::{Binary, Kept, Unary};
pub use epilogue::Epilogue;
pub use error::{Expected, ShapeError};
pub use fake_quant::FakeQuant;
pub use isa::{ISA_VARIABLE, Isa, IsaError};
pub use linear::{LinearGradient, PackedLinear};
pub use pool::Pool2d;
pub use sgd::Sgd;
pub use staircase::Staircase;
