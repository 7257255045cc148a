//! `LayerNormalization`: zero mean and unit variance over the last axes, then a scale and a shift.

use super::*;
use crate::shape::{Inputs, axis};

/// (x − mean) / √(var + `epsilon`) · Scale + B, mean and variance over the axes from `axis` on.
///
/// Inputs: `X`, `Scale`, and optionally `B`, which broadcast to `X`. Only the first output is computed: mean and
/// inverse deviation serve training.
#[derive(Clone, Debug, PartialEq)]
pub struct LayerNormalization {
    /// First normalized axis; from the end if negative.
    pub axis: i64,
    /// Added to the variance.
    pub epsilon: f32,
}

impl OpSpec for LayerNormalization {
    const NAME: &'static str = "LayerNormalization";

    fn read(attributes: &mut Attributes) -> Result<LayerNormalization, AttributeError> {
        // The type of the statistics; 1 is float32, the only one in use.
        match attributes.int("stash_type")? {
            None | Some(1) => {}
            Some(other) => {
                return Err(AttributeError::Value {
                    name: "stash_type",
                    found: other.to_string(),
                    accepted: "1",
                });
            }
        }
        Ok(LayerNormalization {
            axis: attributes.int("axis")?.unwrap_or(-1),
            epsilon: attributes.float("epsilon")?.unwrap_or(1e-5),
        })
    }

    fn write(&self) -> Attributes {
        support::floats([("epsilon", self.epsilon)]).with("axis", Attribute::Int(self.axis))
    }

    fn infer(&self, inputs: &[Option<Input<'_>>]) -> Result<Vec<TensorType>, ShapeError> {
        let x = &inputs.required(0, "X")?.ty;
        axis(self.axis, x.shape.len())?;
        support::broadcasts_into("Scale", &inputs.required(1, "Scale")?.ty.shape, &x.shape)?;
        if let Some(b) = inputs.optional(2) {
            support::broadcasts_into("B", &b.ty.shape, &x.shape)?;
        }
        Ok(vec![x.clone()])
    }

    fn since(&self) -> u64 {
        17
    }
}

#[cfg(test)]
mod tests {
    use super::super::support::testing::{infer, read};
    use super::*;

    #[test]
    fn scale_and_shift_broadcast_to_the_input() {
        let op: LayerNormalization = read(Attributes::new().with("axis", Attribute::Int(-2)));
        assert_eq!(infer(&op, &[&[2, 3, 4], &[3, 4], &[4]]), Ok(vec![2, 3, 4]));
        assert!(infer(&op, &[&[2, 3, 4], &[3]]).is_err());
        assert!(infer(&op, &[&[4], &[4]]).is_err());
    }
}
