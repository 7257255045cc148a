//! Quantizes trained networks to few bits: the facade, the renderings of what was found, and the command line.
//!
//! [`facade`] holds the verbs (`quantize`, `evaluate`, `run`, `inspect`, `demo`), each taking a plain job and giving a
//! plain value. [`render`] turns those values into text, JSON, Markdown or an HTML page. [`Progress`] is how long
//! work says how far it is; [`Inspection`] what is known about a network before anything is done to it. Networks and
//! samples are files or values in memory ([`ModelSource`], [`DataSource`]); [`blamed`] says which of them an error is about.

mod blame;
pub mod embedding;
pub mod facade;
mod inspection;
mod machine;
mod pipeline;
mod progress;
pub mod render;
mod source;
pub mod zoo;

pub use blame::{Given, blamed};
pub use inspection::{BlockInspection, Inspection, LayerInspection, OpCount};
pub use lowbit_quantize::report::Report;
pub use machine::Machine;
pub use progress::{Progress, Silent};
pub use source::{DataSource, ModelSource};
