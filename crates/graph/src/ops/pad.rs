//! `Pad`: cells added around (or, negative, cut off) a tensor.

use super::*;
use crate::mismatch;
use crate::shape::{Inputs, axis};

/// Inputs are data, pads (all begins, then all ends), the constant, and the axes that `pads` speaks of.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Pad {
    /// What the added cells hold.
    pub mode: PadMode,
}

/// What added cells hold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PadMode {
    /// The constant of input 2, or 0.
    #[default]
    Constant,
    /// The mirror image, edge cell not repeated.
    Reflect,
    /// The edge cell.
    Edge,
    /// The tensor again, as on a torus.
    Wrap,
}

impl PadMode {
    const NAMES: [(&'static str, PadMode); 4] = [
        ("constant", PadMode::Constant),
        ("reflect", PadMode::Reflect),
        ("edge", PadMode::Edge),
        ("wrap", PadMode::Wrap),
    ];
}

impl Pad {
    /// Cells added before and after each axis of input 0; negative where cells are cut off.
    ///
    /// # Errors
    /// When pads are not constant or do not fit the axes, cut off more than there is, or when a mode other than
    /// constant has no cell to copy.
    pub fn pads(&self, inputs: &[Option<Input<'_>>]) -> Result<Vec<[i64; 2]>, ShapeError> {
        let shape = &inputs.required(0, "data")?.ty.shape;
        let given = inputs.integers(1, "pads")?.ok_or(ShapeError::MissingInput(1, "pads"))?;
        let axes = inputs.integers(3, "axes")?.unwrap_or_else(|| (0..shape.len() as i64).collect());
        if given.len() != 2 * axes.len() {
            return Err(mismatch!("pads {given:?} must have 2 entries for each of {} axes", axes.len()));
        }
        let mut pads = vec![[0; 2]; shape.len()];
        let mut named = vec![false; shape.len()];
        for (i, &a) in axes.iter().enumerate() {
            let a = axis(a, shape.len())?;
            if std::mem::replace(&mut named[a], true) {
                return Err(mismatch!("axes {axes:?} name axis {a} twice"));
            }
            pads[a] = [given[i], given[axes.len() + i]];
            let [kept, output] = extents(shape[a], pads[a]).ok_or_else(|| {
                mismatch!("pads {:?} leave no valid extent of axis {a} of {shape:?}", pads[a])
            })?;
            if kept == 0 && output > 0 && self.mode != PadMode::Constant {
                return Err(mismatch!(
                    "axis {a} of {shape:?} has no cell for {:?} padding to copy",
                    self.mode
                ));
            }
        }
        Ok(pads)
    }
}

/// Cells kept of an axis and cells of the result; `None` when either would be negative or overflow.
fn extents(extent: usize, [begin, end]: [i64; 2]) -> Option<[usize; 2]> {
    let extent = i64::try_from(extent).ok()?;
    let kept = extent.checked_add(begin.min(0))?.checked_add(end.min(0))?;
    let output = kept.checked_add(begin.max(0))?.checked_add(end.max(0))?;
    Some([usize::try_from(kept).ok()?, usize::try_from(output).ok()?])
}

impl OpSpec for Pad {
    const NAME: &'static str = "Pad";

    fn read(attributes: &mut Attributes) -> Result<Pad, AttributeError> {
        let Some(found) = attributes.text("mode")? else { return Ok(Pad::default()) };
        match PadMode::NAMES.into_iter().find(|(name, _)| *name == found) {
            Some((_, mode)) => Ok(Pad { mode }),
            None => {
                Err(AttributeError::Value { name: "mode", found, accepted: "constant, reflect, edge, wrap" })
            }
        }
    }

    fn write(&self) -> Attributes {
        let names =
            PadMode::NAMES.into_iter().filter(|(_, mode)| *mode == self.mode && *mode != PadMode::Constant);
        names.fold(Attributes::new(), |a, (name, _)| a.with("mode", Attribute::Text(name.into())))
    }

    fn infer(&self, inputs: &[Option<Input<'_>>]) -> Result<Vec<TensorType>, ShapeError> {
        let x = &inputs.required(0, "data")?.ty;
        let single = |v: &&Input<'_>| v.ty.dtype == x.dtype && v.ty.shape.iter().all(|&d| d == 1);
        if let Some(Input { ty, .. }) = inputs.optional(2).filter(|v| !single(v)) {
            return Err(mismatch!(
                "constant_value is {} {:?}; it must be one {}",
                ty.dtype,
                ty.shape,
                x.dtype
            ));
        }
        let pads = self.pads(inputs)?;
        let shape: Option<Vec<usize>> =
            x.shape.iter().zip(pads).map(|(&n, p)| Some(extents(n, p)?[1])).collect();
        Ok(vec![TensorType::checked(
            x.dtype,
            shape.ok_or_else(|| mismatch!("pads overflow {:?}", x.shape))?,
        )?])
    }

    fn since(&self) -> u64 {
        match self.mode {
            PadMode::Wrap => 19,
            _ => 18, // for input `axes`; a rule does not see which inputs a node has
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::support::testing::{float, known, round_trips, shapes};
    use lowbit_tensor::Tensor;

    #[test]
    fn modes_round_trip() {
        PadMode::NAMES.into_iter().for_each(|(_, mode)| round_trips(Pad { mode }));
        assert!(Pad::read(&mut Attributes::new().with("mode", Attribute::Text("mirror".into()))).is_err());
    }

    #[test]
    fn pads_grow_and_cut() {
        assert_eq!(shapes(&Pad::default(), &[2, 3], &[&[0, 1, 2, -2]]), Ok(vec![vec![4, 2]]));
        for bad in [&[0, -2, 0, -2][..], &[1, 1], &[i64::MAX, 0, 1, 0], &[i64::MIN, 0, 0, 0]] {
            assert!(shapes(&Pad::default(), &[2, 3], &[bad]).is_err(), "{bad:?}");
        }
        assert!(shapes(&Pad { mode: PadMode::Edge }, &[0], &[&[1, 0]]).is_err());
    }

    #[test]
    fn pads_may_speak_of_some_axes() {
        let (pads, axes) = (Tensor::from_i64s(&[1, 2, 0, 3]), Tensor::from_i64s(&[-1, 1]));
        let ty = Pad::default().infer(&[float(&[1, 2, 4]), known(&pads), None, known(&axes)]).unwrap();
        assert_eq!(ty[0].shape, [1, 7, 5]);
    }
}
