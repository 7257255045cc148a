//! `BatchNormalization`, as inference uses it: a scale and a shift per channel.

use super::*;
use crate::mismatch;
use crate::shape::Inputs;

/// (x − mean) / √(var + `epsilon`) · scale + B, each of the last four `[c]` for `X: [n, c, …]`.
///
/// Inputs: `X`, `scale`, `B`, `input_mean`, `input_var`. Training mode, which updates the statistics, is refused.
#[derive(Clone, Debug, PartialEq)]
pub struct BatchNormalization {
    /// Added to the variance.
    pub epsilon: f32,
}

impl OpSpec for BatchNormalization {
    const NAME: &'static str = "BatchNormalization";

    fn read(attributes: &mut Attributes) -> Result<BatchNormalization, AttributeError> {
        // Of the running statistics, which inference does not update.
        attributes.float("momentum")?;
        if attributes.flag("training_mode", false)? {
            return Err(AttributeError::Value { name: "training_mode", found: "1".into(), accepted: "0" });
        }
        Ok(BatchNormalization { epsilon: attributes.float("epsilon")?.unwrap_or(1e-5) })
    }

    fn write(&self) -> Attributes {
        support::floats([("epsilon", self.epsilon)])
    }

    fn infer(&self, inputs: &[Option<Input<'_>>]) -> Result<Vec<TensorType>, ShapeError> {
        let x = &inputs.required(0, "X")?.ty;
        let Some(&channels) = x.shape.get(1) else {
            return Err(mismatch!("input {:?} has no channel axis 1", x.shape));
        };
        for (i, name) in [(1, "scale"), (2, "B"), (3, "input_mean"), (4, "input_var")] {
            let shape = &inputs.required(i, name)?.ty.shape;
            if shape != &[channels] {
                return Err(mismatch!("`{name}` {shape:?} must be [{channels}]"));
            }
        }
        Ok(vec![x.clone()])
    }
}

#[cfg(test)]
mod tests {
    use super::super::support::testing::{infer, read};
    use super::*;

    #[test]
    fn statistics_have_one_entry_per_channel() {
        let op: BatchNormalization = read(
            Attributes::new()
                .with("epsilon", Attribute::Float(1e-3))
                .with("momentum", Attribute::Float(0.9))
                .with("training_mode", Attribute::Int(0)),
        );
        let c: &[usize] = &[3];
        assert_eq!(infer(&op, &[&[2, 3, 4], c, c, c, c]), Ok(vec![2, 3, 4]));
        assert!(infer(&op, &[&[2, 3, 4], c, c, c, &[4]]).is_err());
        assert!(infer(&op, &[&[2, 3, 4], c, c, c]).is_err());
    }

    #[test]
    fn training_is_refused() {
        let mut attributes = Attributes::new().with("training_mode", Attribute::Int(1));
        assert!(BatchNormalization::read(&mut attributes).is_err());
    }
}
