//! `FakeLevels` (domain `lowbit`): rounding to a few levels of an 8-bit grid and back in one step, never written to a standard
//! file.
//!
//! What `QuantizeLinear → Cast → Gather` from a table `→ DequantizeLinear` means, as one node: the simulation inserts it, and
//! the reader recognises the chain as it. `FakeQuantize` is the same for evenly spaced levels.

use super::*;
use crate::mismatch;
use lowbit_tensor::Levels;
use std::sync::Arc;

/// y = decode(encode(x)) of a code of levels, per tensor or per channel.
#[derive(Clone, Debug, PartialEq)]
pub struct FakeLevels {
    /// The code; shared, as it is larger than other attributes.
    pub code: Arc<Levels>,
}

impl OpSpec for FakeLevels {
    const NAME: &'static str = "FakeLevels";
    const DOMAIN: &'static str = "lowbit";

    fn read(_: &mut Attributes) -> Result<FakeLevels, AttributeError> {
        // Internal: files express it as QuantizeLinear, Cast, Gather, DequantizeLinear.
        Err(AttributeError::Unknown(
            "FakeLevels is internal; write QuantizeLinear, a Gather from a table, and DequantizeLinear".into(),
        ))
    }

    fn infer(&self, inputs: &[Option<Input<'_>>]) -> Result<Vec<TensorType>, ShapeError> {
        self.code.check().map_err(|error| mismatch!("{error}"))?;
        support::rounded(&self.code.grid, inputs)
    }
}

#[cfg(test)]
mod tests {
    use super::support::testing::infer;
    use super::*;
    use lowbit_tensor::Uniform;

    #[test]
    fn a_code_is_checked_and_has_one_step_per_channel() {
        let code = Levels::nearest(Uniform::per_tensor(8, false, 0.5, 0), vec![0, 3, 9]).unwrap();
        assert!(infer(&FakeLevels { code: code.clone().into() }, &[&[2, 3]]).is_ok());
        let along = |axis| Levels { grid: Uniform { axis: Some(axis), ..code.grid.clone() }, ..code.clone() };
        assert!(infer(&FakeLevels { code: along(1).into() }, &[&[2, 1]]).is_ok());
        assert!(infer(&FakeLevels { code: along(0).into() }, &[&[2, 1]]).is_err());
        let broken = FakeLevels { code: Levels { bounds: vec![1, 3], ..code }.into() };
        let refusal = infer(&broken, &[&[2]]).unwrap_err().to_string();
        assert!(refusal.contains("bound 3 between levels 3 and 9"), "{refusal}");
    }
}
