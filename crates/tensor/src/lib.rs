//! Values and their meaning: host arrays, the one definition of rounding and saturation, quantization codes, packing.
//!
//! Everything above agrees on numbers because it asks this crate. It knows no files, no graphs and no threads.

pub mod code;
mod dtype;
pub mod number;
pub mod pack;
pub mod stats;
mod tensor;

pub use code::{Code, Levels, LevelsError, Points, Uniform, Window, Windowed};
pub use dtype::DType;
pub use stats::{Histogram, Moments, Statistics};
pub use tensor::{Data, Tensor, TensorError};
