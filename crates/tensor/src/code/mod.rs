//! The codes: how a block of reals is written in few bits, and exactly what reading it back gives.
//!
//! A code knows its bits, its exact decode and the bytes it takes; which one serves a tensor is a method's choice.
//! Table, points and window codes join [`Uniform`] here, one file each.

mod uniform;

pub use uniform::Uniform;

/// The code of one site of a plan.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case", tag = "code")]
pub enum Code {
    /// Evenly spaced levels: scale and zero point, per tensor or per channel.
    Uniform(Uniform),
}

impl Code {
    /// Average bits per element.
    pub fn mean_bits(&self) -> f64 {
        match self {
            Code::Uniform(code) => code.mean_bits(),
        }
    }

    /// What a tensor of `shape` becomes after encoding and decoding, in place.
    pub fn fake_quantize(&self, values: &mut [f32], shape: &[usize]) {
        match self {
            Code::Uniform(code) => code.fake_quantize(values, shape),
        }
    }
}
