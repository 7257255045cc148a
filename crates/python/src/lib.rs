//! The module `lowbit._native`: Python's values to the facade's jobs, and what they give back to Python's. No algorithm is here,
//! and no choice that a user sees: defaults, documentation and the checking of arguments are in `python/lowbit`.
//!
//! A verb is a file. Long work runs on a thread of its own while the interpreter is free ([`work`]); arrays are lent, not
//! copied ([`data`]); refusals become exceptions by what they are about ([`errors`]).

mod data;
mod embed;
mod errors;
mod evaluate;
mod model;
mod quantize;
mod report;
mod search;
mod session;
mod train;
mod work;

/// What Python sees.
#[pyo3::pymodule]
mod _native {
    #[pymodule_export]
    use crate::data::{Data, Spool};
    #[pymodule_export]
    use crate::embed::{Embedded, Table, embed, embed_model};
    #[pymodule_export]
    use crate::evaluate::evaluate;
    #[pymodule_export]
    use crate::model::{Model, input_shape};
    #[pymodule_export]
    use crate::quantize::quantize;
    #[pymodule_export]
    use crate::report::Report;
    #[pymodule_export]
    use crate::search::search;
    #[pymodule_export]
    use crate::session::Session;
    #[pymodule_export]
    use crate::train::train;

    use pyo3::prelude::*;

    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        // numpy's functions are looked up at the first array; an interrupt in the midst of that would be a panic later.
        drop(numpy::PyArray1::<f32>::zeros(module.py(), 0, false));
        module.add("__version__", env!("CARGO_PKG_VERSION"))
    }
}
