//! Searching for the best way to spend bits: a space of strategies, tuners that walk through it, and trials that can be kept,
//! taken up again and merged.
//!
//! ```text
//! Space (genes × choices) ─▶ Tuner ─▶ strategies ─▶ Evaluator (only what changed runs) ─▶ Trial ─▶ frontier ─▶ recipe
//! ```
//!
//! A strategy is a list of numbers, so tuners know nothing of networks: the same ones walk through sites of a plan and through
//! the edges of [`crate::rewrite`]. A trial depends on its strategy alone, not on when it is measured: that is why a log can be
//! resumed, replayed and merged.

pub mod cost;
pub mod evaluator;
pub mod frontier;
pub mod settings;
pub mod space;
pub mod trial;
pub mod tuner;
pub mod tuners;

pub use space::{Space, Strategy};
pub use trial::Trial;
pub use tuner::{Problem, Rank, Tuner};
