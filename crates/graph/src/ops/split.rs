//! `Split`: a tensor cut into pieces along one axis.

use super::*;
use crate::mismatch;
use crate::shape::{Inputs, axis};

/// Pieces of `input` along `axis`: their sizes are input 1 (`split`), or all equal but for the last.
#[derive(Clone, Debug, PartialEq)]
pub struct Split {
    /// Axis to cut along; negative counts from the end.
    pub axis: i64,
    /// Number of pieces, where input 1 does not say their sizes; the file reader supplies it for old opsets too.
    pub num_outputs: Option<usize>,
}

impl Split {
    /// Sizes of the pieces of an axis of `extent`; `sizes` is input 1 if present.
    ///
    /// # Errors
    /// When the sizes do not add up to the extent, or neither they nor their number is given.
    pub fn pieces(&self, extent: usize, sizes: Option<&[i64]>) -> Result<Vec<usize>, ShapeError> {
        let misfit = |sizes: &[i64]| mismatch!("split {sizes:?} does not add up to the extent {extent}");
        match (sizes, self.num_outputs) {
            (Some(sizes), _) => {
                let pieces: Option<Vec<usize>> = sizes.iter().map(|&s| usize::try_from(s).ok()).collect();
                let total = |p: &[usize]| p.iter().try_fold(0usize, |n, &s| n.checked_add(s));
                pieces.filter(|p| total(p) == Some(extent)).ok_or_else(|| misfit(sizes))
            }
            (None, Some(n)) => {
                let piece = extent.div_ceil(n.max(1));
                let last = n.checked_sub(1).and_then(|full| extent.checked_sub(full.checked_mul(piece)?));
                let Some(last) = last else {
                    return Err(mismatch!("{extent} indices do not split into {n} pieces"));
                };
                let mut pieces = vec![piece; n];
                pieces[n - 1] = last;
                Ok(pieces)
            }
            (None, None) => Err(mismatch!("neither `split` nor `num_outputs` says how to cut")),
        }
    }
}

impl OpSpec for Split {
    const NAME: &'static str = "Split";

    fn read(attributes: &mut Attributes) -> Result<Split, AttributeError> {
        let num_outputs = match attributes.int("num_outputs")? {
            None => None,
            // A bound, since that many types are made before anyone compares with the node's outputs.
            Some(n @ 1..=65_536) => Some(n as usize),
            Some(n) => {
                let found = n.to_string();
                return Err(AttributeError::Value { name: "num_outputs", found, accepted: "1 to 65536" });
            }
        };
        Ok(Split { axis: attributes.int("axis")?.unwrap_or(0), num_outputs })
    }

    fn write(&self) -> Attributes {
        let mut attributes = Attributes::new().with("axis", Attribute::Int(self.axis));
        if let Some(n) = self.num_outputs {
            attributes.set("num_outputs", Attribute::Int(n as i64));
        }
        attributes
    }

    fn infer(&self, inputs: &[Option<Input<'_>>]) -> Result<Vec<TensorType>, ShapeError> {
        let x = &inputs.required(0, "input")?.ty;
        let axis = axis(self.axis, x.shape.len())?;
        let sizes = inputs.integers(1, "split")?;
        let piece = |size| {
            let mut shape = x.shape.clone();
            shape[axis] = size;
            TensorType::new(x.dtype, shape)
        };
        Ok(self.pieces(x.shape[axis], sizes.as_deref())?.into_iter().map(piece).collect())
    }

    fn since(&self) -> u64 {
        if self.num_outputs.is_some() { 18 } else { 13 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::support::testing::{round_trips, shapes};

    #[test]
    fn sizes_or_a_number_of_pieces() {
        let by_input = Split { axis: -1, num_outputs: None };
        assert_eq!(shapes(&by_input, &[2, 6], &[&[1, 0, 5]]), Ok(vec![vec![2, 1], vec![2, 0], vec![2, 5]]));
        assert!(shapes(&by_input, &[2, 6], &[&[1, 4]]).is_err());
        assert!(shapes(&by_input, &[2, 6], &[&[7, -1]]).is_err());
        assert!(shapes(&by_input, &[2, 6], &[]).is_err());
        let by_number = Split { axis: 1, num_outputs: Some(3) };
        assert_eq!(shapes(&by_number, &[2, 7], &[]), Ok(vec![vec![2, 3], vec![2, 3], vec![2, 1]]));
        assert!(shapes(&Split { num_outputs: Some(5), ..by_number }, &[2, 7], &[]).is_err());
    }

    #[test]
    fn attributes_round_trip() {
        round_trips(Split { axis: -1, num_outputs: None });
        round_trips(Split { axis: 1, num_outputs: Some(3) });
        assert!(Split::read(&mut Attributes::new().with("num_outputs", Attribute::Int(1 << 40))).is_err());
    }
}
