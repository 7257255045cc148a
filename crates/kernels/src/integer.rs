//! Layers of a quantized network on codes: u8 activations, weights of 8, 4 or 2 bits, sums of 32 bits.
//!
//! Activations are NHWC [`Plane`]s of codes with a border, so that a convolution reads its padding where any pixel
//! lies and never copies its input. Codes are unsigned; an edge of signed codes is the same codes plus 128. A layer
//! sums in i32, exactly (the caller has checked that no sum leaves it, see [`Weights::sum_range`]), and a
//! [`Requantize`] turns sums into the codes of the next edge, with the additions and activations fused there. All of
//! this arithmetic is the same bit for bit on every instruction set: the [`mod@reference`] twin defines it.

mod add;
pub(crate) mod bytes;
mod concat;
mod conv2d;
mod linear;
mod lookup;
mod peak;
mod plane;
mod pool;
mod quantize;
pub mod reference;
mod requantize;
pub(crate) mod tiles;
mod weights;
mod window;

pub use add::IntAdd;
pub use concat::ConcatPart;
pub use conv2d::IntConv2d;
pub use linear::IntLinear;
pub use lookup::{Table, looks_up_at_once, lookup, lookup_in_place};
pub use peak::{peak, peak_long, peak_paired};
pub use plane::Plane;
pub use pool::{Average, IntPool2d, IntPooling};
pub use quantize::Quantizer;
pub use requantize::{Code, Inner, Requantize, Residual, Steps};
pub use weights::{WeightBits, Weights};
pub use window::{PairTables, window, window_in_place};
