//! Float meaning of every operator: a plain twin that defines the answer, and the fast execution that equals it.
//!
//! Knows graphs and kernels; knows no quantization method and no file.

mod error;
pub mod ops;

pub use error::EvalError;
pub use ops::evaluate;
