//! How the verbs of [`crate::facade`] are done: one file each over a few shared pieces.

mod demo;
mod evaluate;
mod inspect;
mod load;
mod quantize;
mod run;
mod stages;

pub(crate) use demo::demo;
pub(crate) use evaluate::evaluate;
pub(crate) use inspect::inspect;
pub(crate) use quantize::quantize;
pub(crate) use run::run;
