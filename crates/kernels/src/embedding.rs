//! Rows of embedding tables in 8, 4 and 2 bits: finding ranges, packing codes, and summing rows straight from their codes.
//!
//! Codes lie in bytes, the first in the lowest bits, and stand for `scale·q + bias`. Searches for ranges work on as many
//! rows at once as a vector has lanes, one row per lane, so that sums are in the order of a plain loop and all
//! instruction sets give the same bits. [`mod@reference`] has the plain loops.

mod asym;
mod encode;
mod fit;
mod greedy;
mod half;
mod lanes;
pub mod pool;
pub mod reference;

pub use asym::asym_rows;
pub use encode::{all_finite, encode_bytes, encode_rows, extremes, grids};
pub use fit::fit_rows;
pub use greedy::{Greedy, greedy_rows};
pub use pool::{Layout, Parameters, Rows, pool_rows, touch_rows};
