//! `Slice`: a strided range of some axes.

use super::*;
use crate::mismatch;
use crate::shape::{Inputs, axis};

/// `data[starts:ends:steps]` along `axes`, in numpy's way; inputs are data, starts, ends, axes, steps.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Slice;

/// The indices `start, start + step, …` of one axis, `len` of them, all inside the axis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StridedRange {
    /// First index (meaningless if `len` is 0).
    pub start: usize,
    /// Distance to the next, not 0.
    pub step: isize,
    /// How many.
    pub len: usize,
}

impl Slice {
    /// The range taken of each axis of input 0.
    ///
    /// # Errors
    /// When the ranges are not constant, do not pair up, name an axis twice or have a step of 0.
    pub fn ranges(&self, inputs: &[Option<Input<'_>>]) -> Result<Vec<StridedRange>, ShapeError> {
        let shape = &inputs.required(0, "data")?.ty.shape;
        let starts = inputs.integers(1, "starts")?.ok_or(ShapeError::MissingInput(1, "starts"))?;
        let ends = inputs.integers(2, "ends")?.ok_or(ShapeError::MissingInput(2, "ends"))?;
        let axes = inputs.integers(3, "axes")?.unwrap_or_else(|| (0..starts.len() as i64).collect());
        let steps = inputs.integers(4, "steps")?.unwrap_or_else(|| vec![1; starts.len()]);
        if [ends.len(), axes.len(), steps.len()] != [starts.len(); 3] {
            return Err(mismatch!(
                "starts {starts:?}, ends {ends:?}, axes {axes:?}, steps {steps:?} differ in length"
            ));
        }
        let mut ranges: Vec<Option<StridedRange>> = vec![None; shape.len()];
        for (i, &a) in axes.iter().enumerate() {
            let a = axis(a, shape.len())?;
            if ranges[a].is_some() {
                return Err(mismatch!("axes {axes:?} name axis {a} twice"));
            }
            ranges[a] = Some(range(shape[a], starts[i], ends[i], steps[i])?);
        }
        let whole = |(range, &len): (Option<_>, _)| range.unwrap_or(StridedRange { start: 0, step: 1, len });
        Ok(ranges.into_iter().zip(shape).map(whole).collect())
    }
}

/// What `start:end:step` means on an axis of `extent`. Wide integers, because exporters write `i64::MIN` and `MAX`.
fn range(extent: usize, start: i64, end: i64, step: i64) -> Result<StridedRange, ShapeError> {
    let n = extent as i128;
    let from_end = |i: i64| i128::from(i) + if i < 0 { n } else { 0 };
    // A descending range may end before index 0, at -1; an ascending one may start past the last index.
    let [lo, hi] = if step < 0 { [-1, n - 1] } else { [0, n] };
    let (start, end) = (from_end(start).clamp(lo, hi.max(lo)), from_end(end).clamp(lo, hi.max(lo)));
    let distance = if step < 0 { start - end } else { end - start };
    let stride = step.unsigned_abs();
    if stride == 0 {
        return Err(mismatch!("a step of 0"));
    }
    let len = (distance.max(0) as u128).div_ceil(stride.into()) as usize;
    let step = isize::try_from(step).map_err(|_| mismatch!("a step of {step}"))?;
    Ok(StridedRange { start: start.max(0) as usize, step, len })
}

impl OpSpec for Slice {
    const NAME: &'static str = "Slice";

    fn read(_: &mut Attributes) -> Result<Slice, AttributeError> {
        Ok(Slice)
    }

    fn infer(&self, inputs: &[Option<Input<'_>>]) -> Result<Vec<TensorType>, ShapeError> {
        let shape: Vec<usize> = self.ranges(inputs)?.iter().map(|r| r.len).collect();
        Ok(vec![TensorType::new(inputs.required(0, "data")?.ty.dtype, shape)])
    }

    fn since(&self) -> u64 {
        10
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::support::testing::{round_trips, shapes};

    #[test]
    fn ranges_clamp_and_run_both_ways() {
        round_trips(Slice);
        let of = |start, end, step| range(5, start, end, step).unwrap();
        assert_eq!(of(1, -1, 1), StridedRange { start: 1, step: 1, len: 3 });
        assert_eq!(of(-100, 100, 2), StridedRange { start: 0, step: 2, len: 3 });
        assert_eq!(of(-1, i64::MIN, -1), StridedRange { start: 4, step: -1, len: 5 });
        assert_eq!(of(100, -5, -2), StridedRange { start: 4, step: -2, len: 2 });
        assert_eq!(of(3, 1, 1).len, 0);
        assert_eq!(range(0, -1, i64::MIN, i64::MIN).unwrap().len, 0);
        assert!(range(5, 0, 1, 0).is_err());
    }

    #[test]
    fn axes_left_out_are_whole() {
        assert_eq!(shapes(&Slice, &[4, 5, 6], &[&[1], &[i64::MAX], &[-1]]), Ok(vec![vec![4, 5, 5]]));
        assert_eq!(shapes(&Slice, &[4, 5], &[&[1, 0], &[3, 4]]), Ok(vec![vec![2, 4]]));
        assert!(shapes(&Slice, &[4, 5], &[&[0, 0], &[1, 1], &[1, -1]]).is_err());
        assert!(shapes(&Slice, &[4, 5], &[&[0, 0], &[1]]).is_err());
        assert!(shapes(&Slice, &[4, 5], &[&[0], &[1], &[2]]).is_err());
    }
}
