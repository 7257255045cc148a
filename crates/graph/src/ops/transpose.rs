//! `Transpose`: axes in another order.

use super::*;
use crate::mismatch;
use crate::shape::Inputs;

/// Output axis `i` is input axis `perm[i]`; without `perm` the axes are reversed.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Transpose {
    /// A permutation of the axes.
    pub perm: Option<Vec<usize>>,
}

impl Transpose {
    /// The permutation for a tensor of `rank`.
    ///
    /// # Errors
    /// When the one given is for another rank.
    pub fn permutation(&self, rank: usize) -> Result<Vec<usize>, ShapeError> {
        match &self.perm {
            None => Ok((0..rank).rev().collect()),
            Some(perm) if perm.len() == rank => Ok(perm.clone()),
            Some(perm) => Err(mismatch!("perm {perm:?} is not for a tensor of rank {rank}")),
        }
    }
}

impl OpSpec for Transpose {
    const NAME: &'static str = "Transpose";

    fn read(attributes: &mut Attributes) -> Result<Transpose, AttributeError> {
        let Some(given) = attributes.ints("perm")? else { return Ok(Transpose::default()) };
        let mut sorted = given.clone();
        sorted.sort_unstable();
        if !sorted.into_iter().eq(0..given.len() as i64) {
            let accepted = "each axis once, counted from 0";
            return Err(AttributeError::Value { name: "perm", found: format!("{given:?}"), accepted });
        }
        Ok(Transpose { perm: Some(given.into_iter().map(|a| a as usize).collect()) })
    }

    fn write(&self) -> Attributes {
        match &self.perm {
            None => Attributes::new(),
            Some(p) => Attributes::new().with("perm", Attribute::Ints(p.iter().map(|&a| a as i64).collect())),
        }
    }

    fn infer(&self, inputs: &[Option<Input<'_>>]) -> Result<Vec<TensorType>, ShapeError> {
        let x = &inputs.required(0, "data")?.ty;
        let perm = self.permutation(x.shape.len())?;
        Ok(vec![TensorType::new(x.dtype, perm.iter().map(|&a| x.shape[a]).collect::<Vec<_>>())])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::support::testing::{round_trips, shapes};

    #[test]
    fn axes_are_permuted_or_reversed() {
        let op = Transpose { perm: Some(vec![0, 2, 1]) };
        round_trips(op.clone());
        round_trips(Transpose::default());
        assert_eq!(shapes(&op, &[2, 3, 4], &[]), Ok(vec![vec![2, 4, 3]]));
        assert_eq!(shapes(&Transpose::default(), &[2, 3, 4], &[]), Ok(vec![vec![4, 3, 2]]));
        assert!(shapes(&op, &[2, 3], &[]).is_err());
    }

    #[test]
    fn only_a_permutation_is_read() {
        for perm in [vec![0, 0], vec![1, 2], vec![-1, 0]] {
            assert!(Transpose::read(&mut Attributes::new().with("perm", Attribute::Ints(perm))).is_err());
        }
    }
}
