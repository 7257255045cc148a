//! How the verbs of [`crate::facade`] are done: one file each over a few shared pieces.

mod bench;
mod calibrate;
mod demo;
mod embed;
mod embed_bench;
mod embed_onnx;
mod evaluate;
mod inspect;
mod load;
mod measure;
mod memory;
mod plan;
mod quantize;
mod quantize_tables;
mod run;
mod runner;
mod score;
mod search;
mod stages;
mod state;
mod tables;
mod train;

pub(crate) use bench::bench;
pub(crate) use demo::demo;
pub(crate) use embed::{embed, restore_embedding, verify_embedding};
pub(crate) use embed_bench::bench_embedding;
pub(crate) use embed_onnx::embed_network;
pub(crate) use evaluate::evaluate;
pub(crate) use inspect::{input_shape, inspect};
pub(crate) use measure::measure;
pub(crate) use memory::available as free_memory;
pub(crate) use quantize::{quantize, target};
pub(crate) use run::run;
pub(crate) use runner::session;
pub(crate) use search::{merge, search};
pub(crate) use train::train;
