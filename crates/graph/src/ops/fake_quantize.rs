//! `FakeQuantize` (domain `lowbit`): rounding to a code and back in one step, never written to a standard file.
//!
//! What `QuantizeLinear → Clip → DequantizeLinear` means, as one node: the simulation inserts it, and the reader
//! recognises the chain as it.

use super::*;
use crate::shape::Inputs;

/// y = decode(encode(x)) of a uniform code, per tensor or per channel.
#[derive(Clone, Debug, PartialEq)]
pub struct FakeQuantize {
    /// The code.
    pub code: lowbit_tensor::Uniform,
}

impl OpSpec for FakeQuantize {
    const NAME: &'static str = "FakeQuantize";
    const DOMAIN: &'static str = "lowbit";

    fn read(_: &mut Attributes) -> Result<FakeQuantize, AttributeError> {
        // Internal: files express it as QuantizeLinear, Clip, DequantizeLinear.
        Err(AttributeError::Unknown("FakeQuantize is internal; write QuantizeLinear and DequantizeLinear".into()))
    }

    fn infer(&self, inputs: &[Option<Input<'_>>]) -> Result<Vec<TensorType>, ShapeError> {
        Ok(vec![inputs.required(0, "X")?.ty.clone()])
    }
}
