//! The codes: how a block of reals is written in few bits, and exactly what reading it back gives.
//!
//! A code knows its bits, its exact decode and the bytes it takes; which one serves a tensor is a method's choice.
//! One file each. A [`Window`] is not a code of its own: it lowers codes of 8 bits.

pub mod lanes;
mod levels;
pub mod points;
mod uniform;
pub mod window;
pub mod windowed;

pub use levels::{Levels, LevelsError};
pub use points::Points;
pub use uniform::Uniform;
pub use window::Window;
pub use windowed::Windowed;

/// The code of one site of a plan.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case", tag = "code")]
pub enum Code {
    /// Evenly spaced levels: scale and zero point, per tensor or per channel.
    Uniform(Uniform),
    /// A sum of low-bit vectors for the channels that need one.
    Points(Points),
    /// A few codes of an 8-bit grid.
    Levels(Levels),
}

impl Code {
    /// Average bits per element.
    pub fn mean_bits(&self) -> f64 {
        match self {
            Code::Uniform(code) => code.mean_bits(),
            Code::Points(code) => code.mean_bits(),
            Code::Levels(code) => f64::from(code.bits()),
        }
    }

    /// Average bits of one code of an element: what kernels are chosen by. Of points, those of each one.
    pub fn code_bits(&self) -> f64 {
        match self {
            Code::Uniform(code) => code.mean_bits(),
            Code::Points(code) => code.first.mean_bits(),
            Code::Levels(code) => f64::from(code.bits()),
        }
    }

    /// Bits of an element of each channel, in all points together; one entry where channels share a code.
    pub fn channel_bits(&self) -> Vec<usize> {
        match self {
            Code::Uniform(code) => code.bits.iter().map(|&b| usize::from(b)).collect(),
            Code::Points(code) => code.channel_bits(),
            Code::Levels(code) => vec![code.bits().into()],
        }
    }

    /// What a tensor of `shape` becomes after encoding and decoding, in place.
    pub fn fake_quantize(&self, values: &mut [f32], shape: &[usize]) {
        match self {
            Code::Uniform(code) => code.fake_quantize(values, shape),
            Code::Points(code) => code.fake_quantize(values, shape),
            Code::Levels(code) => code.fake_quantize(values, shape),
        }
    }

    /// The one uniform code that an integer kernel multiplies by, where there is one: the code itself, the grid that a sum
    /// of points is rounded to, or the one that levels are codes of.
    pub fn integer(&self) -> Option<&Uniform> {
        match self {
            Code::Uniform(code) => Some(code),
            Code::Points(code) => code.grid.as_ref(),
            Code::Levels(code) => Some(&code.grid),
        }
    }

    /// [`Code::integer`], to be changed.
    pub fn integer_mut(&mut self) -> Option<&mut Uniform> {
        match self {
            Code::Uniform(code) => Some(code),
            Code::Points(code) => code.grid.as_mut(),
            Code::Levels(code) => Some(&mut code.grid),
        }
    }

    /// Bytes of a tensor of `shape`: codes at their widths, and scales.
    pub fn stored_bytes(&self, shape: &[usize]) -> usize {
        match self {
            Code::Uniform(code) => code.packed_bytes(shape) + 4 * code.scale.len(),
            Code::Points(code) => code.stored_bits(shape).div_ceil(8),
            Code::Levels(code) => code.stored_bytes(shape),
        }
    }
}
