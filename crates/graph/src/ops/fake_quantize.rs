//! `FakeQuantize` (domain `lowbit`): rounding to a code and back in one step, never written to a standard file.
//!
//! What `QuantizeLinear → Clip → DequantizeLinear` means, as one node: the simulation inserts it, and the reader
//! recognises the chain as it.

use super::*;
use crate::mismatch;
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
        Err(AttributeError::Unknown(
            "FakeQuantize is internal; write QuantizeLinear and DequantizeLinear".into(),
        ))
    }

    fn infer(&self, inputs: &[Option<Input<'_>>]) -> Result<Vec<TensorType>, ShapeError> {
        let x = &inputs.required(0, "X")?.ty;
        // A code comes from a file or a plan: what it indexes is checked here, once, not where it runs.
        let code = &self.code;
        let channels = match code.axis {
            None => Some(1),
            Some(axis) => x.shape.get(axis).copied(),
        };
        let lengths = [code.bits.len(), code.scale.len(), code.zero_point.len()];
        let shifts = code.shift.as_ref().map_or(code.scale.len(), Vec::len);
        if channels.is_none_or(|c| lengths != [c; 3] || shifts != c) {
            let axis = code.axis.map_or("no axis".into(), |a| format!("axis {a}"));
            return Err(mismatch!(
                "a code of {} steps along {axis} does not fit {:?}",
                code.scale.len(),
                x.shape
            ));
        }
        Ok(vec![x.clone()])
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
