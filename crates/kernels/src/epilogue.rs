//! What is done to the outputs of a convolution or linear layer before they leave the cache.

use crate::Isa;
use crate::elementwise::{self, Binary, Unary};
use crate::fake_quant::{self, FakeQuant};

/// `fake_quant(activation(y + residual))`, each part optional; the bias is already in `y`.
#[derive(Clone, Copy, Debug, Default)]
pub struct Epilogue<'a> {
    /// Added to the output; same shape as the output.
    pub residual: Option<&'a [f32]>,
    /// Applied after the addition.
    pub activation: Option<Unary>,
    /// Rounds to a grid at last.
    pub fake_quant: Option<FakeQuant>,
}

impl Epilogue<'_> {
    /// The activation as bounds that a kernel applies in registers, `[-∞, ∞]` if it is none or not a clip.
    pub(crate) fn bounds(&self) -> [f32; 2] {
        match self.activation {
            Some(Unary::Relu) => [0.0, f32::INFINITY],
            Some(Unary::Clip { lo, hi }) => [lo, hi],
            _ => [f32::NEG_INFINITY, f32::INFINITY],
        }
    }

    /// Everything, in place, for kernels that do nothing in registers. `residual` is the part of it over `y`.
    pub(crate) fn apply(&self, isa: Isa, y: &mut [f32], residual: &[f32]) {
        elementwise::binary_in_place(isa, Binary::Add, y, residual);
        if let Some(activation @ (Unary::Relu | Unary::Clip { .. })) = self.activation {
            elementwise::unary_in_place(isa, activation, y);
        }
        self.finish(isa, y);
    }

    /// What `bounds` leaves to be done, in place on outputs still in cache.
    pub(crate) fn finish(&self, isa: Isa, y: &mut [f32]) {
        match self.activation {
            None | Some(Unary::Relu | Unary::Clip { .. }) => {}
            Some(activation) => elementwise::unary_in_place(isa, activation, y),
        }
        if let Some(quant) = &self.fake_quant {
            fake_quant::fake_quant_in_place(isa, quant, y);
        }
    }
}
