//! From a plan to a network that says every scale, zero point and rounding: standard ONNX forms as a graph.

mod builder;
mod edges;
mod levels;
mod planes;
mod points;
pub mod qdq;
mod weights;

use crate::strict::{self, ConfigError};

/// How the few bits are written down. Which forms run fast where was measured; see `ARCHITECTURE.md`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flavour {
    /// 4-bit weights as INT4 cast to INT8, other narrow ones as bit planes, uneven levels as indices into a table: runtimes
    /// unpack once at load and run int8 kernels. The smallest file.
    Packed,
    /// Narrow codes in int8 tensors: any runtime since opset 13.
    Container,
    /// INT4 straight into `DequantizeLinear`: for compilers and viewers; slow in ONNX Runtime on CPUs.
    Textbook,
    /// `IntQuant` nodes on float tensors (QONNX), for FPGA tools and research.
    Qonnx,
}

impl Flavour {
    /// Every flavour with its name.
    pub const ALL: &[(&str, Flavour)] = &[
        ("packed", Flavour::Packed),
        ("container", Flavour::Container),
        ("textbook", Flavour::Textbook),
        ("qonnx", Flavour::Qonnx),
    ];

    /// The flavour of that name.
    ///
    /// # Errors
    /// When there is none.
    pub fn named(name: &str) -> Result<Flavour, ConfigError> {
        let names = Flavour::ALL.iter().map(|(n, _)| *n);
        let found = Flavour::ALL.iter().find(|(n, _)| *n == name);
        found.map(|(_, f)| *f).ok_or_else(|| strict::unknown("flavour", name, names))
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        Flavour::ALL.iter().find(|(_, f)| *f == self).map_or("", |(n, _)| n)
    }
}
