//! `Erf`: the error function.

use super::*;

/// erf(x) = 2/√π · ∫₀ˣ exp(−t²) dt, elementwise.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Erf;

impl OpSpec for Erf {
    const NAME: &'static str = "Erf";

    fn read(_: &mut Attributes) -> Result<Erf, AttributeError> {
        Ok(Erf)
    }

    fn infer(&self, inputs: &[Option<Input<'_>>]) -> Result<Vec<TensorType>, ShapeError> {
        support::like_x(inputs)
    }

    fn since(&self) -> u64 {
        9
    }
}

#[cfg(test)]
mod tests {
    use super::super::support::testing::{infer, read};
    use super::*;

    #[test]
    fn the_shape_stays() {
        assert_eq!(infer(&read::<Erf>(Attributes::new()), &[&[2, 3]]), Ok(vec![2, 3]));
    }
}
