//! `PRelu`: a leaky ReLU with trained slopes.

use super::*;
use crate::shape::Inputs;

/// x for x ≥ 0, slope·x below. `slope` broadcasts to `X`, usually `[c, 1, 1]` to `[n, c, h, w]`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PRelu;

impl OpSpec for PRelu {
    const NAME: &'static str = "PRelu";

    fn read(_: &mut Attributes) -> Result<PRelu, AttributeError> {
        Ok(PRelu)
    }

    fn infer(&self, inputs: &[Option<Input<'_>>]) -> Result<Vec<TensorType>, ShapeError> {
        let (x, slope) = (&inputs.required(0, "X")?.ty, &inputs.required(1, "slope")?.ty);
        support::same_type(x, "slope", slope)?;
        support::broadcasts_into("slope", &slope.shape, &x.shape)?;
        Ok(vec![x.clone()])
    }
}

#[cfg(test)]
mod tests {
    use super::super::support::testing::{infer, read};
    use super::*;

    #[test]
    fn slopes_broadcast_to_the_input_but_do_not_enlarge_it() {
        let op: PRelu = read(Attributes::new());
        assert_eq!(infer(&op, &[&[1, 3, 2, 2], &[3, 1, 1]]), Ok(vec![1, 3, 2, 2]));
        assert!(infer(&op, &[&[1, 3, 2, 2], &[2, 3, 1, 1]]).is_err());
    }
}
