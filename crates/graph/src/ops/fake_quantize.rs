//! `FakeQuantize` (domain `lowbit`): rounding to a code and back in one step, never written to a standard file.
//!
//! What `QuantizeLinear → Clip → DequantizeLinear` means, as one node: the simulation inserts it, and the reader
//! recognises the chain as it.

use super::*;

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
        Err(AttributeError::Unknown(
            "FakeQuantize is internal; write QuantizeLinear and DequantizeLinear".into(),
        ))
    }

    fn infer(&self, inputs: &[Option<Input<'_>>]) -> Result<Vec<TensorType>, ShapeError> {
        support::rounded(&self.code, inputs)
    }
}

#[cfg(test)]
mod tests {
    use super::support::testing::infer;
    use super::*;
    use lowbit_tensor::Uniform;

    #[test]
    fn a_code_has_one_step_per_channel() {
        let code = Uniform::per_tensor(4, true, 0.5, 0);
        assert!(infer(&FakeQuantize { code: code.clone() }, &[&[]]).is_ok());
        let along = |axis| FakeQuantize { code: Uniform { axis: Some(axis), ..code.clone() } };
        assert!(infer(&along(1), &[&[2, 1]]).is_ok());
        assert!(infer(&along(0), &[&[2, 1]]).is_err());
        assert!(infer(&along(2), &[&[2, 1]]).is_err());
    }
}
